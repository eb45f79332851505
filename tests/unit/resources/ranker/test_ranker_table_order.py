"""A large release with an item table: the evaluation's lists, whole and in pages, by every way of asking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models.recipes import EaseRecipe, KnnRecipe
from recsaas_assets.recommender.item_models.table_scorer import TableScorer
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.release.item_table import ItemTable
from tests.unit.resources.ranker.test_ranker_table import NOBODY, assert_well_formed, ids


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
    @pytest.mark.parametrize("exclude_seen", [True, False])
    def test_what_evaluation_ranks_is_what_is_answered(self, big: Ranker, k: int, exclude_seen: bool) -> None:
        release = big.release
        assert release.item_table is not None
        ones = np.ones(len(release.seen_items), np.float32)
        seen = sparse.csr_array((ones, release.seen_items, release.seen_indptr), shape=(30, release.catalogue.size))
        users = np.array([user for user in range(30) if len(release.history(f"u{user}"))], dtype=np.int32)
        scorer = TableScorer(release.item_table, seen, _ranked(big))
        rows, _ = scorer.top_k(users, k, seen if exclude_seen else None)
        for user, ranked in zip(users.tolist(), rows, strict=True):
            answer = big.recommend(RankingQuery(f"u{user}", k, exclude_seen=exclude_seen))
            assert ids(answer) == [f"i{row}" for row in ranked]

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


@pytest.mark.parametrize("recipe", [KnnRecipe(), EaseRecipe(regularisation=10)], ids=["item_knn", "ease"])
def test_checkerboard_every_user_is_served_the_one_item_held_back(shop: Any, recipe: KnnRecipe | EaseRecipe) -> None:
    """User u has every item of its own parity but item u (after benfred/implicit): known, by events, and explained."""
    n = 20
    users, items = np.nonzero((np.add.outer(np.arange(n), np.arange(n)) % 2 == 0) & ~np.eye(n, dtype=bool))
    ids_of = [f"i{row}" for row in range(n)]
    ranker = shop(
        ids_of,
        np.zeros((n, 0)),
        [(f"u{user}", NOBODY, items[users == user]) for user in range(n)],
        algorithm=recipe.kind,
        table=recipe.table(Pairs.of(users, items), n, n),
        has_vector=[True] * n,
    )
    for user in range(n):
        history = tuple(ids_of[row] for row in items[users == user])
        for query in (RankingQuery(f"u{user}", n), RankingQuery("new", n, recent_items=history)):
            first, *others = ranker.recommend(query).items
            assert first.item_id == f"i{user}"
            assert first.reason in {f"Because of your interest in Title {item_id}" for item_id in history}
            assert {int(item.item_id[1:]) % 2 for item in others} == {1 - user % 2}
            assert all(item.score < first.score for item in others)
