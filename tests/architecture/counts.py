"""The sizes of a checkout: `python -m tests.architecture.counts [--root PATH] [--json]`.

Reads files and imports nothing of them, so it counts an older checkout with the same measure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from tests.architecture.functions import MAX_LINES, MAX_PARAMETERS, Function, functions
from tests.architecture.public_names import names_of_two_things, public_names
from tests.architecture.rooms import Rooms, cycles, read_rooms
from tests.architecture.source import PROGRAM, SourceFile, source_files

TOP = 10


@dataclass(frozen=True)
class FolderCounts:
    """Sizes of one top-level folder; empty files count nowhere. Lines of functions are those of `Function`."""

    files: int
    lines: int
    median_file_lines: float
    longest_file_lines: int
    functions: int
    median_function_lines: float
    p95_function_lines: int
    functions_too_long: int
    functions_with_too_many_parameters: int
    documented_public_names: str


@dataclass(frozen=True)
class RoomCounts:
    """Of one room: its modules, how many rooms import it and how many it imports."""

    modules: int
    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class Counts:
    """All counts of a checkout; the two lists of functions have `file:name` and lines or parameters, most first."""

    folders: dict[str, FolderCounts]
    rooms: dict[str, RoomCounts]
    imports_between_rooms: int
    cycles: list[str]
    longest_functions: list[tuple[str, int]]
    most_parameters: list[tuple[str, int]]
    long_tests: list[tuple[str, int]]
    names_of_two_things: dict[str, list[str]]


def count(root: Path) -> Counts:
    """Count the checkout at `root`."""
    folders = {top: [each for each in source_files(root, [top]) if each.text.strip()] for top in (*PROGRAM, "tests")}
    program = [file for top in PROGRAM for file in folders[top]]
    found = [each for file in program for each in functions(file)]
    tests = [each for file in folders["tests"] for each in functions(file)]
    rooms = read_rooms([file for file in program if not file.is_script])
    return Counts(
        folders={top: _folder(files) for top, files in {**folders, "the program": program}.items() if files},
        rooms=_rooms(rooms),
        imports_between_rooms=sum(len(targets) for targets in rooms.imports.values()),
        cycles=cycles(rooms),
        longest_functions=_most(found, "lines", MAX_LINES),
        most_parameters=_most([each for each in found if not each.called_by_a_library], "parameters", MAX_PARAMETERS),
        long_tests=[(each.key, each.lines) for each in tests if each.lines > MAX_LINES],
        names_of_two_things=names_of_two_things(program),
    )


@click.command(name="counts")
@click.option("--root", type=click.Path(exists=True, path_type=Path), default=Path("."), help="The checkout to count.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(root: Path, as_json: bool) -> None:
    """Print sizes of the checkout at ROOT: files, rooms, functions, names."""
    counted = count(root)
    click.echo(json.dumps(asdict(counted), indent=1) if as_json else "\n".join(_text(counted)))


def _folder(files: Iterable[SourceFile]) -> FolderCounts:
    files = list(files)
    found = [each for file in files for each in functions(file)]
    lengths = sorted(each.lines for each in found)
    documented = [each.documented for file in files for each in public_names(file) if each.documented is not None]
    return FolderCounts(
        files=len(files),
        lines=sum(file.lines for file in files),
        median_file_lines=median(file.lines for file in files),
        longest_file_lines=max(file.lines for file in files),
        functions=len(found),
        median_function_lines=median(lengths) if lengths else 0,
        p95_function_lines=lengths[int(0.95 * len(lengths))] if lengths else 0,
        functions_too_long=sum(each > MAX_LINES for each in lengths),
        functions_with_too_many_parameters=sum(
            each.parameters > MAX_PARAMETERS and not each.called_by_a_library for each in found
        ),
        documented_public_names=f"{sum(documented)} of {len(documented)}",
    )


def _rooms(rooms: Rooms) -> dict[str, RoomCounts]:
    return {
        room: RoomCounts(
            modules=len(modules),
            fan_in=sum(room in targets for targets in rooms.imports.values()),
            fan_out=len(rooms.imports[room]),
        )
        for room, modules in rooms.modules.items()
    }


def _most(found: Iterable[Function], measure: str, limit: int) -> list[tuple[str, int]]:
    """The functions with the most of `measure`: ten of them, and all that are above `limit`."""
    ranked = sorted(((each.key, getattr(each, measure)) for each in found), key=lambda pair: (-pair[1], pair[0]))
    return [pair for place, pair in enumerate(ranked) if place < TOP or pair[1] > limit]


def _text(counted: Counts) -> Iterator[str]:
    fields = list(FolderCounts.__dataclass_fields__)
    yield f"{'':36}" + "".join(f"{top:>16}" for top in counted.folders)
    for field in fields:
        yield f"{field:36}" + "".join(f"{getattr(folder, field):>16}" for folder in counted.folders.values())
    yield f"\n{'room':44}{'modules':>8}{'fan-in':>8}{'fan-out':>8}"
    for name, room in counted.rooms.items():
        yield f"{name:44}{room.modules:8}{room.fan_in:8}{room.fan_out:8}"
    arrows = f"{counted.imports_between_rooms} imports between rooms"
    yield f"\n{len(counted.rooms)} rooms, {arrows}, {len(counted.cycles)} cycles"
    yield from counted.cycles
    titles = {
        "longest functions (lines)": counted.longest_functions,
        "most parameters, without commands and routes": counted.most_parameters,
        f"functions of tests above {MAX_LINES} lines": counted.long_tests,
    }
    for title, pairs in titles.items():
        yield f"\n{title}"
        yield from (f"{value:6}  {key}" for key, value in pairs)
    yield "\npublic names of two things"
    yield from (f"{name}: {', '.join(files)}" for name, files in counted.names_of_two_things.items())


if __name__ == "__main__":
    main()
