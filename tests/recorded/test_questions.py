"""The recorded questions are answered as they were when they were recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.recorded.ask import Asking
from tests.recorded.invented import QUESTIONS, invented
from tests.recorded.questions import SEED, SHOWN, asked, differences, read
from tests.recorded.site import opened


def test_the_recorded_questions_are_answered_as_they_were(tmp_path: Path) -> None:
    questions, before = read()
    assert len(questions) == QUESTIONS
    found = list(differences(questions, before, asked(questions, tmp_path)))
    if found:
        shown = "\n".join(found[:SHOWN])
        pytest.fail(f"{len(found)} of {QUESTIONS} answers differ from the recorded ones, the first:\n{shown}")


def test_the_questions_are_those_of_the_seed() -> None:
    assert invented(SEED) == read()[0]


def test_a_rule_more_is_noticed(tmp_path: Path) -> None:
    questions, before = read()
    first = next(n for n, each in enumerate(questions) if each["do"] == "POST /events")
    with opened(tmp_path) as site:
        rule = {"kind": "hide", "target": {"category": "garden"}}
        assert site.send("blue", "POST /api/v1/rules", rule)[0] == 201
        answers = list(Asking(site).answers(questions[:first]))
    found = list(differences(questions[:first], before[:first], answers))
    assert found
    assert all("blue" in each.splitlines()[0] for each in found), "the other shops have no such rule"


def test_scores_may_be_off_by_a_rounding_and_by_nothing_more() -> None:
    question = {"by": "blue", "do": "GET /"}
    before = '[{"score":0.25,"rank":1},{"score":0.125,"rank":2}]'
    assert not list(differences([question], [before], [before.replace("0.25", "0.25000002")]))
    for other in (before.replace("0.25", "0.250001"), before.replace("rank", "place"), before.replace("2}", "3}"), ""):
        (told,) = differences([question], [before], [other])
        assert json.dumps(question) in told
