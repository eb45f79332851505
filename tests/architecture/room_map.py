"""The map of the rooms in docs/architecture.md: `python -m tests.architecture.room_map` writes it anew.

Made of the floors in rooms.py and of what each room says of itself in the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.rooms import FLOORS, Floors, room_files
from tests.architecture.source import SourceFile

PAGE = Path("docs/architecture.md")
BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->\n"


def room_map(root: Path, floors: Floors = FLOORS) -> str:
    """Return one table for each top-level package of the checkout at `root`, the highest floor first."""
    files = {file.module: file for file in room_files(root)}
    return "\n".join(_table(top, levels, files) for top, levels in floors.items())


def page_with_map(text: str, tables: str) -> str:
    """Return the page `text` with `tables` between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables}{END}{after}"


def first_sentence(docstring: str) -> str:
    """Return the first sentence in one line, without its full stop."""
    line = " ".join(docstring.split())
    return re.split(r"(?<=\w|\)|`)\.(?: |$)", line, maxsplit=1)[0]


def _table(top: str, levels: tuple[tuple[str, ...], ...], files: dict[str, SourceFile]) -> str:
    rows = [
        f"### `{top}/`",
        "",
        first_sentence(_docstring(files[top])) + ".",
        "",
        "| floor | room | what lives there |",
    ]
    rows.append("|---|---|---|")
    for level in range(len(levels) - 1, -1, -1):
        for name in sorted(levels[level]):
            rows.append(_row(level, name, files[f"{top}.{name}"]))
    return "\n".join(rows) + "\n"


def _row(level: int, name: str, file: SourceFile) -> str:
    place = file.name.removesuffix("__init__.py")
    return f"| {level} | [`{name}`](../{place}) | {first_sentence(_docstring(file))} |"


def _docstring(file: SourceFile) -> str:
    return ast.get_docstring(file.tree) or ""


if __name__ == "__main__":
    PAGE.write_text(page_with_map(PAGE.read_text(encoding="utf-8"), room_map(Path("."))), encoding="utf-8")
