"""The rules of the rooms hold here, and each of them can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.made_up import write
from tests.architecture.rooms import (
    MAX_DOCSTRING_LINES,
    MAX_MODULES,
    Floors,
    cycles,
    read_rooms,
    room_files,
    room_violations,
)

ROOT = Path(__file__).parents[2]
DOC = '"""What lives here, and what it may import."""\n'
GOOD = {
    "resources/__init__.py": DOC,
    "resources/base/__init__.py": DOC,
    "resources/base/ids.py": "import polars\n",
    "resources/base/errors.py": "from resources.base.ids import Id\n",
    "resources/storage/__init__.py": DOC,
    "resources/storage/lake.py": "from resources.base import ids\n",
    "resources/storage/s3/__init__.py": DOC,
    "resources/storage/s3/bucket.py": "import resources.storage.lake\nimport resources.base.errors\n",
    "resources/control_db/__init__.py": DOC,
    "resources/control_db/engine.py": "from resources.base.errors import X\n",
    "resources/control_db/migrations/versions/0001.py": "from resources.storage import lake\n",
    "resources/dagster_resources.py": "def lake():\n    from resources.storage.lake import Lake\n",
    "bento_service/__init__.py": DOC,
    "bento_service/app.py": "from resources.storage.lake import Lake\n",
    "recsaas_assets/__init__.py": DOC,
    "recsaas_assets/cli.py": "import click\n",
}
FLOORS: Floors = {
    "resources": (("base",), ("storage", "control_db"), ("storage.s3",), ("dagster_resources",)),
    "bento_service": (("app",),),
    "recsaas_assets": (("cli",),),
}
MODULES = {f"resources/base/m{number}.py": "" for number in range(MAX_MODULES - 1)}


def test_this_project_keeps_every_rule_of_its_rooms() -> None:
    found = room_violations(ROOT)
    assert not found, "\n".join(found)


def test_rooms_are_packages_and_the_modules_at_the_top(tmp_path: Path) -> None:
    rooms = read_rooms(room_files(write(tmp_path, GOOD)))
    assert rooms.modules == {
        "bento_service.app": ("bento_service/app.py",),
        "recsaas_assets.cli": ("recsaas_assets/cli.py",),
        "resources.base": ("resources/base/errors.py", "resources/base/ids.py"),
        "resources.control_db": ("resources/control_db/engine.py",),
        "resources.dagster_resources": ("resources/dagster_resources.py",),
        "resources.storage": ("resources/storage/lake.py",),
        "resources.storage.s3": ("resources/storage/s3/bucket.py",),
    }
    assert rooms.imports["resources.storage.s3"] == {
        "resources.base": ("resources/storage/s3/bucket.py:2",),
        "resources.storage": ("resources/storage/s3/bucket.py:1",),
    }
    assert rooms.imports["resources.dagster_resources"] == {"resources.storage": ("resources/dagster_resources.py:2",)}
    assert rooms.imports["bento_service.app"] == {"resources.storage": ("bento_service/app.py:1",)}
    assert rooms.imports["resources.base"] == {}


def test_a_project_that_keeps_the_rules(tmp_path: Path) -> None:
    assert room_violations(write(tmp_path, GOOD), FLOORS) == []


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (
            {"resources/storage/lake.py": "from resources.storage.s3 import bucket\n"},
            "resources.storage: imports resources.storage.s3 from a floor above (resources/storage/lake.py:1)",
        ),
        (
            {"resources/storage/lake.py": "from resources.control_db.engine import Engine\n"},
            "resources.storage: imports resources.control_db from its own floor (resources/storage/lake.py:1)",
        ),
        ({"resources/times/__init__.py": DOC, "resources/times/t.py": ""}, "resources.times: has no floor"),
        ({"resources/loose.py": ""}, "resources.loose: has no floor"),
        (MODULES, f"resources.base: has {MAX_MODULES + 1} modules"),
        (
            {f"bento_service/{name}.py": "" for name in "abcdefghijkl"},
            f"bento_service: has {MAX_MODULES + 1} modules",
        ),
        ({"resources/base/__init__.py": ""}, "resources.base: its __init__.py does not say what lives there"),
        ({"resources/__init__.py": ""}, "resources: its __init__.py does not say what lives there"),
        ({"resources/base/__init__.py": DOC + "x = 1\n"}, "resources.base: its __init__.py holds more than"),
        ({"resources/base/__init__.py": '"""One.\n\nTwo."""\n'}, "resources.base: its __init__.py has more than one"),
        (
            {"resources/base/__init__.py": '"""' + "One\n" * (MAX_DOCSTRING_LINES + 1) + '"""\n'},
            "resources.base: its __init__.py has more than 8 lines",
        ),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    floors = {**FLOORS, "bento_service": (("app", *"abcdefghijkl"),)} if "bento_service/a.py" in files else FLOORS
    found = [each for each in room_violations(write(tmp_path, {**GOOD, **files}), floors) if " → " not in each]
    assert len(found) == 1, found
    assert found[0].startswith(problem)


def test_a_package_of_packages_is_no_room_and_says_what_lives_there(tmp_path: Path) -> None:
    root = write(tmp_path, {**GOOD, "bento_service/api/__init__.py": DOC, "bento_service/api/site/__init__.py": ""})
    assert room_violations(root, FLOORS) == [
        "bento_service.api.site: holds nothing",
        "bento_service.api.site: its __init__.py does not say what lives there",
    ]


def test_a_package_without_init_and_a_place_without_a_room(tmp_path: Path) -> None:
    root = write(tmp_path, {**GOOD, "resources/tenants/rows.py": ""})
    floors = {**FLOORS, "recsaas_assets": (("cli",), ("runs",)), "resources": (*FLOORS["resources"], ("tenants",))}
    assert room_violations(root, floors) == [
        "recsaas_assets.runs: stands in FLOORS and does not exist",
        "resources.tenants: has no __init__.py",
    ]


def test_a_wide_room_is_an_exception_only_while_it_is_wide(tmp_path: Path) -> None:
    root = write(tmp_path, {**GOOD, **MODULES})
    assert room_violations(root, FLOORS, {"resources.base": "a reason"}) == []
    assert room_violations(root, FLOORS, {"resources.base": "a reason", "resources.storage": "a reason"}) == [
        "resources.storage: needs no exception in WIDE_ROOMS"
    ]


@pytest.mark.parametrize(
    "back",
    [
        "from resources.storage.lake import Lake",
        "from resources.storage import lake",
        "import resources.storage.lake as lake",
        "if TYPE_CHECKING:\n    from resources.storage.lake import Lake",
        "def f():\n    from resources.storage.lake import Lake",
        "import importlib\nimportlib.import_module('resources.storage.lake')",
    ],
)
def test_every_way_to_import_can_close_a_cycle(tmp_path: Path, back: str) -> None:
    root = write(tmp_path, {**GOOD, "resources/base/ids.py": back})
    line = len(back.splitlines())
    lines = f"resources/base/ids.py:{line}; resources/storage/lake.py:1"
    assert cycles(read_rooms(room_files(root))) == [f"resources.base → resources.storage → resources.base ({lines})"]


def test_a_package_that_is_loaded_by_its_name_is_imported_whole(tmp_path: Path) -> None:
    text = "import dagster\ndefs = dagster.load_definitions_from_package_name('resources.storage')\n"
    rooms = read_rooms(room_files(write(tmp_path, {**GOOD, "resources/dagster_resources.py": text})))
    line = ("resources/dagster_resources.py:2",)
    assert rooms.imports["resources.dagster_resources"] == {"resources.storage": line, "resources.storage.s3": line}


def test_a_cycle_of_three_rooms_is_told_once(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "resources/a/x.py": "from resources.b.x import y\n",
            "resources/b/x.py": "from resources.c import x\n",
            "resources/c/x.py": "import resources.a.x\n",
            "resources/d/x.py": "import resources.a.x\n",
        },
    )
    assert [each.partition(" (")[0] for each in cycles(read_rooms(room_files(root)))] == [
        "resources.a → resources.b → resources.c → resources.a"
    ]
