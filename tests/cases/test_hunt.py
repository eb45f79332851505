"""What other products were blamed for does not happen here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.conftest import OpenTrial
from tests.cases.hunted import FOLDER, HUNTED
from tests.cases.right import problems


@pytest.mark.parametrize("name", HUNTED)
def test_a_complaint_about_another_product_is_none_about_ours(name: str, trial: OpenTrial) -> None:
    case = HUNTED[name].case
    tried = trial(case.settings).tried(case.kind, FOLDER / name, name)
    found = problems(case, tried.answer, tried.accepted)
    assert not found, "\n".join(found)


def test_every_input_has_a_complaint() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(HUNTED)


def test_the_page_names_every_complaint() -> None:
    page = (Path(__file__).parents[2] / "docs" / "real-files.md").read_text(encoding="utf-8")
    lines = {name: next((line for line in page.splitlines() if f"hunt/{name})" in line), "") for name in HUNTED}
    assert [name for name, each in HUNTED.items() if not all(source in lines[name] for source in each.sources)] == []
