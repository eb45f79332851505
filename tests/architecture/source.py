"""The Python files of a checkout as syntax trees: what the rules and the counts read.

Nothing is imported, so an older checkout or a made-up one can be read just as well, and an import inside a function,
or one for type checking only, counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAM = ("resources", "bento_service", "recsaas_assets")
"""The three packages that people run; dbt_project, tests and docs are not among them."""

SCRIPTS = ("/migrations/",)
"""Folders of files that a tool runs one by one: nothing imports them, so they are no rooms and share their names."""

_WHOLE = frozenset({"load_definitions_from_package_name"})
_BY_NAME = frozenset({"import_module", "__import__"}) | _WHOLE


@dataclass(frozen=True)
class SourceFile:
    """One Python file: its path below the root with slashes, its text and its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines of the text."""
        return len(self.text.splitlines())

    @property
    def is_script(self) -> bool:
        """Whether a tool runs it and nothing imports it."""
        return any(folder in self.name for folder in SCRIPTS)

    @property
    def is_initial(self) -> bool:
        """Whether it is the `__init__.py` of a package."""
        return self.name.endswith("/__init__.py")

    @property
    def package(self) -> str:
        """Dotted name of its folder."""
        return self.name.rpartition("/")[0].replace("/", ".")

    @property
    def module(self) -> str:
        """Dotted name, of the package for its `__init__.py`."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass(frozen=True)
class Import:
    """One imported module, with the names taken from it (`from module import names`), if any.

    `whole` says that it is a package of which every module is imported, as Dagster loads definitions by folder.
    """

    line: int
    module: str
    names: tuple[str, ...] = ()
    whole: bool = False


def source_files(root: Path, folders: Iterable[str]) -> Iterator[SourceFile]:
    """Yield the Python files below `folders` of `root`, sorted by path; folders that do not exist are left out."""
    for folder in sorted(folders):
        for path in sorted((root / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
                yield SourceFile(name, text, _tree(name, text))


@cache
def _tree(name: str, text: str) -> ast.Module:
    """Parsed once for all rules that read it."""
    return ast.parse(text, filename=name)


def imports(tree: ast.Module) -> Iterator[Import]:
    """Yield every import, wherever it stands; a relative one keeps its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield Import(node.lineno, module, tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and node.args and last_name(node.func) in _BY_NAME:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(node.lineno, argument.value, whole=last_name(node.func) in _WHOLE)


def last_name(expression: ast.expr) -> str:
    """Return `c` for `a.b.c` and for `c`, nothing for any other expression."""
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
