"""Pins, boosts, hidden items, variety, limits and pages."""

import numpy as np
import pytest

from resources.base.errors import InvalidInput
from resources.ranker.eligibility.filters import Filters
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import RankedItem, Ranking
from resources.ranker.retrieval.diversity import marginal_relevance


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


@pytest.fixture
def six(shop) -> Ranker:
    """Ann likes them in the order of the alphabet and has seen f; f has no vector; popularity falls likewise."""
    return shop(
        ["a", "b", "c", "d", "e", "f"],
        [[1, 0], [0.9, 0], [0.8, 0.1], [0.1, 0.5], [0, 0.4], [0, 0]],
        [("ann", [1, 0.1], [5])],
        category=["X", "X", "X", "Y", "Y", None],
    )


def assert_falls(ranking: Ranking) -> None:
    scores = [item.score for item in ranking.items]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


class TestRules:
    def test_pinned_items_come_first_in_their_order_and_once(self, six: Ranker) -> None:
        ranking = six.recommend(RankingQuery("ann", 9), rules=RankRules(pinned=("e", "c", "e", "no such item")))
        assert ids(ranking) == ["e", "c", "a", "b", "d"]
        assert [item.source for item in ranking.items[:3]] == ["pinned", "pinned", "model"]
        assert {item.reason for item in ranking.items[:2]} == {"Chosen by this shop"}
        assert (ranking.algorithm, [item.rank for item in ranking.items]) == ("lightgcn", [1, 2, 3, 4, 5])
        assert_falls(ranking)

    def test_pinned_items_must_pass_and_are_not_shown_again_when_seen(self, six: Ranker) -> None:
        rules = RankRules(pinned=("f", "e", "a"))
        assert ids(six.recommend(RankingQuery("ann", 2, filters=Filters(category="x")), rules=rules)) == ["a", "b"]
        assert ids(six.recommend(RankingQuery("ann", 1), rules=rules)) == ["e"]
        assert ids(six.recommend(RankingQuery("ann", 1, exclude_seen=False), rules=rules)) == ["f"]
        assert ids(six.recommend(RankingQuery("ann", 2), rules=rules, overlay=ItemOverlay(closed=frozenset("e")))) == [
            "a",
            "b",
        ]

    @pytest.mark.parametrize("user", ["ann", None])
    def test_hidden_items_are_never_shown_even_when_pinned(self, six: Ranker, user: str | None) -> None:
        rules = RankRules(pinned=("a",), hidden=frozenset("ab"))
        assert set(ids(six.recommend(RankingQuery(user, 9, exclude_seen=False), rules=rules))) == set("cdef")
        assert not {"a", "b"} & set(ids(six.similar(SimilarQuery("c", 9), rules=rules)))

    def test_nothing_but_hidden_items_is_an_empty_answer(self, six: Ranker) -> None:
        assert (
            six.recommend(RankingQuery("ann", 9), rules=RankRules(hidden=frozenset("abcdef"))).fallback_reason
            == "no_matching_item"
        )

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_boost_lifts_and_a_bury_lowers_whatever_the_count(self, six: Ranker, count: int) -> None:
        rules = RankRules(boosts={"e": 3.0, "a": 0.1, "no such item": 2.0})
        ranking = six.recommend(RankingQuery("ann", count), rules=rules)
        assert ids(ranking) == ["e", "b", "c", "d", "a"][:count]
        assert_falls(ranking)

    def test_a_boost_counts_among_popular_items_too(self, six: Ranker) -> None:
        ranking = six.recommend(RankingQuery(None, 3), rules=RankRules(boosts={"f": 7.0, "a": 0.5}))
        assert ids(ranking) == ["f", "b", "c"]  # 7/6, 5/6, 4/6, then 3/6 of a and of d
        assert_falls(ranking)

    def test_factors_move_nothing_else(self, shop) -> None:
        rng = np.random.default_rng(0)
        ranker = shop([f"i{row}" for row in range(80)], rng.normal(size=(80, 4)), [("ann", [1, 1, 1, 1], [3])])
        factors = {f"i{row}": float(rng.choice([0.2, 0.5, 1.0, 2.0])) for row in range(0, 80, 3)}
        plain = {item.item_id: item.score for item in ranker.recommend(RankingQuery("ann", 80)).items}
        expected = sorted(plain, key=lambda item: -plain[item] * factors.get(item, 1.0))
        for count in (1, 10, 79):
            assert (
                ids(ranker.recommend(RankingQuery("ann", count), rules=RankRules(boosts=factors))) == expected[:count]
            )

    @pytest.mark.parametrize("factor", [0.0, -1.0, 101.0, float("nan")])
    def test_a_factor_out_of_range_is_refused(self, factor: float) -> None:
        with pytest.raises(InvalidInput, match=r"item 'a' must be between 0\.01 and 100"):
            RankRules(boosts={"a": factor})


