"""The public names of the program: whether each has a docstring, and which stand for two things."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.architecture.functions import FunctionNode, called_by_a_library, decorator_names
from tests.architecture.source import SourceFile


@dataclass(frozen=True)
class PublicName:
    """A class, function, method or type alias that other modules may use.

    `name` is as written within the file (`Class.method`); an alias has no docstring and `documented` is None.
    """

    file: str
    name: str
    documented: bool | None
    called_by_a_library: bool = False


def public_names(file: SourceFile) -> Iterator[PublicName]:
    """Yield the public names of `file` and the public methods of its public classes, in their order."""
    for node in file.tree.body:
        if isinstance(node, ast.ClassDef | FunctionNode) and not node.name.startswith("_"):
            yield _defined(file.name, "", node)
            if isinstance(node, ast.ClassDef):
                methods = (each for each in node.body if isinstance(each, FunctionNode))
                yield from (
                    _defined(file.name, f"{node.name}.", each) for each in methods if not each.name.startswith("_")
                )
        elif alias := _alias(node):
            yield PublicName(file.name, alias, documented=None)


def names_of_two_things(files: Iterable[SourceFile]) -> dict[str, list[str]]:
    """Return the public names that more than one file defines, with these files.

    Methods, commands and routes do not count, nor what a program is started by (`main`).
    """
    places: dict[str, list[str]] = {}
    for file in (each for each in files if not each.is_script):
        for each in public_names(file):
            if "." not in each.name and each.name != "main" and not each.called_by_a_library:
                places.setdefault(each.name, []).append(each.file)
    return {name: places[name] for name in sorted(places) if len(places[name]) > 1}


def _defined(file: str, prefix: str, node: ast.ClassDef | FunctionNode) -> PublicName:
    by_library = called_by_a_library(decorator_names(node))
    return PublicName(file, f"{prefix}{node.name}", ast.get_docstring(node) is not None, by_library)


def _alias(node: ast.stmt) -> str:
    """`Clock` of `Clock = Callable[…]` and of `Clock: TypeAlias = …`; nothing for any other statement."""
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call):  # a type variable is private to its module, a constant is no type
        return ""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    name = target.id if isinstance(target, ast.Name) else ""
    return name if name[:1].isupper() and not name.isupper() else ""
