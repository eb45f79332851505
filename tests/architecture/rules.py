"""The rules of single files: which libraries a folder may import, and what a file may not hold.

The rules between packages of ours are in rooms.py, those of functions in functions.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import PROGRAM, SourceFile, imports, last_name, source_files

OURS = frozenset({"resources", "recsaas_assets", "bento_service", "dbt_project", "tests"})
FOLDERS = frozenset({"resources", "recsaas_assets", "bento_service", "dbt_project", "tests", "docs", "deploy"})
MADE_BY_TOOLS = frozenset({"var", "build", "dist", "logs", "__pycache__"})
PIPELINE_ONLY = frozenset({"torch", "dagster", "dagster_dbt", "dagster_aws", "dagster_webserver", "dbt", "duckdb"})
MAX_LINES = 400

ENVIRONMENT_READERS = frozenset({"resources/base/settings.py", "resources/processes/process.py"})
"""One reads our settings, the other sets what libraries take in no other way."""
ENVIRONMENT_PASSED_ON = frozenset(
    {"resources/processes/supervisor.py", "resources/processes/forked.py", "resources/processes/fork_server.py"}
)
"""May hand `os.environ` as a whole to a child process, or take over what was handed on, and look nothing up in it."""
LAST_RESORT = frozenset(
    {
        "bento_service/middleware.py",
        "bento_service/workers/job_worker.py",
        "bento_service/workers/mail_worker.py",
        "recsaas_assets/defs/data/event_sensors.py",
        "recsaas_assets/defs/runs/tenant_erasures.py",
    }
)
"""The edges: whatever goes wrong, the client gets an answer (or its job an end, or the next tenant its turn) and the
log says so."""


@dataclass(frozen=True)
class Layer:
    """Files below `folder` may not import the packages in `forbidden`; `except_for` lists files that may."""

    folder: str
    forbidden: frozenset[str]
    except_for: frozenset[str] = frozenset()


LAYERS = (
    Layer("resources/", OURS - {"resources"}),
    Layer("resources/", frozenset({"bentoml", "torch", "dbt", "fastapi", "starlette", "dagster_dbt"})),
    Layer("resources/", frozenset({"dagster"}), frozenset({"resources/dagster_resources.py"})),
    Layer("recsaas_assets/", frozenset({"bento_service", "tests", "bentoml", "fastapi"})),
    Layer("recsaas_assets/recommender/", frozenset({"dagster", "dagster_dbt"})),
    Layer("bento_service/", frozenset({"recsaas_assets", "tests"}) | PIPELINE_ONLY),
)


def violations(root: Path) -> list[str]:
    """Return every broken rule as `file: what is wrong`, sorted."""
    found = [f"{name}/: is not one of our top-level folders" for name in _strange_folders(root)]
    for file in source_files(root, FOLDERS):
        found += [f"{file.name}: {problem}" for problem in _of_file(file)]
    return sorted(found)


def _strange_folders(root: Path) -> Iterator[str]:
    for path in sorted(root.iterdir()):
        by_tools = path.name.startswith(".") or path.name in MADE_BY_TOOLS or path.name.endswith(".egg-info")
        if path.is_dir() and not by_tools and path.name not in FOLDERS:
            yield path.name


def _of_file(file: SourceFile) -> Iterator[str]:
    name, tree = file.name, file.tree
    if file.lines > MAX_LINES:
        yield f"has {file.lines} lines, at most {MAX_LINES} are allowed"
    if name.endswith("/__init__.py") and name.split("/")[0] not in PROGRAM and file.text.strip():
        yield "is not empty"
    for each in imports(tree):
        if each.module.startswith("."):
            yield f"line {each.line} has a relative import"
        for layer in LAYERS:
            top = each.module.split(".")[0]
            if name.startswith(layer.folder) and top in layer.forbidden and name not in layer.except_for:
                yield f"line {each.line} imports {top}"
    if name.startswith(("tests/", "docs/snippets/")):  # tests, and programs for readers
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"line {node.lineno} prints"
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and name not in LAST_RESORT:
            yield f"line {node.lineno} has a broad except"
    if name not in ENVIRONMENT_READERS:
        yield from _environment(name, tree)


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(last_name(kind) in ("Exception", "BaseException") for kind in each)


def _environment(name: str, tree: ast.Module) -> Iterator[str]:
    """`os.environ`, `os.getenv` and `from os import environ`, under any name of `os`.

    `{**os.environ}` hands it on; `os.environ.clear()` and `os.environ.update(…)` take over what was handed on.
    """
    handed_on = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None and name in ENVIRONMENT_PASSED_ON
    } | {
        id(node.func.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("clear", "update")
        and name in ENVIRONMENT_PASSED_ON
    }
    readers = ("environ", "environb", "getenv", "getenvb")
    for node in ast.walk(tree):
        attribute = isinstance(node, ast.Attribute) and node.attr in readers and id(node) not in handed_on
        imported = (
            isinstance(node, ast.ImportFrom) and node.module == "os" and any(a.name in readers for a in node.names)
        )
        if attribute or imported:
            yield f"line {getattr(node, 'lineno', 0)} reads the environment"