class TestVariety:
    def test_marginal_relevance_by_hand(self) -> None:
        """Relevance 1, 0.9, 0 after scaling. With ½: a 0.5; then b 0.45 − 0.5, c 0 − 0: c is further from a."""
        vectors = np.array([[1, 0], [2, 0], [0, 3]], np.float32)
        relevance = np.array([0.8, 0.75, 0.3])
        assert marginal_relevance(relevance, vectors, 0.5, 3).tolist() == [0, 2, 1]
        assert marginal_relevance(relevance, vectors, 0.1, 3).tolist() == [0, 1, 2]
        assert marginal_relevance(relevance, vectors, 0.5, 1).tolist() == [0]
        assert marginal_relevance(relevance[:0], vectors[:0], 0.5, 3).tolist() == []
        assert marginal_relevance(np.array([0.5, 0.5]), np.zeros((2, 2), np.float32), 1.0, 9).tolist() == [0, 1]

    def test_diversity_mixes_and_zero_keeps_the_order(self, six: Ranker) -> None:
        assert (
            ids(six.recommend(RankingQuery("ann", 9, diversity=0.0)))
            == ids(six.recommend(RankingQuery("ann", 9)))
            == list("abcde")
        )
        varied = six.recommend(RankingQuery("ann", 9, diversity=0.7))
        assert ids(varied)[:2] == ["a", "e"]
        assert sorted(ids(varied)) == list("abcde")
        assert_falls(varied)
        assert ids(six.recommend(RankingQuery(None, 2, diversity=1.0))) == ["a", "e"]
        assert set(ids(six.similar(SimilarQuery("a", 9, diversity=0.5)))) == set("bcdef")

    def test_a_cap_holds_for_every_source(self, six: Ranker) -> None:
        assert ids(six.recommend(RankingQuery("ann", 9, max_per_category=1))) == ["a", "d"]
        assert ids(six.recommend(RankingQuery(None, 9, max_per_category=1))) == [
            "a",
            "d",
            "f",
        ]  # without a category it is not counted
        rules = RankRules(pinned=("c", "b"))
        assert ids(six.recommend(RankingQuery("ann", 3, max_per_category=2), rules=rules)) == ["c", "b", "d"]

    def test_a_cap_looks_as_deep_as_it_must(self, shop) -> None:
        categories = ["many"] * 500 + ["few"] * 3
        vectors = np.linspace(2, 1, 503)[:, None]
        ranker = shop([f"i{row}" for row in range(503)], vectors, [("ann", [1], [])], category=categories)
        for user in ("ann", None):
            found = ids(ranker.recommend(RankingQuery(user, 5, max_per_category=2)))
            assert found == ["i0", "i1", "i500", "i501"]

    @pytest.mark.parametrize(
        "wrong", [{"diversity": 1.1}, {"diversity": -0.1}, {"max_per_category": 0}, {"offset": -1}]
    )
    def test_numbers_out_of_range_are_refused(self, six: Ranker, wrong: dict[str, float]) -> None:
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            six.recommend(RankingQuery("ann", 1, **wrong))  # type: ignore[arg-type]


class TestPages:
    @pytest.mark.parametrize("arguments", [
        {}, {"diversity": 0.4}, {"max_per_category": 30},
        {"rules": RankRules(pinned=("i7",), boosts={"i9": 2.0, "i2": 0.5})},
    ])  # fmt: skip
    @pytest.mark.parametrize("user", ["ann", None])
    def test_pages_together_are_the_whole_list(self, shop, user: str | None, arguments: dict) -> None:
        rng = np.random.default_rng(0)
        n = 300
        growth = {"trending": rng.normal(size=n).tolist()}
        categories = [f"c{row % 9}" for row in range(n)]
        vectors = rng.normal(size=(n, 4))
        vectors[::10] = 0  # some can only be popular
        ranker = shop(
            [f"i{row}" for row in range(n)], vectors, [("ann", [1, 0, 1, 0], [1, 2])], category=categories, **growth
        )

        def page(count: int, start: int = 0) -> tuple[RankedItem, ...]:
            asked = {name: value for name, value in arguments.items() if name != "rules"}
            query = RankingQuery(user, count, offset=start, **asked)
            return ranker.recommend(query, rules=arguments.get("rules")).items

        whole = page(n)
        pages = [item for start in range(0, n, 7) for item in page(7, start)]
        assert len(whole) > 200
        assert tuple(pages) == whole
        assert page(7, n) == ()
