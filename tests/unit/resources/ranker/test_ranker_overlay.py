"""Changes of the catalogue since the release hold in the next answer."""

import numpy as np
import pytest

from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemField, ItemOverlay
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


@pytest.fixture
def five(shop) -> Ranker:
    """Ann likes them in the order of the alphabet, and has seen e; out is not available, gone not in the catalogue."""
    return shop(
        ["a", "b", "c", "out", "gone", "e"],
        [[6], [5], [4], [3], [2], [1]],
        [("ann", [1], [5])],
        category=["X", "X", "Y", "Y", "X", "X"],
        price=[1.0, 2.0, 3.0, 4.0, None, 6.0],
        tags=["red|new", "red", None, None, None, None],
        available=[True, True, True, False, True, True],
        in_catalogue=[True, True, True, True, False, True],
        fold_in=[[6], [5], [4], [3], [2], [1]],
    )


def changed(**fields: object) -> ChangedItem:
    names: frozenset[ItemField] = frozenset(fields)  # type: ignore[arg-type]
    return ChangedItem(given=names, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("user", ["ann", None])
def test_a_deleted_item_is_never_answered(five: Ranker, user: str | None) -> None:
    overlay = ItemOverlay(closed=frozenset(("a", "out", "no such item")), opened={"a": changed(price=1.0)})
    anything = Filters(include_unavailable=True)
    assert set(ids(five.recommend(RankingQuery(user, 9, filters=anything, exclude_seen=False), overlay=overlay))) == {
        "b",
        "c",
        "e",
    }
    assert ids(five.similar(SimilarQuery("b", 9), overlay=overlay)) == ["c", "e"]


@pytest.mark.parametrize("user", ["ann", None])
def test_an_unavailable_item_comes_only_on_request(five: Ranker, user: str | None) -> None:
    overlay = ItemOverlay(opened={"a": changed(available=False)})
    assert "a" not in ids(five.recommend(RankingQuery(user, 9), overlay=overlay))
    assert "a" in ids(five.recommend(RankingQuery(user, 9, filters=Filters(include_unavailable=True)), overlay=overlay))


def test_an_item_comes_back(five: Ranker) -> None:
    overlay = ItemOverlay(opened={"out": changed(available=True), "gone": ChangedItem(title="Here again")})
    ranking = five.recommend(RankingQuery("ann", 9), overlay=overlay)
    assert ids(ranking) == ["a", "b", "c", "out", "gone"]
    assert {item.source for item in ranking.items} == {"model"}
    assert ranking.items[4].title == "Here again"
    assert set(ids(five.recommend(RankingQuery(None, 9), overlay=overlay))) == {"a", "b", "c", "out", "gone", "e"}


def test_what_was_changed_is_shown_and_filtered_by_and_the_rest_stays(five: Ranker) -> None:
    overlay = ItemOverlay(opened={"a": changed(price=9.0, category="y", title="New title"), "b": changed(brand="Acme")})
    first = five.recommend(RankingQuery("ann", 1), overlay=overlay).items[0]
    assert (first.title, first.category, first.price) == ("New title", "y", 9.0)
    assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(max_price=2.5)), overlay=overlay)) == ["b"]
    assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(category="Y")), overlay=overlay)) == ["a", "c"]
    assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(category="x")), overlay=overlay)) == ["b"]
    assert ids(
        five.recommend(RankingQuery("ann", 9, filters=Filters(brand="acme", tags=("red",))), overlay=overlay)
    ) == ["b"]
    assert ids(five.recommend(RankingQuery("ann", 9, filters=Filters(tags=("new",))), overlay=overlay)) == ["a"]
    assert five.recommend(RankingQuery("ann", 1)).items[0].title == "Title a"  # without the overlay nothing has changed


