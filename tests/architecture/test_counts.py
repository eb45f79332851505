"""The counts of a checkout, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tests.architecture.counts import RoomCounts, count, main
from tests.architecture.made_up import write
from tests.architecture.public_names import names_of_two_things
from tests.architecture.source import PROGRAM, source_files

FILES = {
    "resources/__init__.py": "",
    "resources/base/errors.py": 'class Rule(Exception):\n    """A rule."""\n\n    def text(self): ...\n',
    "resources/storage/lake.py": "from resources.base.errors import Rule\n\nClock = int\n\n\ndef read(a, b, c): ...\n",
    "bento_service/app.py": (
        "from resources.storage.lake import read\n\nClock = str\nT = TypeVar('T')\n\n\n"
        "class Rule:\n    pass\n\n\n@app.get('/')\ndef get(a, b, c, d, e, f, g, h): ...\n"
    ),
    "bento_service/other.py": "T = TypeVar('T')\n\n\n@app.get('/x')\ndef get(): ...\n\n\ndef _private(): ...\n",
    "tests/test_x.py": "def test_x():\n" + "    pass\n" * 70,
}


def test_the_counts_of_a_small_checkout(tmp_path: Path) -> None:
    counted = count(write(tmp_path, FILES))
    resources, program = counted.folders["resources"], counted.folders["the program"]
    assert (resources.files, resources.lines) == (2, 10)
    assert (resources.median_file_lines, resources.longest_file_lines) == (5, 6)
    assert (resources.functions, resources.median_function_lines) == (2, 1)
    assert resources.documented_public_names == "1 of 3"
    assert (program.files, program.functions) == (4, 5)
    assert (program.functions_too_long, program.functions_with_too_many_parameters) == (0, 0)
    assert "recsaas_assets" not in counted.folders
    assert counted.rooms["resources.base"] == RoomCounts(modules=1, fan_in=1, fan_out=0)
    assert counted.rooms["resources.storage"] == RoomCounts(modules=1, fan_in=1, fan_out=1)
    assert (counted.imports_between_rooms, counted.cycles) == (2, [])
    assert counted.most_parameters[:2] == [
        ("resources/storage/lake.py:read", 3),
        ("bento_service/other.py:_private", 0),
    ]
    assert counted.long_tests == [("tests/test_x.py:test_x", 71)]
    assert counted.names_of_two_things == {
        "Clock": ["resources/storage/lake.py", "bento_service/app.py"],
        "Rule": ["resources/base/errors.py", "bento_service/app.py"],
    }


def test_every_function_above_the_limit_is_listed(tmp_path: Path) -> None:
    text = "".join(f"def f{each}():\n" + "    pass\n" * (60 + each) for each in range(15))
    counted = count(write(tmp_path, {"resources/x.py": text}))
    assert [lines for _, lines in counted.longest_functions] == list(range(75, 60, -1))


def test_the_command_prints_text_or_json(tmp_path: Path) -> None:
    root = str(write(tmp_path, FILES))
    text = CliRunner().invoke(main, ["--root", root], catch_exceptions=False).output
    assert "5 rooms" not in text
    assert "4 rooms, 2 imports between rooms, 0 cycles" in text
    counted = json.loads(CliRunner().invoke(main, ["--root", root, "--json"], catch_exceptions=False).output)
    assert counted["folders"]["the program"]["lines"] == 30


NAMED_TWICE = {
    "Admin": "of routes: whose key is asked for",
    "Reader": "of routes: whose key is asked for",
    "JobError": "the error of a job, and how the API shows it: a name of the public contract",
    "encode": "of a search space's values, and of a feature table",
    "measure": "of a benchmark: each has its own",
    "pending_erasures": "the list, and the sensor of that name in installations",
    "serve": "of two servers",
    "sync": "of the lake, and of the disk that it may lie on",
    **dict.fromkeys(
        ("Counts", "Floats", "Mask", "Row", "Rows", "Vectors"), "an array's or a row's type, local to a room"
    ),
}
"""Public names that stand for two things, with the reason."""


def test_no_other_name_of_this_project_stands_for_two_things() -> None:
    files = [file for file in source_files(Path(__file__).parents[2], PROGRAM) if file.text.strip()]
    assert set(names_of_two_things(files)) == set(NAMED_TWICE)
