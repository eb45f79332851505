"""The map of the rooms shows every room, and the page about the architecture leads to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.made_up import write
from tests.architecture.room_map import BEGIN, END, PAGE, first_sentence, page_with_map, room_map

ROOT = Path(__file__).parents[2]
FILES = {
    "resources/__init__.py": '"""What both programs share. Plain Python."""\n',
    "resources/base/__init__.py": '"""Errors and ids,\nfrom errors.py and ids.py on. Imports nothing."""\n',
    "resources/base/ids.py": "",
    "resources/dagster_resources.py": '"""The lake as Dagster sees it."""\nfrom resources.base.ids import X\n',
}
MOST_HOPS = 12


def page() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def hops(title: str) -> list[str]:
    """The numbered steps of a flow."""
    section = page().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. .+$", section, re.MULTILINE)


def test_the_map_in_the_page_is_that_of_the_rooms() -> None:
    assert page_with_map(page(), room_map(ROOT)) == page(), "write it anew: python -m tests.architecture.room_map"


def test_a_map_has_the_highest_floor_first(tmp_path: Path) -> None:
    floors = {"resources": (("base",), ("dagster_resources",))}
    tables = room_map(write(tmp_path, FILES), floors)
    assert tables == (
        "### `resources/`\n\nWhat both programs share.\n\n"
        "| floor | room | what lives there | imports |\n|---|---|---|---|\n"
        "| 1 | [`dagster_resources`](../resources/dagster_resources.py) | The lake as Dagster sees it | base |\n"
        "| 0 | [`base`](../resources/base/) | Errors and ids, from errors.py and ids.py on | – |\n"
    )
    assert page_with_map(f"a\n{BEGIN}old\n{END}b\n", tables) == f"a\n{BEGIN}{tables}{END}b\n"


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("One.", "One"),
        ("One. Two.", "One"),
        ("The file `a.py`. Two.", "The file `a.py`"),
        ("Version 1.5 (see\nbelow). Two", "Version 1.5 (see below)"),
    ],
)
def test_the_first_sentence_ends_at_its_full_stop(docstring: str, sentence: str) -> None:
    assert first_sentence(docstring) == sentence


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_links_lead_to_what_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [each for each in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in each]
    assert len(targets) > 5
    assert [each for each in targets if not ((ROOT / name).parent / each).exists()] == []


@pytest.mark.parametrize(
    ("title", "first", "last"),
    [
        ("From an upload to a release", "bento_service/", "resources/release/pointer.py"),
        ("From a request to an answer", "bento_service/", "bento_service/"),
    ],
)
def test_a_flow_has_few_hops_and_each_leads_to_a_file(title: str, first: str, last: str) -> None:
    steps = hops(title)
    files = [re.findall(r"\]\(\.\./([^)]+\.py)\)", step) for step in steps]
    assert 5 <= len(steps) <= MOST_HOPS
    assert all(files), [step for step, found in zip(steps, files, strict=True) if not found]
    assert files[0][0].startswith(first)
    assert files[-1][-1].startswith(last)
