"""New users by a few events, new items by their content."""

import numpy as np
import pytest

from resources.base.errors import InvalidInput
from resources.ranker.eligibility.filters import Filters
from resources.ranker.fold_in import event_weight, folded_vector
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking

SCALE = 4.0


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def sources(ranking: Ranking) -> list[str]:
    return [item.source for item in ranking.items]


@pytest.fixture
def tastes(shop) -> Ranker:
    """Two tastes of two items each, and a coordinate of popularity in which d is ahead. Nobody knows x."""
    return shop(
        ["a", "b", "c", "d", "x"],
        [[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.8, 0.4], [0, 0, 0]],
        [("ann", [1, 0, 1], [0]), ("new", [0, 0, 0], [])],
        fold_in=[[SCALE, 0], [1, 0], [0, 2], [0, 1], [0, 0]],
        taste_dimensions=2,
    )


class TestNewUsers:
    @pytest.mark.parametrize("user", ["who", None, "new"])
    def test_one_event_is_enough_for_a_taste(self, tastes: Ranker, user: str | None) -> None:
        """After a the vector is (1, 0, 1): products b 0.9, d 0.4, c 0, and x can only be popular."""
        ranking = tastes.recommend(RankingQuery(user, 9, recent_items=("a",)))
        assert ids(ranking) == ["b", "d", "c", "x"]
        assert sources(ranking) == ["fold_in", "fold_in", "fold_in", "popular"]
        assert (ranking.algorithm, ranking.degraded, ranking.fallback_reason) == ("lightgcn", False, None)
        assert ranking.items[0].reason == "Because of your interest in Title a"

    def test_the_vector_is_the_documented_one(self) -> None:
        fold_in = np.array([[3, 0], [0, 1]], np.float32)
        rows = np.array([0, 1, 1, 1, 1], np.int32)
        vector = folded_vector(fold_in, rows, None, 3)
        assert vector is not None and vector.dtype == np.float32
        assert vector == pytest.approx([3 / 5, 4 / 5, 1])  # (3, 4) has length 5; the last coordinate is not learned
        weighted = folded_vector(fold_in, np.array([0, 1], np.int32), [1.0, 4.0], 3)
        assert weighted == pytest.approx(vector)

    def test_a_dislike_speaks_against_an_item_and_is_never_a_reason(self, tastes: Ranker) -> None:
        weights = [event_weight("dislike"), event_weight("view")]
        ranking = tastes.recommend(RankingQuery(None, 2, recent_items=("c", "a"), recent_weights=weights))
        assert ids(ranking) == ["b", "d"]
        assert {item.reason for item in ranking.items} == {"Because of your interest in Title a", "Recommended for you"}
        assert weights == [-1, 1]

    def test_weights_decide_between_tastes(self, tastes: Ranker) -> None:
        """c weighs (0, 2) and b (1, 0)."""
        plain = tastes.recommend(RankingQuery(None, 1, recent_items=("c", "b")))
        assert ids(plain) == ["d"]
        weighted = tastes.recommend(
            RankingQuery(None, 1, recent_items=("c", "unknown", "b"), recent_weights=(0.1, 9, 3))
        )
        assert ids(weighted) == ["a"]

    def test_a_dislike_counts_against_its_taste(self, tastes: Ranker) -> None:
        assert ids(tastes.recommend(RankingQuery(None, 1, recent_items=("c",), recent_weights=(-1,)))) == ["a"]

    @pytest.mark.parametrize("weights", [[1.0], [1.0, float("nan")], []])
    def test_weights_that_do_not_fit_are_refused(self, tastes: Ranker, weights: list[float]) -> None:
        with pytest.raises(InvalidInput, match="2 finite numbers"):
            tastes.recommend(RankingQuery(None, 1, recent_items=("a", "b"), recent_weights=weights))

    @pytest.mark.parametrize("live", [[], ["no such item"], ["x"]])
    def test_events_that_say_nothing_leave_popularity(self, tastes: Ranker, live: list[str]) -> None:
        ranking = tastes.recommend(RankingQuery("who", 2, recent_items=live))
        assert (ids(ranking), ranking.fallback_reason) == (["a", "b"], "unknown_user")
        assert tastes.recommend(RankingQuery("new", 2, recent_items=live)).fallback_reason == "user_without_vector"

    def test_a_known_user_keeps_the_trained_vector(self, tastes: Ranker) -> None:
        ranking = tastes.recommend(RankingQuery("ann", 1, recent_items=("c",)))
        assert (ids(ranking), sources(ranking)) == (["b"], ["model"])

    def test_filters_and_seen_items_hold(self, tastes: Ranker) -> None:
        ranking = tastes.recommend(
            RankingQuery(None, 9, recent_items=("a",), filters=Filters(exclude_ids=("b",)), exclude_seen=False)
        )
        assert ids(ranking) == ["a", "d", "c", "x"]
        assert (
            tastes.recommend(RankingQuery(None, 9, recent_items=("a", "b", "c", "d", "x"))).fallback_reason
            == "all_seen"
        )

    def test_a_release_from_before_fold_in_answers_with_popularity(self, shop) -> None:
        ranking = shop(["a", "b"], [[1], [2]]).recommend(RankingQuery("who", 1, recent_items=("a",)))
        assert (sources(ranking), ranking.fallback_reason) == (["popular"], "unknown_user")

    def test_a_popularity_release_does_not_fold_in(self, shop) -> None:
        ranker = shop(["a", "b"], [[1], [2]], algorithm="popularity", fold_in=[[1], [1]])
        assert ranker.recommend(RankingQuery("who", 1, recent_items=("a",))).fallback_reason == "popularity_release"


class TestNewItems:
    @pytest.fixture
    def launched(self, shop) -> Ranker:
        """n is new: its vector is from content, and nobody has bought it yet."""
        return shop(
            ["a", "b", "n"],
            [[1, 0], [0, 1], [0.9, 0.1]],
            [("ann", [1, 0], [0])],
            vector_source=["model", None, "content"],
            popularity=[2.0, 1.0, 0.0],
            fold_in=[[1, 0], [0, 1], [1, 0]],
        )

    def test_are_retrieved_and_say_how(self, launched: Ranker) -> None:
        ranking = launched.recommend(RankingQuery("ann", 9))
        assert (ids(ranking), sources(ranking)) == (["n", "b"], ["content", "model"])
        assert (ranking.algorithm, ranking.fallback_reason) == ("lightgcn", None)

    def test_have_similar_items_and_are_similar(self, launched: Ranker) -> None:
        assert [(i.item_id, i.source) for i in launched.similar(SimilarQuery("n", 9)).items] == [
            ("a", "content"),
            ("b", "content"),
        ]
        assert [(i.item_id, i.source) for i in launched.similar(SimilarQuery("a", 9)).items] == [
            ("n", "content"),
            ("b", "model"),
        ]

    def test_an_event_with_one_folds_in(self, launched: Ranker) -> None:
        ranking = launched.recommend(RankingQuery("who", 9, recent_items=("n",)))
        assert (ids(ranking), sources(ranking)) == (["a", "b"], ["fold_in", "fold_in"])
