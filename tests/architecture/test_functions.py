"""The rule of functions holds here, and it can fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.functions import MAX_LINES, MAX_PARAMETERS, Function, function_violations, functions
from tests.architecture.made_up import write
from tests.architecture.source import SourceFile

ROOT = Path(__file__).parents[2]


def of_lines(number: int, name: str = "f") -> str:
    """A function of `number` lines."""
    return f"def {name}():\n" + "    x = 1\n" * (number - 1)


def of_parameters(number: int, first: str = "") -> str:
    """A function that takes `number` parameters after `first`."""
    return f"def f({first}{', '.join(f'p{each}' for each in range(number))}): ...\n"


def measured(text: str) -> list[Function]:
    return list(functions(SourceFile("x.py", text, ast.parse(text))))


def test_this_project_has_small_functions() -> None:
    found = function_violations(ROOT)
    assert not found, "\n".join(found)


def test_lines_are_counted_from_def_to_the_end() -> None:
    text = '@decorator\n@another("x")\ndef f(\n    a,\n):\n    """Doc."""\n'
    text += "    def g():\n        pass\n\n    return g\n\n\nx = 1\n"
    assert [(each.name, each.line, each.lines, each.documented) for each in measured(text)] == [
        ("f", 3, 8, True),
        ("f.g", 7, 2, False),
    ]
    assert measured(text)[0].decorators == ("decorator", "another")


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("def f(): ...", 0),
        ("def f(a, /, b, *, c, d=1): ...", 4),
        ("def f(*args, **kwargs): ...", 2),
        ("class A:\n    def f(self, a): ...", 1),
        ("class A:\n    @classmethod\n    def f(cls, a): ...", 1),
        ("class A:\n    @staticmethod\n    def f(a, b): ...", 2),
        ("class A:\n    if True:\n        async def f(self): ...", 0),
    ],
)
def test_parameters_leave_out_the_instance(text: str, parameters: int) -> None:
    assert [each.parameters for each in measured(text)] == [parameters]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resources/x.py", of_lines(MAX_LINES)),
        ("resources/x.py", of_parameters(MAX_PARAMETERS)),
        ("resources/x.py", "class A:\n    " + of_parameters(MAX_PARAMETERS, "self, ")),
        ("resources/x.py", "@dataclass\nclass A:\n" + "".join(f"    f{each}: int\n" for each in range(20))),
        ("recsaas_assets/x.py", "@click.option('--x')\n" + of_parameters(MAX_PARAMETERS + 1)),
        ("bento_service/x.py", "@router.post('/x')\nasync " + of_parameters(MAX_PARAMETERS + 1)),
        ("tests/test_x.py", of_lines(MAX_LINES + 1, "test_f")),
        ("docs/snippets/x.py", of_lines(MAX_LINES + 1)),
    ],
)
def test_what_keeps_the_rule(tmp_path: Path, name: str, text: str) -> None:
    assert function_violations(write(tmp_path, {name: text}), declarative={}) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("resources/x.py", of_lines(MAX_LINES + 1), "x.py:f has 61 lines, at most 60 are allowed"),
        ("resources/x.py", of_parameters(MAX_PARAMETERS + 1), "x.py:f has 8 parameters, at most 7 are allowed"),
        ("bento_service/x.py", "class A:\n    async " + of_parameters(8, "self, "), "x.py:A.f has 8 parameters"),
        ("recsaas_assets/x.py", "@asset\n" + of_parameters(MAX_PARAMETERS + 1), "x.py:f has 8 parameters"),
        ("recsaas_assets/x.py", "@cli.command()\n" + of_lines(MAX_LINES + 1), "x.py:f has 61 lines"),
        ("tests/helpers.py", of_lines(MAX_LINES + 1), "helpers.py:f has 61 lines"),
        ("tests/conftest.py", of_parameters(MAX_PARAMETERS + 1), "conftest.py:f has 8 parameters"),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (found,) = function_violations(write(tmp_path, {name: text}), declarative={})
    assert found.startswith(name.rpartition("/")[0])
    assert problem in found


def test_a_declarative_function_is_an_exception_only_while_it_is_long(tmp_path: Path) -> None:
    root = write(tmp_path, {"resources/x.py": of_lines(MAX_LINES + 1)})
    declarative = {"resources/x.py:f": "a reason", "resources/x.py:g": "a reason"}
    assert function_violations(root, declarative) == ["resources/x.py:g needs no exception in DECLARATIVE"]
