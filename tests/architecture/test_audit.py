"""The audit log and the code that writes it: every action is known and documented, and everybody says who they are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.audit.actions import ACTIONS
from resources.webhooks.event_types import EVENT_TYPES
from tests.architecture.source import PROGRAM, SourceFile, source_files

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "audit.md"
_ACTION = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
_OTHER = re.compile(r"^(recsaas|resources)\.|\.(parquet|json|csv|toml)$")
"""Loggers, packages and files."""
_PROGRAMS = ("bento_service", "recsaas_assets")
_BY_HAND = ("recsaas_assets/benchmarks/", "bento_service/benchmarking/")
"""Benchmarks measure; in installations of their own, nobody is asked who they are."""


def files() -> list[SourceFile]:
    return list(source_files(ROOT, PROGRAM))


def written_actions() -> dict[str, str]:
    """The actions that modules name which make entries, or jobs with their actions, with the file."""
    found = {}
    for file in files():
        makes = re.search(r"\bChange\(", file.text) or file.name == "resources/jobs/registry.py"
        if not makes or file.name.startswith("resources/audit/entries"):
            continue
        texts = {node.value for node in ast.walk(file.tree) if isinstance(node, ast.Constant)}
        for text in texts:
            if isinstance(text, str) and _ACTION.fullmatch(text) and not _OTHER.search(text):
                found[text] = file.name
    for event_type in EVENT_TYPES:
        found.pop(event_type, None)
    return found


def test_every_action_that_the_code_writes_is_known() -> None:
    written = written_actions()
    unknown = {action: file for action, file in written.items() if action not in ACTIONS}
    assert unknown == {}, "add a line for each to resources/audit/actions.py"


def test_no_action_is_known_that_nothing_writes() -> None:
    assert set(ACTIONS) - set(written_actions()) == set()


def test_the_page_has_every_action_with_its_words() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == sorted(ACTIONS.items()), "python -m tests.architecture.audit_table writes the table"


def functions_that_record() -> set[str]:
    """Names of public functions of `resources` that take who did something as `by`, where SYSTEM stands for nobody."""
    found = set()
    for file in files():
        if file.name.startswith("resources/"):
            for node in ast.walk(file.tree):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    names = [each.arg for each in node.args.kwonlyargs]
                    if "by" in names and node.args.kw_defaults[names.index("by")] is not None:
                        found.add(node.name)
    return found


def calls_without_an_actor(file: SourceFile, names: set[str]) -> Iterator[str]:
    """Calls of these functions, or of a thread that is to call them, without `by`."""
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else None
        handed = {each.id for each in node.args if isinstance(each, ast.Name)}
        for name in ({called} & names) | (handed & names if isinstance(node.func, ast.Attribute) else set()):
            if "by" not in {keyword.arg for keyword in node.keywords}:
                yield f"{file.name}:{node.lineno}: {name}"


def test_the_programs_say_who_it_is_whenever_something_changes() -> None:
    names = functions_that_record()
    assert {"create_api_key", "add_rule", "change_settings", "withdraw", "request_erasure"} <= names
    found = [
        call
        for file in files()
        if file.name.startswith(_PROGRAMS) and not file.name.startswith(_BY_HAND)
        for call in calls_without_an_actor(file, names)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code, missing", [("add_rule(db, by=x)", 0), ("add_rule(db)", 1), ("t.run(t, add_rule, db)", 1)]
)
def test_a_call_without_an_actor_is_found(code: str, missing: int) -> None:
    file = SourceFile("bento_service/x.py", code, ast.parse(code))
    assert len(list(calls_without_an_actor(file, {"add_rule"}))) == missing
