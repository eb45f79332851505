"""How long functions are and how much they take, and the rule for both."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import PROGRAM, SourceFile, last_name, source_files

MAX_LINES = 60
MAX_PARAMETERS = 7

DECLARATIVE: Mapping[str, str] = {
    "resources/control_db/migrations/versions/0001_first_tables.py:upgrade": "lists the first tables",
}
"""Functions (`file:name`) that may be longer than `MAX_LINES`, each with the reason: they list, and decide nothing."""

DECORATORS = frozenset({"get", "post", "put", "patch", "delete", "api_route", "command", "option", "argument"})
"""A route's parameters are those of its request, a command's are its options: click and FastAPI call such a function,
no code of ours does, so there is no object to gather its parameters in."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function or method: its file, the name within it (`Class.method`) and the measures of it.

    `lines` are counted from `def` to the last line, docstring included and decorators not; `parameters` leave out
    `self` and `cls` and count `*args` and `**kwargs` as one each.
    """

    file: str
    line: int
    name: str
    lines: int
    parameters: int
    decorators: tuple[str, ...]
    documented: bool

    @property
    def key(self) -> str:
        """`file:name`, as the tables of exceptions write it."""
        return f"{self.file}:{self.name}"

    @property
    def called_by_a_library(self) -> bool:
        """Whether it is a command or a route."""
        return called_by_a_library(self.decorators)


def called_by_a_library(decorators: Iterable[str]) -> bool:
    """Whether a function with these decorators is a command or a route."""
    return not DECORATORS.isdisjoint(decorators)


def decorator_names(node: FunctionNode | ast.ClassDef) -> tuple[str, ...]:
    """Return the last name of each decorator: `get` of `@router.get("/health")`."""
    called = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    return tuple(last_name(each) for each in called)


def functions(file: SourceFile) -> Iterator[Function]:
    """Yield every function of `file`, methods and functions within functions too, in their order."""
    yield from _below(file.name, "", file.tree, in_class=False)


def function_violations(root: Path, declarative: Mapping[str, str] = DECLARATIVE) -> list[str]:
    """Return functions of the program and helpers of its tests that are too long or take too much, sorted.

    Test functions themselves are left out: one that tells a journey may be long.
    """
    found = []
    long = set()
    for each in _ruled(root):
        if each.lines > MAX_LINES:
            long.add(each.key)
        if each.lines > MAX_LINES and each.key not in declarative:
            found.append(f"{each.key} has {each.lines} lines, at most {MAX_LINES} are allowed")
        if each.parameters > MAX_PARAMETERS and not each.called_by_a_library:
            found.append(f"{each.key} has {each.parameters} parameters, at most {MAX_PARAMETERS} are allowed")
    found += [f"{key} needs no exception in DECLARATIVE" for key in declarative if key not in long]
    return sorted(found)


def _ruled(root: Path) -> Iterator[Function]:
    for file in source_files(root, [*PROGRAM, "tests"]):
        for each in functions(file):
            if not (file.name.startswith("tests/") and each.name.rpartition(".")[2].startswith("test_")):
                yield each


def _below(file: str, prefix: str, parent: ast.AST, in_class: bool) -> Iterator[Function]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, FunctionNode):
            yield _measured(file, prefix, node, in_class)
            yield from _below(file, f"{prefix}{node.name}.", node, in_class=False)
        elif isinstance(node, ast.ClassDef):
            yield from _below(file, f"{prefix}{node.name}.", node, in_class=True)
        else:
            yield from _below(file, prefix, node, in_class)


def _measured(file: str, prefix: str, node: FunctionNode, in_class: bool) -> Function:
    decorators = decorator_names(node)
    taken = node.args
    count = len(taken.posonlyargs) + len(taken.args) + len(taken.kwonlyargs)
    count += (taken.vararg is not None) + (taken.kwarg is not None)
    has_self = in_class and "staticmethod" not in decorators
    return Function(
        file=file,
        line=node.lineno,
        name=f"{prefix}{node.name}",
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        parameters=count - has_self,
        decorators=decorators,
        documented=ast.get_docstring(node) is not None,
    )
