"""What goes with a basket, by the bundle table of a release."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from resources.base.errors import InvalidInput, ItemNotFound
from resources.ranker.baskets.bundle import bundle, unknown_items
from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import BundleQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.release.manifest import BundleEvidence
from tests.unit.resources.ranker.conftest import table_of

WEIGHTS = [
    # phone case film lamp bulb desk
    [0.0, 0.9, 0.4, 0.0, 0.0, 0.0],
    [0.8, 0.0, 0.7, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.2, 0.0, 0.5, 0.0],
    [0.0, 0.0, 0.0, 0.5, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
]
ITEMS = ["phone", "case", "film", "lamp", "bulb", "desk"]
CATEGORIES = ["Phones", "Covers", "Covers", "Light", "Light", "Light"]


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def open_market(shop: Any, **more: Any) -> Ranker:
    """A shop whose first item is the most popular; nothing goes with the film and the desk."""
    return shop(ITEMS, [[0]] * 6, algorithm="popularity", category=CATEGORIES, bundles=table_of(WEIGHTS), **more)


@pytest.fixture
def market(shop) -> Ranker:
    return open_market(shop)


def test_what_goes_with_one_item_comes_first_and_says_with_what(market: Ranker) -> None:
    ranking = bundle(market, BundleQuery(("phone",), 2))
    assert ids(ranking) == ["case", "film"]
    assert {item.source for item in ranking.items} == {"bundle"}
    assert {item.reason for item in ranking.items} == {"Often bought together with Title phone"}
    assert (ranking.algorithm, ranking.degraded, ranking.fallback_reason) == ("association", False, None)
    assert [item.score for item in ranking.items] == pytest.approx([0.9 / 1.9, 0.4 / 1.4])


def test_the_evidence_of_the_whole_basket_adds_up_whatever_its_order(market: Ranker) -> None:
    answers = [bundle(market, BundleQuery(order, 9)) for order in permutations(("phone", "case", "lamp", "phone"))]
    assert all(each == answers[0] for each in answers)
    assert ids(answers[0])[:2] == ["film", "bulb"]  # 0.4 + 0.7 + 0.2 against 0.5
    assert not {"phone", "case", "lamp"} & set(ids(answers[0]))
    assert [item.reason for item in answers[0].items[:2]] == [
        "Often bought together with Title case",
        "Often bought together with Title lamp",
    ]
    scores = [item.score for item in answers[0].items]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(("evidence", "words"), [("carts", "in one basket with"), ("choices", "chosen together with")])
def test_reasons_claim_no_more_than_was_counted(shop, evidence: BundleEvidence, words: str) -> None:
    market = open_market(shop, evidence=evidence)
    assert bundle(market, BundleQuery(("phone",), 1)).items[0].reason == f"Often {words} Title phone"
    assert bundle(market, BundleQuery(("phone",), 1, explain=False)).items[0].reason is None


def test_items_with_nothing_to_go_with_them_are_answered_by_categories_that_do(market: Ranker) -> None:
    ranking = bundle(market, BundleQuery(("desk",), 9))
    # Of the desk's category the lamp and the bulb say something: for covers 0.2, and for each other 0.5.
    assert ids(ranking) == ["case", "film", "lamp", "bulb", "phone"]
    assert (ranking.algorithm, ranking.fallback_reason, ranking.degraded) == ("popularity", "no_association", False)
    assert {item.source for item in ranking.items} == {"popular"}


def test_a_release_without_a_table_answers_popular_items_of_the_category(shop) -> None:
    plain = shop(ITEMS, [[0]] * 6, algorithm="popularity", category=CATEGORIES)
    ranking = bundle(plain, BundleQuery(("bulb",), 3))
    assert (ids(ranking), ranking.fallback_reason) == (["lamp", "desk", "phone"], "no_association")


def test_filters_rules_and_changes_of_the_catalogue_hold(market: Ranker) -> None:
    asked = BundleQuery(("phone", "lamp"), 9)
    assert ids(bundle(market, BundleQuery(("phone",), 9, filters=Filters(category="Light")))) == [
        "lamp",
        "bulb",
        "desk",
    ]
    assert ids(bundle(market, BundleQuery(("phone",), 9, filters=Filters(exclude_ids=("case",)))))[0] == "film"
    rules = RankRules(pinned=("desk", "phone"), hidden=frozenset({"case"}))
    assert ids(bundle(market, asked, rules=rules)) == ["desk", "film", "bulb"]
    boosted = bundle(market, asked, rules=RankRules(boosts={"bulb": 3.0}))
    assert ids(boosted)[:3] == ["bulb", "case", "film"]
    gone = ItemOverlay(closed=frozenset({"case"}))
    assert ids(bundle(market, asked, overlay=gone))[0] == "film"
    nothing = bundle(market, BundleQuery(("phone",), filters=Filters(category="No such")))
    assert (nothing.items, nothing.fallback_reason) == ((), "no_matching_item")


def test_pages_are_parts_of_one_list(market: Ranker) -> None:
    whole = bundle(market, BundleQuery(("phone", "lamp"), 4))
    parts = [bundle(market, BundleQuery(("phone", "lamp"), 2, offset=offset)).items for offset in (0, 2)]
    assert (*parts[0], *parts[1]) == whole.items


def test_what_was_seen_is_left_out_as_long_as_anything_else_passes(market: Ranker) -> None:
    assert ids(bundle(market, BundleQuery(("phone",), 2, seen=("case", "desk")))) == ["film", "lamp"]
    ranking = bundle(market, BundleQuery(("phone",), 2, seen=tuple(ITEMS)))
    assert (ids(ranking), ranking.degraded, ranking.fallback_reason) == (["case", "film"], True, "all_seen")


def test_unknown_ids_are_passed_over_and_a_basket_of_them_alone_is_not_found(market: Ranker) -> None:
    known, both = BundleQuery(("phone",), 3), BundleQuery(("no such", "phone"), 3)
    assert bundle(market, both) == bundle(market, known)
    assert unknown_items(market, both.item_ids) == ("no such",)
    with pytest.raises(ItemNotFound, match="no such"):
        bundle(market, BundleQuery(("no such",)))
    with pytest.raises(InvalidInput, match="item_ids"):
        BundleQuery(())


def test_an_item_added_since_the_release_is_known_and_says_nothing(market: Ranker) -> None:
    new = ItemOverlay(opened={"new": ChangedItem(given=frozenset({"title"}), title="New")})
    assert unknown_items(market, ("new",), overlay=new) == ()
    assert bundle(market, BundleQuery(("new",), 1), overlay=new).fallback_reason == "no_association"
    assert ids(bundle(market, BundleQuery(("new", "phone"), 1), overlay=new)) == ["case"]
