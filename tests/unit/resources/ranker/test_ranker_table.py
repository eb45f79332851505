"""Answers from an item table: the same suites that hold for vectors, and what is true of tables alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse

from recsaas_assets.recommender.metrics.scorers import rank_blocks
from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.release.item_table import ItemTable

from .conftest import table_of

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


@pytest.fixture(params=["ties", "no ties"])
def big(request: pytest.FixtureRequest, shop: Any) -> Ranker:
    """4,000 items of 30 neighbours each, 30 users with up to 100 items seen, some hidden and unknown items.

    "ties" are whole numbers without a prior, so that most scores are equal to others; else none are.
    """
    ties = request.param == "ties"
    rng = np.random.default_rng(0)
    n = 4_000
    rows = np.repeat(np.arange(n), 30)
    columns = (rows + rng.integers(1, n, size=len(rows))) % n
    values = rng.integers(-1, 4, size=len(rows)) if ties else rng.normal(size=len(rows))
    matrix = sparse.csr_array((values.astype(np.float32), (rows, columns)), shape=(n, n))
    matrix.sum_duplicates()
    table = ItemTable(
        indptr=matrix.indptr.astype(np.int64),
        items=matrix.indices.astype(np.int32),
        values=matrix.data,
        prior=np.zeros(n, np.float32) if ties else rng.random(n, dtype=np.float32),
    )
    users = [
        (f"u{row}", NOBODY, rng.choice(n, size=int(rng.integers(0, 100)) if row else 0, replace=False))
        for row in range(30)
    ]
    return shop(
        [f"i{row}" for row in range(n)],
        np.zeros((n, 0)),
        users,
        algorithm="ease",
        table=table,
        has_vector=rng.random(n) < 0.95,
        available=rng.random(n) < 0.9,
        in_catalogue=rng.random(n) < 0.9,
        category=["rare" if row % 50 == 0 else "often" for row in range(n)],
    )


def _ranked(ranker: Ranker) -> NDArray[np.bool_]:
    catalogue = ranker.release.catalogue
    return catalogue.has_vector & catalogue.available & catalogue.in_catalogue


def _scores(ranker: Ranker, users: NDArray[np.int32]) -> NDArray[np.float32]:
    """Scores `(n, n_items)` by the table of the release; −inf for what may not be answered."""
    table = ranker.release.item_table
    assert table is not None
    dense = np.stack([table.scores(ranker.release.history(f"u{user}")) for user in users.tolist()])
    dense[:, ~_ranked(ranker)] = -np.inf
    return dense


class TestEvaluatedIsServed:
    @pytest.mark.parametrize("k", [1, 10, 350])
    @pytest.mark.parametrize("exclude_seen", [True, False])
    def test_what_is_answered_is_the_order_of_the_scores(self, big: Ranker, k: int, exclude_seen: bool) -> None:
        release = big.release
        for user, scores in enumerate(_scores(big, np.arange(30, dtype=np.int32))):
            history = release.history(f"u{user}")
            if not len(history):
                continue
            if exclude_seen:
                scores[history] = -np.inf
            best = np.lexsort((np.arange(len(scores)), -scores))[:k]
            answer = big.recommend(RankingQuery(f"u{user}", k, exclude_seen=exclude_seen))
            assert ids(answer) == [f"i{row}" for row in best]
            assert {item.source for item in answer.items} == {"model"}

    @pytest.mark.parametrize("big", ["no ties"], indirect=True)
    @pytest.mark.parametrize("k", [1, 10, 350])
    def test_what_evaluation_ranks_is_what_is_answered(self, big: Ranker, k: int) -> None:
        release = big.release
        ones = np.ones(len(release.seen_items), np.float32)
        seen = sparse.csr_array((ones, release.seen_items, release.seen_indptr), shape=(30, release.catalogue.size))
        users = np.array([user for user in range(30) if len(release.history(f"u{user}"))], dtype=np.int32)
        rows, _ = rank_blocks(lambda asked: torch.from_numpy(_scores(big, asked)), users, k, seen)
        for user, ranked in zip(users.tolist(), rows, strict=True):
            assert ids(big.recommend(RankingQuery(f"u{user}", k))) == [f"i{row}" for row in ranked]

    def test_no_answer_has_a_hidden_a_seen_or_a_repeated_item(self, big: Ranker) -> None:
        catalogue = big.release.catalogue
        may = {f"i{row}" for row in np.flatnonzero(catalogue.available & catalogue.in_catalogue)}
        for user in range(0, 30, 3):
            ranking = big.recommend(RankingQuery(f"u{user}", 4000))
            assert set(ids(ranking)) == may - {f"i{row}" for row in big.release.history(f"u{user}")}
            assert_well_formed(ranking)

    def test_a_longer_answer_starts_with_the_shorter_one(self, big: Ranker) -> None:
        for user in ("u0", "u1", "u2", None):
            for more in ({}, {"diversity": 0.3}, {"max_per_category": 3}):
                whole = ids(big.recommend(RankingQuery(user, 50, **more)))
                assert whole[:7] == ids(big.recommend(RankingQuery(user, 7, **more)))
                assert whole[7:20] == ids(big.recommend(RankingQuery(user, 13, offset=7, **more)))

    def test_the_exact_list_and_the_place_are_those_of_the_answer(self, big: Ranker) -> None:
        for query in (RankingQuery("u3", 60), RankingQuery(None, 60, recent_items=("i5", "i77"))):
            answer = big.recommend(query)
            assert big.exact(query) == answer
            for item in (answer.items[0], answer.items[59]):
                assert big.place(item.item_id, query).item == item
        left_out = next(f"i{row}" for row in big.release.history("u3"))
        assert big.place(left_out, RankingQuery("u3", 5)).state in ("seen", "unavailable")
        assert big.place("nothing", RankingQuery("u3", 5)).state == "unknown"

    def test_a_boost_is_the_order_of_scores_times_factors(self, big: Ranker) -> None:
        rare = tuple(f"i{row}" for row in range(0, 4_000, 50))
        rules = RankRules(boosts=dict.fromkeys(rare, 1.3))
        plain = {item.item_id: item.score for item in big.recommend(RankingQuery("u5", 3_000)).items}
        answer = big.recommend(RankingQuery("u5", 200), rules=rules)
        model = [item.item_id for item in answer.items]
        factors = {item_id: score * (1.3 if item_id in rare else 1.0) for item_id, score in plain.items()}
        assert [factors[item_id] for item_id in model] == sorted(factors.values(), reverse=True)[:200]

    def test_threads_share_a_ranker(self, big: Ranker) -> None:
        expected = [big.recommend(RankingQuery(f"u{user}", 10)) for user in range(30)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda user: big.recommend(RankingQuery(f"u{user}", 10)), range(30))) == expected


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
