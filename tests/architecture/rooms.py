"""The rules of the rooms: who may import whom, how large a room is, and what it says of itself.

A room is a package of ours, or a module that stands directly in one of the three top-level packages.
"""

from __future__ import annotations

import ast
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import PROGRAM, SourceFile, imports, source_files

Floors = Mapping[str, tuple[tuple[str, ...], ...]]
"""Of each top-level package its rooms (`b.c` for `a.b.c`) from the ground up; one tuple is one floor."""

FLOORS: Floors = {
    "resources": (
        ("base",),
        ("access", "processes", "storage", "tenants"),
        ("databases", "landing", "release"),
        ("ranker.eligibility", "ranker.retrieval", "ranker.second_stage"),
        ("merchandising", "ranker"),
        ("control_db.tables",),
        ("audit", "mail", "turns", "usage", "webhooks"),
        ("plans",),
        ("control_db", "decisions"),
        ("acting", "billing", "jobs", "keys", "people", "stores", "webhooks.endpoints"),
        ("audit.keeping", "events", "jobs.kinds", "sessions", "uploads.contract"),
        ("uploads.normalising",),
        ("uploads.headers",),
        ("uploads.dialects",),
        ("uploads.parsing",),
        ("uploads.deduplication",),
        ("uploads.checking",),
        ("uploads",),
        ("catalogue", "erasure.places", "training"),
        ("recommendations",),
        ("dagster_resources", "erasure", "tenancy"),
        ("signup",),
    ),
    "bento_service": (
        ("http", "telemetry"),
        ("scheduling", "schemas", "server", "usage", "webhooks", "workers"),
        ("access", "bentoml_adapter", "events", "schemas.accounts", "schemas.admin", "sso"),
        ("middleware", "recommending", "schemas.people"),
        ("dependencies",),
        ("people",),
        ("api", "demo", "pages"),
        ("api.accounts", "api.data", "api.people", "api.site"),
        ("api.admin", "api.recommending", "api.tenancy", "pages.entry"),
        ("pages.account", "pages.customer", "pages.office"),
        ("routes",),
        ("app",),
        ("benchmarking", "service"),
        ("serve",),
    ),
    "recsaas_assets": (
        ("commands", "defs.common", "ingestion", "recommender.data", "runs", "sample"),
        ("features", "recommender.fitting", "recommender.metrics"),
        ("benchmarks", "commands.data", "defs.data", "recommender.baselines"),
        ("recommender.item_models", "recommender.lightgcn"),
        ("recommender.data_parallel", "recommender.two_tower"),
        ("recommender.lifecycle",),
        ("recommender.evaluation", "recommender.search"),
        ("benchmarks.training", "recommender.second_stage", "release"),
        ("benchmarks.models", "commands.serving", "defs.models"),
        ("defs.release",),
        ("defs.runs",),
        ("definitions",),
        ("instance",),
        ("commands.models", "commands.tenants", "dagster_storage", "platform"),
        ("benchmarks.databases", "benchmarks.pipeline", "benchmarks.serving", "commands.platform"),
        ("benchmarks.accounts",),
        ("cli",),
    ),
}
"""A room imports from floors below its own alone, so rooms of one floor know nothing of each other. A new room has to
be placed here, and in docs/architecture.md."""

MAX_MODULES = 12
WIDE_ROOMS: Mapping[str, str] = {}
"""Rooms that may hold more than `MAX_MODULES` modules, each with the reason."""

MAX_DOCSTRING_LINES = 8


@dataclass(frozen=True)
class Rooms:
    """The rooms of a checkout; a package that only holds other packages is none.

    `modules` has the files of each room, `__init__.py` left out; `imports` has, of each room, the rooms that it imports
    and the lines that do so (`file:line`).
    """

    modules: Mapping[str, tuple[str, ...]]
    imports: Mapping[str, Mapping[str, tuple[str, ...]]]


def room_files(root: Path) -> list[SourceFile]:
    """Read the files of the three packages below `root` that are in rooms: all but scripts."""
    return [file for file in source_files(root, PROGRAM) if not file.is_script]


def read_rooms(files: Sequence[SourceFile]) -> Rooms:
    """Find the rooms of `files` and what they import."""
    rooms = {file.module: _room(file) for file in files if not file.is_initial}
    modules: dict[str, list[str]] = {}
    arrows: dict[str, dict[str, list[str]]] = {}
    for file in (each for each in files if not each.is_initial):
        room = rooms[file.module]
        modules.setdefault(room, []).append(file.name)
        for line, module in _imported(file, rooms):
            if rooms[module] != room:
                arrows.setdefault(room, {}).setdefault(rooms[module], []).append(f"{file.name}:{line}")
    return Rooms(
        {room: tuple(modules[room]) for room in sorted(modules)},
        {
            room: {target: tuple(lines) for target, lines in sorted(arrows.get(room, {}).items())}
            for room in sorted(modules)
        },
    )


