"""The map of the rooms in docs/architecture.md: `python -m tests.architecture.room_map` writes it anew.

Made of the floors in rooms.py, the first sentence of the docstring of each room, and its imports.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.rooms import FLOORS, Floors, Rooms, read_rooms, room_files
from tests.architecture.source import SourceFile

PAGE = Path("docs/architecture.md")
BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->\n"


def room_map(root: Path, floors: Floors = FLOORS) -> str:
    """Return one table for each top-level package of the checkout at `root`, the highest floor first."""
    files = room_files(root)
    rooms = read_rooms(files)
    said = {file.module: file for file in files}
    return "\n".join(_table(top, levels, said, rooms) for top, levels in floors.items())


def page_with_map(text: str, tables: str) -> str:
    """Return the page `text` with `tables` between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables}{END}{after}"


def first_sentence(docstring: str) -> str:
    """Return the first sentence in one line, without its full stop."""
    line = " ".join(docstring.split())
    return re.split(r"(?<=\w|\)|`)\.(?: |$)", line, maxsplit=1)[0]


def _table(top: str, levels: tuple[tuple[str, ...], ...], said: dict[str, SourceFile], rooms: Rooms) -> str:
    rows = [f"### `{top}/`", "", f"{first_sentence(_docstring(said[top]))}.", ""]
    rows += ["| floor | room | what lives there | imports |", "|---|---|---|---|"]
    for level in range(len(levels) - 1, -1, -1):
        for name in sorted(levels[level]):
            imported = [other for other in rooms.imports[f"{top}.{name}"] if other.startswith(f"{top}.")]
            rows.append(_row(level, name, said[f"{top}.{name}"], imported))
    return "\n".join(rows) + "\n"


def _row(level: int, name: str, file: SourceFile, imported: list[str]) -> str:
    place = file.name.removesuffix("__init__.py")
    below = ", ".join(other.partition(".")[2] for other in imported) or "–"
    return f"| {level} | [`{name}`](../{place}) | {first_sentence(_docstring(file))} | {below} |"


def _docstring(file: SourceFile) -> str:
    return ast.get_docstring(file.tree) or ""


if __name__ == "__main__":
    PAGE.write_text(page_with_map(PAGE.read_text(encoding="utf-8"), room_map(Path("."))), encoding="utf-8")
