"""Items that a user may buy again, among those that are new to the user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.ranker.retrieval.repeats import leads, merged_order
from resources.release.manifest import RepeatCurve

CURVE = RepeatCurve(age=0, overdue=0, early=-10, slope=-1, earliest_days=1)
ANN = [("ann", [1, 0.1], [5, 2, 3, 4])]
# Beside f, c, d and e: f was only looked at, c comes first, d behind the second new item, e is bought every 30 days.
COLUMNS = [[0, 0, 0], [1, 10, 7], [-0.9, 10, 7], [9, 0.5, 30]]


def with_repeats(ranker: Ranker, columns: Any = COLUMNS, curve: RepeatCurve = CURVE) -> Ranker:
    manifest = ranker.release.manifest.model_copy(update={"repeats": curve})
    return Ranker(replace(ranker.release, repeats=np.array(columns, np.float32), manifest=manifest))


@pytest.fixture
def seven(shop) -> Ranker:
    return with_repeats(
        shop(
            ["a", "b", "c", "d", "e", "f", "g"],
            [[1, 0], [0.9, 0], [0.8, 0.1], [0.1, 0.5], [0, 0.4], [0.7, 0], [0.1, 0]],
            ANN,
            category=["X", "X", "X", "Y", "Y", "X", "X"],
        )
    )


def named(ranking: Ranking) -> str:
    """Item ids in their order, those to buy again in capitals."""
    return "".join(item.item_id.upper() if item.source == "repeat" else item.item_id for item in ranking.items)


def ask(ranker: Ranker, *, rules: RankRules | None = None, overlay: ItemOverlay | None = None, **query: Any) -> Ranking:
    asked = RankingQuery("ann", query.pop("count", 9), **{"exclude_seen": None, **query})
    ranking = ranker.recommend(asked, rules=rules, overlay=overlay)
    scores = [item.score for item in ranking.items]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    for item in ranking.items:
        assert ranker.place(item.item_id, asked, rules=rules, overlay=overlay).item == item
    return ranking


def test_what_is_due_has_its_place_among_the_new(seven: Ranker) -> None:
    ranking = ask(seven)
    assert named(ranking) == "CabDg"
    assert {item.reason for item in ranking.items if item.source == "repeat"} == {"Buy it again"}
    assert (ranking.algorithm, ranking.fallback_reason) == ("lightgcn", None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"exclude_seen": True}, "abg"),
        ({"exclude_seen": False}, "CabDfge"),  # f, only looked at, and e, just bought: where the model has them
        ({"count": 2}, "Ca"),
        ({"bought": ("c", "no such item")}, "abDg"),
        ({"bought": ("c", "d")}, "abg"),
        ({"days": 400}, "ECabDg"),  # it is time for e, too
        ({"filters": Filters(category="Y")}, "D"),
        ({"filters": Filters(exclude_ids=("c",))}, "abDg"),
        ({"max_per_category": 1}, "CD"),
        ({"rules": RankRules(hidden=frozenset("c"))}, "abDg"),
        ({"rules": RankRules(pinned=("d", "b"))}, "dbCag"),
        ({"rules": RankRules(boosts={"d": 100.0})}, "DCabg"),
        ({"overlay": ItemOverlay(closed=frozenset("c"))}, "abDg"),
        ({"recent_items": ("c", "b")}, "CagD"),  # looked at since: no purchase, and b has been seen
        ({"recent_items": ("c",), "recent_weights": (-1.0,)}, "abDg"),  # disliked since
    ],
)
def test_everything_that_changes_an_answer_holds_for_them_too(seven: Ranker, query: dict, expected: str) -> None:
    assert named(ask(seven, **query)) == expected


def test_a_page_goes_on_where_the_one_before_ended(seven: Ranker) -> None:
    whole = ask(seven, days=400)
    assert named(seven.recommend(RankingQuery("ann", 3, exclude_seen=None, days=400, offset=2))) == named(whole)[2:5]


def test_why_not_says_that_it_is_not_time_yet(seven: Ranker) -> None:
    seen, lately = (
        "The user has seen the item, or dislikes it.",
        "The user has bought the item lately: it waits for its time.",
    )
    for item, query, said in (
        ("e", {"exclude_seen": None}, lately),
        ("c", {"exclude_seen": None, "bought": ("c",)}, lately),
        ("f", {"exclude_seen": None}, seen),
        ("c", {"exclude_seen": True}, seen),
    ):
        place = seven.place(item, RankingQuery("ann", **query))
        assert (place.state, place.detail) == ("seen", said)


def test_diversity_orders_them_with_the_others(seven: Ranker) -> None:
    assert sorted(named(ask(seven, diversity=0.9))) == sorted("CabDg")


def test_nobody_else_is_concerned(seven: Ranker) -> None:
    for query in (RankingQuery("stranger", 9, exclude_seen=None), RankingQuery(None, 9, exclude_seen=None)):
        assert "repeat" not in {item.source for item in seven.recommend(query).items}


def test_a_release_of_popularity_has_them_too(shop) -> None:
    ranker = with_repeats(
        shop(["a", "b", "c", "d", "e", "f", "g"], np.zeros((7, 0)), [("ann", [], [5, 2, 3, 4])], algorithm="popularity")
    )
    ranking = ask(ranker)
    assert named(ranking) == "CabDg"
    assert ranking.fallback_reason == "popularity_release"


def test_a_release_without_what_was_learned_leaves_seen_items_out(shop) -> None:
    ranker = shop(["a", "b", "c"], [[3], [2], [1]], [("ann", [1], [0])])
    assert named(ranker.recommend(RankingQuery("ann", 9, exclude_seen=None))) == "bc"


def test_merging_agrees_with_sorting_by_hand() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        n, found = int(rng.integers(0, 12)), np.sort(rng.normal(size=rng.integers(0, 6)))[::-1]
        never = np.full(int(rng.integers(0, 3)), -np.inf)
        curve = CURVE.model_copy(update={"slope": -float(rng.random())})
        order = merged_order(curve, np.concatenate([found, never]), n).tolist()
        keyed = [(-curve.slope * np.log(place + 1), place) for place in range(n)]
        keyed += [(-lead, n + place) for place, lead in enumerate(found)]
        assert order == [place for _, place in sorted(keyed)]
        assert [place for place in order if place < n] == list(range(n))


def test_the_lead_follows_time() -> None:
    curve = RepeatCurve(age=-1, overdue=-2, early=-3, slope=-1, earliest_days=2)
    columns = np.array([[1, 0, 7], [1, 3, 7], [1, 7, 7], [1, 30, 7], [5, 7, 0]], np.float32)
    found = leads(curve, columns, 0)
    assert found[0] == found[4] == -np.inf
    day = np.log1p([3, 7, 30])
    late = day - np.log1p(7)
    assert found[1:4] == pytest.approx(1 - day - 2 * np.maximum(late, 0) - 3 * np.maximum(-late, 0))
    assert leads(curve, columns, 2)[0] > -np.inf
