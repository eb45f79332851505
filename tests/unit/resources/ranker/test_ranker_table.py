"""Answers from an item table: the same suites that hold for vectors, and what is true of tables alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from tests.unit.resources.ranker.conftest import table_of

NOBODY: list[float] = []


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def assert_well_formed(ranking: Ranking) -> None:
    assert [item.rank for item in ranking.items] == list(range(1, len(ranking.items) + 1))
    scores = [item.score for item in ranking.items]
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert len(set(ids(ranking))) == len(ranking.items)
    assert all(item.reason for item in ranking.items)


def by_table(shop: Any, weights: Any, users: Any = (), *, prior: Any = None, **more: Any) -> Ranker:
    """A shop of items a, b, c, … that is answered from a table, without any vector unless given."""
    n = len(weights)
    vectors = more.pop("vectors", np.zeros((n, 0)))
    more.setdefault("has_vector", [True] * n)
    people = [(user, np.zeros(np.shape(vectors)[1]), seen) for user, seen in users]
    algorithm = more.pop("algorithm", "item_knn")
    return shop(
        [chr(ord("a") + row) for row in range(n)],
        vectors,
        people,
        algorithm=algorithm,
        table=table_of(weights, prior),
        **more,
    )


FIVE = [
    [0, 3, 1, 0, 0],
    [3, 0, 0, 2, 0],
    [1, 0, 0, 0, 0],
    [0, 2, 0, 0, 0],
    [0, 0, 0, 0, 0],
]
"""What a, b, c and d say for each other; e says nothing, and nothing is said for it."""


@pytest.fixture
def five(shop: Any) -> Ranker:
    """Ann has a; bo has a and b; eve has e."""
    return by_table(
        shop,
        FIVE,
        [("ann", [0]), ("bo", [0, 1]), ("eve", [4])],
        category=["X", "X", "Y", "Y", None],
        price=[1.0, 2.0, 3.0, None, 5.0],
        has_vector=[True, True, True, True, False],
    )


class TestKnownUser:
    def test_the_order_of_the_table_then_popular_items(self, five: Ranker) -> None:
        ranking = five.recommend(RankingQuery("ann", 10))
        assert ids(ranking) == ["b", "c", "d", "e"]
        assert [item.source for item in ranking.items] == ["model", "model", "model", "popular"]
        assert (ranking.algorithm, ranking.degraded, ranking.fallback_reason) == ("item_knn", False, None)
        assert_well_formed(ranking)

    def test_sums_over_the_history(self, five: Ranker) -> None:
        assert ids(five.recommend(RankingQuery("bo", 2))) == ["d", "c"]  # 2 by b, 1 by a

    def test_scores_are_the_documented_map(self, five: Ranker) -> None:
        spread = np.std([0, 3, 1, 0, 0])
        z = np.array([3, 1, 0]) / spread
        scores = [item.score for item in five.recommend(RankingQuery("ann", 3)).items]
        assert scores == pytest.approx((1 + z / (z + 4)) / 2)

    def test_the_prior_is_added_to_standard_scores(self, shop: Any) -> None:
        ranker = by_table(shop, FIVE, [("ann", [0])], prior=[0, 0, 0, 2.0, 0])
        assert ids(ranker.recommend(RankingQuery("ann", 4))) == ["b", "d", "c", "e"]

    def test_filters_hold(self, five: Ranker) -> None:
        assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(category="y")))) == ["c", "d"]
        assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(exclude_ids=("b",), max_price=9)))) == [
            "c",
            "e",
        ]
        assert ids(five.recommend(RankingQuery("ann", 2, exclude_seen=False))) == ["b", "c"]
        nothing = five.recommend(RankingQuery("ann", 5, filters=Filters(category="none")))
        assert (nothing.items, nothing.fallback_reason) == ((), "no_matching_item")

    def test_only_an_item_that_the_table_does_not_know_passes(self, five: Ranker) -> None:
        ranking = five.recommend(RankingQuery("ann", 3, filters=Filters(min_price=4)))
        assert (ids(ranking), ranking.algorithm, ranking.fallback_reason) == (["e"], "popularity", "no_model_item")

    def test_a_history_that_says_nothing(self, five: Ranker) -> None:
        ranking = five.recommend(RankingQuery("eve", 2))
        assert (ids(ranking), ranking.fallback_reason, ranking.algorithm) == (
            ["a", "b"],
            "user_without_vector",
            "popularity",
        )

    def test_all_seen_is_answered_again(self, five: Ranker) -> None:
        ranking = five.recommend(RankingQuery("ann", 9, recent_items=("b", "c", "d", "e")))
        assert (set(ids(ranking)), ranking.degraded, ranking.fallback_reason) == (set("abcde"), True, "all_seen")


class TestEvents:
    def test_move_a_known_user(self, five: Ranker) -> None:
        moved = five.recommend(RankingQuery("ann", 2, recent_items=("b",)))
        assert ids(moved) == ids(five.recommend(RankingQuery("bo", 2))) == ["d", "c"]
        assert {item.source for item in moved.items} == {"model"}
        still = five.recommend(RankingQuery("ann", 2, recent_items=("b",), recompute=False))
        assert ids(still) == ["c", "d"]  # b counts as seen, and says nothing

    def test_make_a_new_user(self, five: Ranker) -> None:
        for user, recompute in ((None, True), ("who", True), ("eve", False)):
            ranking = five.recommend(RankingQuery(user, 2, recent_items=("b",), recompute=recompute))
            assert ids(ranking) == ["a", "d"]
            assert [item.source for item in ranking.items] == ["fold_in", "fold_in"]
            assert (ranking.algorithm, ranking.fallback_reason) == ("item_knn", None)

    def test_an_event_counts_as_often_as_it_happened(self, five: Ranker) -> None:
        once = five.recommend(RankingQuery(None, 3, recent_items=("c", "d"), exclude_seen=False))
        assert ids(once)[:2] == ["b", "a"]
        thrice = five.recommend(RankingQuery(None, 3, recent_items=("c", "d", "c", "c"), exclude_seen=False))
        assert ids(thrice)[:2] == ["a", "b"]

    def test_a_dislike_weighs_minus_one_and_is_never_a_reason(self, five: Ranker) -> None:
        query = RankingQuery(None, 4, recent_items=("a", "b"), recent_weights=(1.0, -1.0))
        ranking = five.recommend(query)
        assert ids(ranking) == ["c", "d", "e"]  # d by −2: below everything that the table ranks; e is popular at most
        assert [item.reason for item in ranking.items][:2] == [
            "Because of your interest in Title a",
            "Recommended for you",
        ]
        undone = five.recommend(RankingQuery("ann", 1, recent_items=("a",), recent_weights=(-1.0,)))
        assert undone.fallback_reason == "user_without_vector"

    def test_unknown_users_and_events_that_say_nothing(self, five: Ranker) -> None:
        for recent in ((), ("no such item",), ("e",)):
            ranking = five.recommend(RankingQuery("who", 1, recent_items=recent))
            assert (ids(ranking), ranking.fallback_reason) == (["a"], "unknown_user")

    def test_items_added_since_say_nothing_and_can_be_popular(self, five: Ranker) -> None:
        overlay = ItemOverlay(opened={"new": ChangedItem(title="New")})
        ranking = five.recommend(RankingQuery("ann", 9, recent_items=("new", "b")), overlay=overlay)
        assert ids(ranking) == ["d", "c", "e"]
        assert ids(five.recommend(RankingQuery("ann", 9), overlay=overlay)) == ["b", "c", "d", "e", "new"]
        assert ids(five.recommend(RankingQuery("ann", 9, diversity=0.5), overlay=overlay))[-1] == "new"


class TestReasons:
    def test_the_item_that_contributed_most_is_named(self, shop: Any) -> None:
        rng = np.random.default_rng(1)
        weights = rng.normal(size=(20, 20)) * (rng.random((20, 20)) < 0.4)
        np.fill_diagonal(weights, 0)
        history = [3, 7, 1, 12, 9]
        ranker = by_table(shop, weights, [("ann", history)])
        recent, times = ("e", "d", "e"), (1.0, 1.0, 1.0)  # rows 4 twice and 3 once more
        query = RankingQuery("ann", 20, recent_items=recent, recent_weights=times, exclude_seen=False)
        strength = dict.fromkeys(history, 1.0) | {3: 2.0, 4: 2.0}
        checked = 0
        for item in ranker.recommend(query).items:
            row = ord(item.item_id) - ord("a")
            summands = {j: w * np.float32(weights[j, row]) for j, w in strength.items() if j != row}
            best = max(summands, key=lambda j: summands[j])
            expected = f"Title {chr(ord('a') + best)}"
            if summands[best] > 0:
                assert item.reason == f"Because of your interest in {expected}"
                checked += 1
            else:
                assert item.reason == "Recommended for you"
        assert checked > 10

    def test_what_the_shop_took_back_is_not_named(self, five: Ranker) -> None:
        hidden = five.recommend(RankingQuery("bo", 1), rules=RankRules(hidden=frozenset("b")))
        closed = five.recommend(RankingQuery("bo", 1), overlay=ItemOverlay(closed=frozenset("b")))
        for ranking in (hidden, closed):
            assert [(item.item_id, item.reason) for item in ranking.items] == [("d", "Recommended for you")]


class TestSimilar:
    def test_the_row_of_the_table_and_never_itself(self, five: Ranker) -> None:
        ranking = five.similar(SimilarQuery("a", 2))
        assert ids(ranking) == ["b", "c"]
        assert [item.score for item in ranking.items] == pytest.approx([1, 1 / 3])
        assert {(item.reason, item.source) for item in ranking.items} == {("Similar to Title a", "model")}
        assert ids(five.similar(SimilarQuery("a", 9, filters=Filters(category="y")))) == ["c", "d"]
        assert_well_formed(five.similar(SimilarQuery("a", 9)))

    def test_an_item_without_a_row(self, five: Ranker) -> None:
        ranking = five.similar(SimilarQuery("e", 9))
        assert (ids(ranking), ranking.fallback_reason) == (["a", "b", "c", "d"], "item_without_vector")

    def test_what_the_item_speaks_against_is_not_similar(self, shop: Any) -> None:
        ranker = by_table(shop, [[0, -1, 2], [0, 0, 0], [-1, -1, 0]], algorithm="ease")
        ranking = ranker.similar(SimilarQuery("a", 9))
        assert [(item.item_id, item.source) for item in ranking.items] == [("c", "model"), ("b", "popular")]
        assert ranker.similar(SimilarQuery("c", 9)).fallback_reason == "item_without_vector"

    def test_vectors_that_the_release_carries_speak_for_an_item_without_a_row(self, shop: Any) -> None:
        ranker = by_table(
            shop,
            FIVE,
            vectors=[[1, 0], [0, 1], [1, 1], [0, 0], [2, 0]],
            vector_source=["model", "model", "model", None, "content"],
        )
        ranking = ranker.similar(SimilarQuery("e", 2))
        assert [(item.item_id, item.source) for item in ranking.items] == [("a", "content"), ("c", "content")]
        assert ids(ranker.similar(SimilarQuery("a", 2))) == ["b", "c"]  # by the table, not by vectors


def test_items_that_nobody_had_met_are_not_ranked_by_a_table(shop: Any) -> None:
    """They may have vectors from content; the table was fitted, and measured, without them."""
    source = ["model", "model", "model", "model", "content"]
    ranker = by_table(shop, FIVE, [("ann", [0])], vectors=np.ones((5, 2)), vector_source=source, algorithm="ease")
    ranking = ranker.recommend(RankingQuery("ann", 9))
    assert [item.source for item in ranking.items] == ["model", "model", "model", "popular"]
    assert ids(ranking) == ["b", "c", "d", "e"]


class TestRulesAndDiversity:
    def test_pins_boosts_and_hidden_items(self, five: Ranker) -> None:
        rules = RankRules(pinned=("e",), boosts={"d": 4.0}, hidden=frozenset("b"))
        ranking = five.recommend(RankingQuery("ann", 9), rules=rules)
        assert [(item.item_id, item.source) for item in ranking.items] == [
            ("e", "pinned"),
            ("d", "model"),
            ("c", "model"),
        ]
        assert_well_formed(ranking)

    def test_at_most_so_many_of_a_category(self, five: Ranker) -> None:
        assert ids(five.recommend(RankingQuery("ann", 9, max_per_category=1))) == ["b", "c", "e"]

    def test_diversity_parts_what_speaks_for_each_other(self, shop: Any) -> None:
        weights = np.zeros((4, 4))
        weights[0, 1:] = 1.0, 0.9, 0.8  # a speaks for b, c and d
        weights[1, 2] = weights[2, 1] = 1.0  # b and c are alike, d is like none of them
        weights[3, 0] = 0.5
        ranker = by_table(shop, weights, [("ann", [0])])
        assert ids(ranker.recommend(RankingQuery("ann", 3))) == ["b", "c", "d"]
        assert ids(ranker.recommend(RankingQuery("ann", 3, diversity=0.5))) == ["b", "d", "c"]


class TestSmallest:
    def test_no_items_and_no_users(self, shop: Any) -> None:
        ranker = by_table(shop, np.zeros((0, 0)), [("ann", [])])
        assert ranker.recommend(RankingQuery("ann", 5)).fallback_reason == "no_matching_item"
        assert ids(by_table(shop, [[0]]).recommend(RankingQuery("ann", 3))) == ["a"]

    def test_one_item_that_was_seen(self, shop: Any) -> None:
        ranking = by_table(shop, [[0]], [("ann", [0])]).recommend(RankingQuery("ann", 3))
        assert (ids(ranking), ranking.degraded) == (["a"], True)


def test_the_index_and_the_vectors_are_not_needed(five: Ranker) -> None:
    (five.release.directory / "index.faiss").write_bytes(b"nonsense")
    assert ids(Ranker(five.release).recommend(RankingQuery("ann", 1))) == ["b"]


def test_memory_is_counted(five: Ranker) -> None:
    table = five.release.item_table
    assert table is not None
    assert five.bytes_in_memory > table.nbytes > 0
