"""Why an item is, or is not, in a user's list; and what events since the release, and growth, do to it."""

import numpy as np
import pytest

from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.fold_in import recomputed_vector
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker


@pytest.fixture
def shop_of_five(shop) -> Ranker:
    return shop(
        ["a", "b", "out", "gone", "e"],
        [[5], [4], [3], [2], [0]],
        [("ann", [1], [0])],
        available=[True, True, False, True, True],
        in_catalogue=[True, True, True, False, True],
        category=["X", "X", "X", "X", "X"],
        disliked=None,
    )


@pytest.mark.parametrize(("item", "asked", "state", "rank"), [
    ("b", {}, "ranked", 1),
    ("e", {}, "ranked", 2),
    ("a", {}, "seen", None),
    ("a", {"exclude_seen": False}, "ranked", 1),
    ("b", {"recent_items": ("b",)}, "seen", None),
    ("out", {}, "unavailable", None),
    ("out", {"filters": Filters(include_unavailable=True)}, "ranked", 2),
    ("gone", {"filters": Filters(include_unavailable=True)}, "unavailable", None),
    ("b", {"filters": Filters(category="y")}, "filtered", None),
    ("b", {"filters": Filters(exclude_ids=("b",))}, "filtered", None),
    ("b", {"rules": RankRules(hidden=frozenset("b"))}, "filtered", None),
    ("e", {"rules": RankRules(pinned=("e",))}, "ranked", 1),
    ("e", {"max_per_category": 1}, "filtered", None),
    ("b", {"overlay": ItemOverlay(closed=frozenset("b"))}, "unavailable", None),
    ("n", {"overlay": ItemOverlay(opened={"n": ChangedItem()})}, "ranked", 3),
    ("n", {}, "unknown", None),
    ("a", {"recent_items": ("b", "e")}, "ranked", 1),  # all was seen, so seen items are shown again
])  # fmt: skip
def test_every_answer(shop_of_five: Ranker, item: str, asked: dict, state: str, rank: int | None) -> None:
    around = {name: asked[name] for name in ("overlay", "rules") if name in asked}
    query = RankingQuery("ann", **{name: value for name, value in asked.items() if name not in around})
    place = shop_of_five.place(item, query, **around)
    assert (place.state, place.item.rank if place.item else None) == (state, rank)
    assert place.detail.endswith(".")


def test_places_are_the_ranks_of_the_list(shop) -> None:
    rng = np.random.default_rng(0)
    ranker = shop([f"i{row}" for row in range(1500)], rng.normal(size=(1500, 3)), [("ann", [1, 1, 1], [4])])
    listed = ranker.recommend(RankingQuery("ann", 1500)).items
    for item in (listed[0], listed[999], listed[1000], listed[-1]):
        assert ranker.place(item.item_id, RankingQuery("ann")).item == item


class TestRecomputed:
    def test_the_formula_by_hand(self) -> None:
        """History sums to (3, 0); what was learned stands for it at that length, and the event adds (0, 4)."""
        fold_in = np.array([[1, 0], [2, 0], [0, 4]], np.float32)
        trained = np.array([2, 0, 1], np.float32)  # the last coordinate was not learned
        one = np.ones(1)
        history, live = np.array([0, 1], np.int32), np.array([2], np.int32)
        assert recomputed_vector(trained, fold_in, history, live, one) == pytest.approx([2 * 3 / 5, 2 * 4 / 5, 1])
        against = recomputed_vector(trained, fold_in, history, live, -one)
        assert against == pytest.approx([2 * 3 / 5, -2 * 4 / 5, 1])
        undone = recomputed_vector(trained, fold_in, np.array([0], np.int32), np.array([0], np.int32), -one)
        assert undone.tolist() == trained.tolist()  # nothing is left of either
        assert recomputed_vector(trained * 0, fold_in, history, live, one).tolist() == [0, 0, 0]
        assert trained.tolist() == [2, 0, 1]

    def test_an_event_moves_a_known_user(self, shop) -> None:
        vectors = [[1, 0], [0.9, 0], [0, 1], [0.1, 0.9]]
        ranker = shop(["a", "b", "c", "d"], vectors, [("ann", [1, 0], [0])], fold_in=vectors)
        assert ranker.recommend(RankingQuery("ann", 1)).items[0].item_id == "b"
        after = ranker.recommend(RankingQuery("ann", 2, recent_items=("c", "c")))
        assert [(item.item_id, item.source) for item in after.items] == [("d", "model"), ("b", "model")]
        assert after.items[0].reason == "Because of your interest in Title c"
        still = ranker.recommend(RankingQuery("ann", 2, recent_items=("c", "c"), recompute=False))
        assert [item.item_id for item in still.items] == ["b", "d"]


class TestTrending:
    @pytest.fixture
    def growing(self, shop) -> Ranker:
        """Popularity falls with the alphabet: a to d are the upper half; c and b grow, and g, which few know."""
        return shop(
            list("abcdefgh"),
            [[1]] * 8,
            [("ann", [1], [])],
            trending=[0.0, 0.1, 0.5, -1.0, 0.0, None, 9.0, 0.0],
            fold_in=[[1]] * 8,
        )

    def test_every_third_place_of_a_visitor_without_events(self, growing: Ranker) -> None:
        items = growing.recommend(RankingQuery(None, 8)).items
        assert [item.item_id for item in items] == ["a", "b", "c", "d", "e", "f", "g", "h"]
        assert [item.source for item in items[:4]] == ["popular", "popular", "trending", "popular"]
        assert items[2].reason == "Trending in this shop"
        seen_b = growing.recommend(RankingQuery(None, 3, filters=Filters(exclude_ids=("c",)))).items
        assert [(item.item_id, item.source) for item in seen_b] == [
            ("a", "popular"),
            ("b", "popular"),
            ("d", "popular"),
        ]

    def test_a_trending_item_is_lifted(self, shop) -> None:
        ranker = shop(list("abcdefgh"), [[1]] * 8, trending=[0, 0, 0, 0.5, 0, 0, 0, 0])
        ranking = ranker.recommend(RankingQuery(None, 4))
        assert [item.item_id for item in ranking.items] == ["a", "b", "d", "c"]
        assert (ranking.algorithm, ranking.items[2].source) == ("popularity", "trending")
        assert [item.score for item in ranking.items] == [1, 7 / 8, 6 / 8, 5 / 8]

    def test_who_has_done_something_gets_no_trends(self, growing: Ranker) -> None:
        for user, live in (("ann", ()), ("who", ("a",)), ("who", ("no such item",))):
            sources = {item.source for item in growing.recommend(RankingQuery(user, 8, recent_items=live)).items}
            assert ("trending" in sources) is (live == ("no such item",))
