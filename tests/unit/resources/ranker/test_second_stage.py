"""A release with a second stage: other order, same items, scores that fall; damage is noticed."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest

from resources.base.errors import ConfigurationError, CorruptRelease
from resources.ranker.eligibility.filters import Filters
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.second_stage.candidate_features import PAIR_FEATURES, TABLE_FEATURES, CandidateFeatures
from resources.ranker.second_stage.reordering import SecondStage
from resources.release.item_table import ItemTable
from tests.unit.resources.ranker.conftest import Shop

NAMES = (*PAIR_FEATURES, "user_age", "item_bonus")
WITH_TABLE = (*PAIR_FEATURES, *TABLE_FEATURES, "user_age", "item_bonus")


def trees(names: tuple[str, ...] = NAMES) -> bytes:
    """Trees for which an item is the better, the greater its bonus (the last feature)."""
    rng = np.random.default_rng(0)
    features = rng.random((400, len(names)))
    features[:, :-1] = 0
    labels = (features[:, -1] * 4).astype(int)
    parameters = {"objective": "lambdarank", "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    data = lightgbm.Dataset(features, labels, group=[20] * 20, feature_name=list(names))
    return lightgbm.train(parameters, data, 60).model_to_string().encode()


@pytest.fixture
def plain(shop: Shop) -> Ranker:
    """Four items whose vectors say i0 > i1 > i2 > i3 for ann, who has seen none of them."""
    vectors = [[1.0, 0], [0.99, 0], [0.98, 0], [0.97, 0], [0, 1]]
    return shop(["i0", "i1", "i2", "i3", "i4"], vectors, [("ann", [1, 0], [4]), ("bea", [0, 0], [])])


def with_second_stage(ranker: Ranker, **changes: Any) -> Ranker:
    files = {
        "second_stage_users": np.zeros((2, 1), np.float32),
        "second_stage_items": np.array([[0.1], [0.4], [0.6], [0.9], [0.9]], np.float32),
    }
    (ranker.release.directory / "second_stage.txt").write_bytes(changes.pop("trees", trees()))
    return Ranker(replace(ranker.release, **{**files, **changes}))


def ids(ranker: Ranker, user: str, count: int, **more: Any) -> list[str]:
    return [item.item_id for item in ranker.recommend(RankingQuery(user, count, **more)).items]


def test_the_trees_order_the_candidates_and_the_scores_stay_those_of_the_places(plain: Ranker) -> None:
    ranker = with_second_stage(plain)

    assert ids(plain, "ann", 4) == ["i0", "i1", "i2", "i3"]
    assert ids(ranker, "ann", 4) == ["i3", "i2", "i1", "i0"]
    # Also what the retrieval puts behind the places that were asked for.
    assert ids(ranker, "ann", 2) == ["i3", "i2"]
    answers = [each.recommend(RankingQuery("ann", 4)).items for each in (plain, ranker)]
    scores = [[item.score for item in items] for items in answers]
    assert scores[0] == scores[1]
    assert {item.source for item in answers[1]} == {"model"}


def test_users_without_a_vector_and_filters_are_served_as_before(plain: Ranker) -> None:
    ranker = with_second_stage(plain)

    assert ids(ranker, "bea", 5) == ids(plain, "bea", 5)
    assert ids(ranker, "nobody", 5) == ids(plain, "nobody", 5)
    assert "i4" not in ids(ranker, "ann", 5, recent_items=("i3",))[:3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trees": b"no trees"}, "is not a LightGBM model"),
        ({"trees": trees(NAMES[:-1])}, "trained on other features"),
        ({"trees": trees(("other", *NAMES[1:]))}, "trained on other features"),
        ({"second_stage_items": np.zeros((5, 2), np.float32)}, "trained on other features"),
        ({"second_stage_items": None}, "a part of the second stage is missing"),
        ({"trees": trees(WITH_TABLE)}, "the item table that the second stage needs is missing"),
    ],
)
def test_answers_do_without_a_second_stage_that_does_not_fit(
    plain: Ranker, changes: dict[str, Any], message: str
) -> None:
    ranker = with_second_stage(plain, **changes)

    assert message in str(ranker.second_stage_problem)
    with pytest.raises(CorruptRelease, match=message):
        SecondStage.of_release(ranker.release)
    answer = ranker.recommend(RankingQuery("ann", 4))
    assert answer.items == plain.recommend(RankingQuery("ann", 4)).items
    assert (answer.degraded, answer.fallback_reason) == (True, "second_stage_unavailable")
    # Nobody is degraded whom the second stage would not have served.
    assert ranker.recommend(RankingQuery("nobody", 4)) == plain.recommend(RankingQuery("nobody", 4))


def test_answers_do_without_lightgbm(plain: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    ranker = with_second_stage(plain)

    assert "pip install lightgbm" in str(ranker.second_stage_problem)
    with pytest.raises(ConfigurationError):
        SecondStage.of_release(ranker.release)
    assert ids(ranker, "ann", 4) == ids(plain, "ann", 4)


def test_a_release_without_one_does_not_load_lightgbm(plain: Ranker) -> None:
    assert SecondStage.of_release(plain.release) is None


def test_the_features_of_a_candidate() -> None:
    describe = CandidateFeatures(
        item_vectors=np.array([[2, 0, 9], [0, 1, 9], [3, 4, 9]], np.float32),
        taste_dimensions=2,
        users=np.array([[10.0]], np.float32),
        items=np.array([[5, 0], [-1, 0], [20, 1]], np.float32),
        user_names=("avg_purchase_price",),
        item_names=("price", "category"),
        table=None,
    )
    allowed = np.ones(3, bool)
    rows, scores = np.array([2, 0], np.int32), np.array([3.0, 1.0])

    found = describe(0, np.array([1, 0, 1], np.float32), rows, scores, np.array([1], np.int32), allowed)

    expected = {
        "score": [3, 1],
        "place": [0, 1],
        "standard_score": [1, -1],
        "score_below_best": [0, 2],
        "taste": [3, 2],
        "likeness_to_newest": [0.8, 0],
        "likeness_at_most": [0.8, 0],
        "likeness_on_average": [0.8, 0],
        "share_of_category": [0, 1],
        "price_to_usual": [2, 0.5],
        "user_avg_purchase_price": [10, 10],
        "item_price": [20, 5],
        "item_category": [1, 0],
    }
    assert dict(zip(describe.names, found.features.T.round(5).tolist(), strict=True)) == {
        name: [pytest.approx(value, abs=1e-5) for value in values] for name, values in expected.items()
    }
    without_history = describe(0, np.array([1, 0, 1], np.float32), rows, scores, np.array([], np.int32), allowed)
    assert (without_history.features[:, 5:9] == -1).all()


def table(entries: dict[int, dict[int, float]], n_items: int) -> ItemTable:
    rows = [sorted(entries.get(row, {}).items()) for row in range(n_items)]
    return ItemTable(
        indptr=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        items=np.array([item for row in rows for item, _ in row], np.int32),
        values=np.array([value for row in rows for _, value in row], np.float32),
        prior=np.zeros(n_items, np.float32),
    )


def test_the_table_adds_candidates_that_are_allowed() -> None:
    describe = CandidateFeatures(
        item_vectors=np.array([[3.0], [2.0], [1.0], [0.5], [0.2], [0.1]], np.float32),
        taste_dimensions=None,
        users=np.zeros((1, 0), np.float32),
        items=np.array([[0.0], [1.0], [1.0], [0.0], [1.0], [-1.0]], np.float32),
        user_names=(),
        item_names=("category",),
        # The older of the user's two items, 1, speaks for 3 and 4, the newer one, 2, for 4 and for what is not allowed.
        table=table({1: {3: 0.5, 4: 0.4}, 2: {0: 0.1, 4: 0.2, 5: 0.9}}, 6),
    )
    allowed = np.array([True, False, False, True, True, False])
    history = np.array([1, 2], np.int32)

    found = describe(0, np.array([1.0], np.float32), np.array([0], np.int32), np.array([3.0]), history, allowed)

    named = dict(zip(describe.names, found.features.T.round(5).tolist(), strict=True))
    assert found.rows.tolist() == [0, 4, 3]  # the retrieval's first, then by 0.2 + 0.9 · 0.4 and by 0.9 · 0.5
    assert named["score"] == [3, pytest.approx(0.2), 0.5]
    assert named["place"] == [0, 1, 1]
    spread = np.std([0.1, 0, 0, 0.45, 0.56, 0.9])
    assert named["table_score"] == pytest.approx((np.array([0.1, 0.56, 0.45]) / spread).tolist(), abs=1e-4)
    assert named["table_place"] == [2, 0, 1]
    assert named["table_at_most"] == pytest.approx([0.1, 0.4, 0.5])
    assert named["table_newest"] == pytest.approx([0.1, 0.2, 0])
    assert named["category_places_ago"] == [2, 0, 2]  # item 4 is of the newest item's category, the others of none had


def test_an_item_of_the_table_comes_into_the_answer(shop: Shop) -> None:
    # 160 items in the order of their vectors; the table says that the last one goes with what ann has.
    items = [f"i{row:03}" for row in range(161)]
    vectors = [[1.0 - row / 1000] for row in range(161)]
    plain = shop(items, vectors, [("ann", [1], [160])])
    bonus = np.zeros((161, 1), np.float32)
    bonus[159] = 1
    more = {"second_stage_users": np.zeros((1, 1), np.float32), "second_stage_items": bonus}
    goes_with = table({160: {159: 0.5}}, 161)

    old = with_second_stage(plain, **more, item_table=goes_with)
    new = with_second_stage(plain, **more, trees=trees(WITH_TABLE), item_table=goes_with)

    assert (old.second_stage_problem, new.second_stage_problem) == (None, None)
    assert ids(old, "ann", 3) == ["i000", "i001", "i002"]  # trees of an older release look at the retrieval's hundred
    assert ids(new, "ann", 3) == ["i159", "i000", "i001"]
    assert "i159" not in ids(new, "ann", 3, filters=Filters(exclude_ids=("i159",)))
    whole = ids(new, "ann", 160)
    assert len(whole) == len(set(whole)) == 160
    # A deeper answer begins with what a shallower one returned, and scores never rise.
    assert all(ids(new, "ann", depth) == whole[:depth] for depth in (1, 100, 149, 150, 151, 155))
    scores = [item.score for item in new.recommend(RankingQuery("ann", 160)).items]
    assert scores == sorted(scores, reverse=True)
    assert new.place("i159", RankingQuery("ann", 3)).item.rank == 1  # type: ignore[union-attr]