def room_violations(root: Path, floors: Floors = FLOORS, wide: Mapping[str, str] = WIDE_ROOMS) -> list[str]:
    """Return every broken rule of the rooms as `where: what is wrong`, sorted within each rule."""
    files = room_files(root)
    rooms = read_rooms(files)
    return [*cycles(rooms), *floor_violations(rooms, floors), *_too_wide(files, wide), *_docstrings(files)]


def cycles(rooms: Rooms) -> list[str]:
    """Return the shortest cycle through each room that is in one, as `a → b → a (who imports, at which lines)`."""
    found = {}
    for room in rooms.modules:
        if cycle := _shortest_cycle(rooms, room):
            first = cycle.index(min(cycle))
            found[tuple(cycle[first:] + cycle[:first])] = True
    return sorted(_cycle_text(rooms, cycle) for cycle in found)


def floor_violations(rooms: Rooms, floors: Floors) -> list[str]:
    """Return the imports that do not lead downstairs, the rooms without a floor and the places without a room."""
    height = {f"{top}.{name}": level for top in floors for level, floor in enumerate(floors[top]) for name in floor}
    found = [f"{room}: has no floor, place it in FLOORS" for room in rooms.modules if room not in height]
    found += [f"{room}: stands in FLOORS and does not exist" for room in height if room not in rooms.modules]
    for room, targets in rooms.imports.items():
        for target, lines in targets.items():
            if _same_top(room, target) and room in height and height[room] <= height.get(target, -1):
                where = "its own floor" if height[room] == height[target] else "a floor above"
                found.append(f"{room}: imports {target} from {where} ({', '.join(lines)})")
    return sorted(found)


def _same_top(room: str, other: str) -> bool:
    return room.split(".")[0] == other.split(".")[0]


def _room(file: SourceFile) -> str:
    return file.module if file.package in PROGRAM else file.package


def _imported(file: SourceFile, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Our modules that `file` imports, with the line: `from a import b` is `a.b` where that is a module, else `a`."""
    for each in imports(file.tree):
        modules = {name for name in (f"{each.module}.{name}" for name in each.names) if name in known}
        if each.module in known:
            modules.add(each.module)
        if each.whole:
            modules |= {name for name in known if name.startswith(f"{each.module}.")}
        yield from ((each.line, module) for module in sorted(modules))


def _shortest_cycle(rooms: Rooms, start: str) -> list[str]:
    """Breadth first from `start` back to it; empty where there is no way back."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        room = waiting.popleft()
        for target in rooms.imports[room]:
            if target == start:
                cycle = [room]
                while cycle[-1] != start:
                    cycle.append(came_from[cycle[-1]])
                return cycle[::-1]
            if target not in came_from:
                came_from[target] = room
                waiting.append(target)
    return []


def _cycle_text(rooms: Rooms, cycle: tuple[str, ...]) -> str:
    steps = zip(cycle, cycle[1:] + cycle[:1], strict=True)
    lines = "; ".join(", ".join(rooms.imports[room][target]) for room, target in steps)
    return f"{' → '.join([*cycle, cycle[0]])} ({lines})"


def _too_wide(files: Sequence[SourceFile], wide: Mapping[str, str]) -> list[str]:
    counts = Counter(file.package for file in files if not file.is_initial)
    found = [
        f"{package}: has {count} modules, at most {MAX_MODULES} are allowed"
        for package, count in counts.items()
        if count > MAX_MODULES and package not in wide
    ]
    found += [f"{package}: needs no exception in WIDE_ROOMS" for package in wide if counts[package] <= MAX_MODULES]
    return sorted(found)


def _docstrings(files: Sequence[SourceFile]) -> list[str]:
    initial = {file.package: file for file in files if file.is_initial}
    found = [f"{package}: has no __init__.py" for package in {file.package for file in files} - set(initial)]
    full = {file.package.rpartition(".")[0] for file in files} | {file.package for file in files if not file.is_initial}
    found += [f"{package}: holds nothing" for package in set(initial) - full]
    for package, file in initial.items():
        found += [f"{package}: its __init__.py {problem}" for problem in _of_docstring(file)]
    return sorted(found)


def _of_docstring(file: SourceFile) -> Iterator[str]:
    text = ast.get_docstring(file.tree)
    if len(file.tree.body) > (text is not None):
        yield "holds more than a docstring"
    if not text:
        yield "does not say what lives there"
    elif "\n\n" in text:
        yield "has more than one paragraph"
    elif len(text.splitlines()) > MAX_DOCSTRING_LINES:
        yield f"has more than {MAX_DOCSTRING_LINES} lines"