def test_a_new_item_fills_an_answer_and_is_found_by_filters(five: Ranker) -> None:
    overlay = ItemOverlay(opened={"n": ChangedItem(title="Nova", category="Z", price=5.0, tags="red")})
    assert ids(five.recommend(RankingQuery("ann", 9), overlay=overlay)) == ["a", "b", "c", "n"]
    only = five.recommend(RankingQuery("ann", 9, filters=Filters(category="z")), overlay=overlay).items
    assert [(item.item_id, item.title, item.source, item.reason) for item in only] == [
        ("n", "Nova", "popular", "New in this shop")
    ]
    assert ids(five.recommend(RankingQuery(None, 9), overlay=overlay))[-1] == "n"  # nobody knows it yet
    assert ids(five.recommend(RankingQuery(None, 9, filters=Filters(exclude_ids=("n",))), overlay=overlay)) == [
        "a",
        "b",
        "c",
        "e",
    ]


def test_a_new_item_counts_as_seen_and_is_no_taste(five: Ranker) -> None:
    overlay = ItemOverlay(opened={"n": ChangedItem(category="X")})
    assert ids(five.recommend(RankingQuery("ann", 9, recent_items=("n",)), overlay=overlay)) == ["a", "b", "c"]
    assert (
        five.recommend(RankingQuery("who", 1, recent_items=("n",)), overlay=overlay).fallback_reason == "unknown_user"
    )


def test_similar_to_a_new_item_is_what_is_popular_in_its_category(five: Ranker) -> None:
    overlay = ItemOverlay(opened={"n": ChangedItem(category=" y "), "m": ChangedItem(category="Y")})
    ranking = five.similar(SimilarQuery("n", 9), overlay=overlay)
    assert (ids(ranking), ranking.fallback_reason) == (["c", "m", "a", "b", "e"], "item_without_vector")


def test_new_items_alone_make_an_answer(shop) -> None:
    ranker = shop([], [], [("ann", [], [])])
    overlay = ItemOverlay(opened={"n": ChangedItem(), "m": ChangedItem(available=False)})
    assert ids(ranker.recommend(RankingQuery("ann", 3), overlay=overlay)) == ["n"]
    assert ids(ranker.similar(SimilarQuery("n", 3), overlay=overlay)) == []


def test_any_overlay_gives_what_a_release_of_the_changed_catalogue_gives(shop) -> None:
    """Random changes laid over one release, against a release that was made with them."""
    rng = np.random.default_rng(1)
    n = 60
    names = [f"i{row}" for row in range(n)]
    vectors = rng.normal(size=(n, 3))
    users = [("ann", [1, 1, 0], [0, 1]), ("bo", [0, -1, 1], [])]
    columns = {
        "category": [f"c{row % 4}" for row in range(n)],
        "price": rng.uniform(0, 9, n).round(2).tolist(),
        "available": (rng.random(n) < 0.8).tolist(),
    }
    after = {name: list(values) for name, values in columns.items()}
    opened = {}
    for row in rng.choice(n, 25, replace=False).tolist():
        item = ChangedItem(
            given=frozenset(("category", "price", "available")),
            category=f"c{rng.integers(5)}",
            price=float(rng.uniform(0, 9)),
            available=bool(rng.random() < 0.8),
        )
        opened[names[row]] = item
        for name in columns:
            after[name][row] = getattr(item, name)
    before, made = shop(names, vectors, users, **columns), shop(names, vectors, users, **after)
    for filters in (Filters(), Filters(category="c4"), Filters(max_price=4.0), Filters(include_unavailable=True)):
        for user in ("ann", "bo", None):
            laid_over = before.recommend(
                RankingQuery(user, 40, filters=filters, explain=False), overlay=ItemOverlay(opened=opened)
            )
            assert laid_over == made.recommend(RankingQuery(user, 40, filters=filters, explain=False))


def test_a_deleted_item_is_no_reason(five: Ranker) -> None:
    (before,) = five.recommend(RankingQuery("ann", 1)).items
    (after,) = five.recommend(RankingQuery("ann", 1), overlay=ItemOverlay(closed=frozenset(("e",)))).items
    assert before.reason == "Because of your interest in Title e"
    assert after.reason == "Recommended for you"
