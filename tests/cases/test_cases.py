"""Every file of the folder of cases is answered as a shop would call right; one that is not in the table holds up, too.

The folder lies beside the repository; RECSAAS_CASES names another. A file that is added there is tried.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resources.uploads.contract.columns import Kind
from tests.cases.conftest import OpenTrial
from tests.cases.expected import EXPECTED, SET
from tests.cases.right import Case, problems

FOLDER = Path(os.environ.get("RECSAAS_CASES") or Path(__file__).parents[3] / "shared" / "cases")
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md") if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(
    not FILES, reason=f"no files of cases at {FOLDER}; set RECSAAS_CASES to the folder that holds them"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_answered_as_its_shop_would_call_right(path: Path, trial: OpenTrial) -> None:
    case = EXPECTED.get(path.name)
    if case is None:
        pytest.skip(f"{path.name} is not in tests/cases/expected.py; the next test has tried it as every kind")
    tried = trial(case.settings).tried(case.kind, path, path.name)
    found = problems(case, tried.answer, tried.accepted)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_any_kind_is_read_or_refused_in_words(path: Path, trial: OpenTrial) -> None:
    """No crash, and one answer for the file however it is sent: `Trial.tried` compares them."""
    own = EXPECTED[path.name].kind if path.name in EXPECTED else None
    for kind in Kind:
        if kind.value != own:
            answer = trial({}).tried(kind.value, path, path.name).answer
            if isinstance(answer, str):
                assert len(answer.split()) > 4, f"what is to be done? {answer}"


@pytest.mark.parametrize(("name", "case"), SET, ids=[f"{name}-{next(iter(case.settings))}" for name, case in SET])
def test_a_setting_changes_the_answer(name: str, case: Case, trial: OpenTrial) -> None:
    tried = trial(case.settings).tried(case.kind, FOLDER / name, name)
    found = problems(case, tried.answer, tried.accepted)
    assert not found, "\n".join(found)


def test_every_case_of_the_table_is_in_the_folder() -> None:
    assert {path.name for path in FILES} >= set(EXPECTED)
