"""Lists that do not depend on the user: popular, trending, newest."""

from __future__ import annotations

import pytest

from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery, Strategy
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking

NEW_YEAR = 20454.0  # 2026-01-01 in days since 1970
STRATEGIES: tuple[Strategy, ...] = ("popular", "trending", "newest")


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def asked(strategy: Strategy, count: int = 9, user: str | None = None, **more: object) -> RankingQuery:
    return RankingQuery(user, count, strategy=strategy, **more)  # type: ignore[arg-type]


@pytest.fixture
def six(shop) -> Ranker:
    """Ann likes them in the order of the alphabet backwards and has seen a; popularity falls with the alphabet."""
    days = (200, 0, 100, None, 10, 40)
    return shop(
        ["a", "b", "c", "d", "e", "f"],
        [[1], [2], [3], [4], [5], [6]],
        [("ann", [1], [0])],
        category=["X", "X", "Y", "Y", "X", "X"],
        trending=[0.2, -1.0, 0.9, 0.0, 5.0, 4.0],  # e and f are not in the upper half by popularity
        listed_at=[None if age is None else NEW_YEAR - age for age in days],
    )


def test_each_strategy_has_its_order_for_everybody(six: Ranker) -> None:
    for user in (None, "nobody"):
        assert ids(six.recommend(asked("popular", user=user))) == ["a", "b", "c", "d", "e", "f"]
        assert ids(six.recommend(asked("trending", user=user))) == ["c", "a", "b", "d", "e", "f"]
        assert ids(six.recommend(asked("newest", user=user))) == ["b", "e", "f", "c", "a", "d"]
    assert ids(six.recommend(asked("personal", user="ann"))) == ["f", "e", "d", "c", "b"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_the_user_has_seen_is_left_out_unless_wanted(six: Ranker, strategy: Strategy) -> None:
    unseen, every = (
        six.recommend(asked(strategy, user="ann")),
        six.recommend(asked(strategy, user="ann", exclude_seen=False)),
    )
    assert "a" not in ids(unseen) and [item for item in ids(every) if item != "a"] == ids(unseen)
    assert every == six.recommend(asked(strategy))
    again = six.recommend(asked(strategy, user="ann", filters=Filters(exclude_ids=("b", "c", "d", "e", "f"))))
    assert (ids(again), again.fallback_reason, again.degraded) == (["a"], "all_seen", True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_scores_fall_and_sources_reasons_and_algorithm_say_what_it_is(six: Ranker, strategy: Strategy) -> None:
    ranking = six.recommend(asked(strategy))
    scores = [item.score for item in ranking.items]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    assert (ranking.degraded, ranking.fallback_reason) == (False, None)
    first = ranking.items[0]
    wanted = {
        "popular": ("popular", "Popular in X", "popularity"),
        "trending": ("trending", "Trending in this shop", "popularity"),
        "newest": ("newest", "New in this shop", "newest"),
    }
    assert (first.source, first.reason, ranking.algorithm) == wanted[strategy]


def test_reasons_of_the_newest_are_true(six: Ranker) -> None:
    reasons = {item.item_id: item.reason for item in six.recommend(asked("newest")).items}
    assert reasons["e"] == "New in this shop"
    assert reasons["f"] == "In this shop since 2025-11-22"
    assert reasons["d"] == "Available in this shop"  # nobody knows since when


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_filters_rules_limits_and_pages_hold(six: Ranker, strategy: Strategy) -> None:
    whole = ids(six.recommend(asked(strategy)))
    only_y = six.recommend(asked(strategy, filters=Filters(category="Y")))
    assert ids(only_y) == [item for item in whole if item in "cd"]
    rules = RankRules(pinned=("d",), hidden=frozenset("b"))
    assert ids(six.recommend(asked(strategy), rules=rules)) == ["d", *(item for item in whole if item not in "bd")]
    assert ids(six.recommend(asked(strategy, max_per_category=1)))[0] == whole[0]
    assert len(six.recommend(asked(strategy, max_per_category=1)).items) == 2
    assert ids(six.recommend(asked(strategy, 2, offset=2))) == whole[2:4]
    boosted = ids(six.recommend(asked("newest"), rules=RankRules(boosts={"a": 100.0})))
    assert boosted[0] == "a"
    place = six.place("c", asked(strategy))
    assert (place.state, place.item.rank if place.item else 0) == ("ranked", whole.index("c") + 1)


def test_what_was_added_since_the_release_is_the_newest(six: Ranker) -> None:
    new = {name: ChangedItem(given=frozenset({"title"}), title=name) for name in ("first", "second")}
    ranking = six.recommend(asked("newest", 3), overlay=ItemOverlay(opened=new))
    assert ids(ranking) == ["second", "first", "b"]
    assert {item.reason for item in ranking.items} == {"New in this shop"}


def test_without_times_or_growth_popular_items_are_answered_and_that_is_said(shop) -> None:
    plain = shop(["a", "b"], [[1], [2]])
    for strategy in ("trending", "newest"):
        ranking = plain.recommend(asked(strategy))
        assert (ids(ranking), ranking.fallback_reason) == (["a", "b"], "no_listed_item")
        assert (ranking.algorithm, ranking.degraded) == ("popularity", False)
