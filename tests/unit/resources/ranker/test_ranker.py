from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from recsaas_assets.recommender.metrics.scorers import VectorScorer
from resources.base.errors import CorruptRelease, InvalidInput, ItemNotFound
from resources.ranker.eligibility.filters import Filters
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking


def ids(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def assert_well_formed(ranking: Ranking) -> None:
    assert [item.rank for item in ranking.items] == list(range(1, len(ranking.items) + 1))
    scores = [item.score for item in ranking.items]
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert len(set(ids(ranking))) == len(ranking.items)
    assert all(item.reason for item in ranking.items)


@pytest.fixture
def four(shop) -> Ranker:
    """Ann likes the first direction, has seen a; d has no vector."""
    return shop(
        ["a", "b", "c", "d"],
        [[1, 0], [0.5, 0], [0, 1], [0, 0]],
        [("ann", [2, 0.5], [0])],
        category=["X", "X", "Y", "Y"],
        price=[1.0, 2.0, 3.0, None],
    )


class TestKnownUser:
    def test_the_models_order_then_popular_items(self, four: Ranker) -> None:
        ranking = four.recommend(RankingQuery("ann", 10))
        assert ids(ranking) == ["b", "c", "d"]  # products 1.0 and 0.5; d can only be popular
        assert [item.source for item in ranking.items] == ["model", "model", "popular"]
        assert (ranking.algorithm, ranking.degraded, ranking.fallback_reason) == ("lightgcn", False, None)
        assert_well_formed(ranking)

    def test_scores_are_the_documented_logistic(self, four: Ranker) -> None:
        # |user| = √4.25; item norms 1, ½, 1 → root mean square √(2.25 / 3)
        scale = 4.25**0.5 * 0.75**0.5
        scores = [item.score for item in four.recommend(RankingQuery("ann", 2)).items]
        assert scores == pytest.approx([1 / (1 + np.exp(-4 * 1.0 / scale)), 1 / (1 + np.exp(-4 * 0.5 / scale))])

    def test_the_card_is_the_catalogues(self, four: Ranker) -> None:
        item = four.recommend(RankingQuery("ann", 1)).items[0]
        assert (item.title, item.category, item.brand, item.price, item.image_url) == ("Title b", "X", None, 2.0, None)

    def test_seen_items_can_be_included(self, four: Ranker) -> None:
        assert ids(four.recommend(RankingQuery("ann", 2, exclude_seen=False))) == ["a", "b"]

    def test_recent_items_count_as_seen_and_unknown_ones_do_no_harm(self, four: Ranker) -> None:
        assert ids(four.recommend(RankingQuery("ann", 10, recent_items=("b", "no such item")))) == ["c", "d"]

    def test_excluded_ids_are_never_answered(self, four: Ranker) -> None:
        filters = Filters(exclude_ids=("b", "d", "no such item"))
        assert ids(four.recommend(RankingQuery("ann", 10, filters=filters))) == ["c"]
        assert ids(four.recommend(RankingQuery("ann", 10, filters=filters, exclude_seen=False))) == ["a", "c"]

    def test_filters_hold_for_every_source(self, four: Ranker) -> None:
        assert ids(four.recommend(RankingQuery("ann", 10, filters=Filters(category="y")))) == ["c", "d"]
        assert ids(four.recommend(RankingQuery("ann", 10, filters=Filters(category="y", max_price=9)))) == ["c"]

    def test_only_a_cold_item_passes(self, four: Ranker) -> None:
        ranking = four.recommend(RankingQuery("ann", 3, filters=Filters(category="y", exclude_ids=("c",))))
        assert ids(ranking) == ["d"]
        assert (ranking.algorithm, ranking.fallback_reason) == ("popularity", "no_model_item")

    def test_all_seen_is_answered_again_and_says_so(self, four: Ranker) -> None:
        ranking = four.recommend(RankingQuery("ann", 2, recent_items=("b", "c", "d")))
        assert ids(ranking) == ["a", "b"]
        assert (ranking.degraded, ranking.fallback_reason, ranking.algorithm) == (True, "all_seen", "popularity")
        assert_well_formed(ranking)
        assert ids(
            four.recommend(
                RankingQuery("ann", 2, recent_items=("b",), filters=Filters(category="x", exclude_ids=("a",)))
            )
        ) == ["b"]

    def test_nothing_passes_is_the_only_empty_answer(self, four: Ranker) -> None:
        ranking = four.recommend(RankingQuery("ann", 5, filters=Filters(category="none")))
        assert (ranking.items, ranking.fallback_reason, ranking.degraded) == ((), "no_matching_item", False)

    def test_a_user_without_a_vector_gets_popular_items(self, shop) -> None:
        ranking = shop(["a", "b"], [[1], [2]], [("new", [0], [0])]).recommend(RankingQuery("new", 5))
        assert (ids(ranking), ranking.fallback_reason) == (["b"], "user_without_vector")

    @pytest.mark.parametrize("count", [0, -1])
    def test_a_count_below_one_is_refused(self, four: Ranker, count: int) -> None:
        with pytest.raises(InvalidInput, match="count"):
            four.recommend(RankingQuery("ann", count))


class TestUnknownUser:
    @pytest.mark.parametrize("user", [None, "who", ""])
    def test_gets_what_is_popular(self, four: Ranker, user: str | None) -> None:
        ranking = four.recommend(RankingQuery(user, 2))
        assert ids(ranking) == ["a", "b"]  # popularity 4, 3, 2, 1
        assert [item.score for item in ranking.items] == [1.0, 0.75]
        assert (ranking.algorithm, ranking.fallback_reason) == ("popularity", "unknown_user")
        assert_well_formed(ranking)

    def test_what_was_just_seen_is_left_out(self, four: Ranker) -> None:
        assert ids(four.recommend(RankingQuery(None, 2, recent_items=("a",)))) == ["b", "c"]


class TestReasons:
    def test_the_nearest_item_of_the_history_is_named(self, shop) -> None:
        ranker = shop(["a", "b", "c", "d"], [[1, 0], [0, 1], [2, 0.1], [0.1, 2]], [("ann", [1, 1], [0, 1])])
        reasons = {item.item_id: item.reason for item in ranker.recommend(RankingQuery("ann", 4)).items}
        assert reasons == {"c": "Because of your interest in Title a", "d": "Because of your interest in Title b"}

    def test_an_item_is_no_reason_for_itself_and_recent_items_are(self, shop) -> None:
        ranker = shop(["a", "b"], [[1, 0], [2, 0]], [("ann", [1, 1], [0])], title=["A", None])
        ranking = ranker.recommend(RankingQuery("ann", 2, recent_items=("b",), exclude_seen=False))
        assert [(item.item_id, item.reason) for item in ranking.items] == [
            ("b", "Because of your interest in A"),
            ("a", "Because of your interest in b"),  # without a title the id
        ]

    def test_nothing_is_claimed_when_the_history_speaks_against_it(self, shop) -> None:
        ranker = shop(["a", "b"], [[1, 0], [-1, 0.1]], [("ann", [0, 1], [0]), ("bo", [1, 0], [])])
        assert ranker.recommend(RankingQuery("ann", 1)).items[0].reason == "Recommended for you"
        assert ranker.recommend(RankingQuery("bo", 1)).items[0].reason == "Recommended for you"

    def test_popular_where_it_is_popular(self, shop) -> None:
        ranker = shop(
            ["a", "b", "c", "d"],
            [[1]] * 4,
            category=["Books", "Books", None, "Games"],
            popularity=[9.0, 1.0, 5.0, 0.0],
        )
        reasons = [(item.item_id, item.reason) for item in ranker.recommend(RankingQuery(None, 4)).items]
        assert reasons == [
            ("a", "Popular in Books"),
            ("c", "Popular in this shop"),
            ("b", "Available in this shop"),
            ("d", "Available in this shop"),
        ]

    def test_no_reasons_unless_asked(self, four: Ranker) -> None:
        assert {item.reason for item in four.recommend(RankingQuery("ann", 9, explain=False)).items} == {None}
        assert {item.reason for item in four.similar(SimilarQuery("a", 9, explain=False)).items} == {None}


class TestWhatMayBeServed:
    def test_unavailable_items_only_on_request_items_outside_the_catalogue_never(self, shop) -> None:
        ranker = shop(
            ["gone", "out", "ok"],
            [[3], [2], [1]],
            [("ann", [1], [])],
            available=[True, False, True],
            in_catalogue=[False, True, True],
        )
        for user in ("ann", None):
            assert ids(ranker.recommend(RankingQuery(user, 9))) == ["ok"]
            assert ids(ranker.recommend(RankingQuery(user, 9, filters=Filters(include_unavailable=True)))) == [
                "out",
                "ok",
            ]
        assert ids(ranker.similar(SimilarQuery("ok", 9))) == []
        assert ids(ranker.similar(SimilarQuery("gone", 9))) == ["ok"]

    def test_without_any_catalogue_ids_are_served(self, shop) -> None:
        nothing = [None, None]
        ranker = shop(
            ["α/1", "🛒"], [[1], [2]], [("Жан", [1], [])], in_catalogue=[False, False], title=nothing, available=nothing
        )
        ranking = ranker.recommend(RankingQuery("Жан", 9))
        assert [(item.item_id, item.title) for item in ranking.items] == [("🛒", None), ("α/1", None)]
        assert_well_formed(ranking)

    def test_a_release_of_popularity_serves_it_to_all(self, shop) -> None:
        ranker = shop(["a", "b"], np.zeros((2, 0)), [("ann", [], [0])], algorithm="popularity")
        ranking = ranker.recommend(RankingQuery("ann", 9))
        assert (ids(ranking), ranking.fallback_reason, ranking.algorithm) == (["b"], "popularity_release", "popularity")
        assert ids(ranker.similar(SimilarQuery("a", 9))) == ["b"]

    def test_popularity_without_any_interaction(self, shop) -> None:
        ranking = shop(["a", "b"], [[0], [0]], popularity=[None, 0.0]).recommend(RankingQuery(None, 9))
        assert [(item.item_id, item.score) for item in ranking.items] == [("a", 0.0), ("b", 0.0)]
        assert_well_formed(ranking)


class TestSmallest:
    def test_no_items(self, shop) -> None:
        ranker = shop([], [], [("ann", [], [])])
        assert ranker.recommend(RankingQuery("ann", 5)).items == ()
        assert ranker.recommend(RankingQuery(None, 5)).fallback_reason == "no_matching_item"

    def test_one_item_one_user_who_has_seen_it(self, shop) -> None:
        ranking = shop(["a"], [[1]], [("ann", [1], [0])]).recommend(RankingQuery("ann", 100))
        assert (ids(ranking), ranking.degraded) == (["a"], True)

    def test_no_users(self, shop) -> None:
        ranker = shop(["a"], [[1]])
        assert ids(ranker.recommend(RankingQuery("ann", 3))) == ["a"]

    def test_more_is_asked_than_there_is(self, shop) -> None:
        ranker = shop(["a", "b"], [[1], [-1]], [("ann", [1], [])])
        assert ids(ranker.recommend(RankingQuery("ann", 100))) == ["a", "b"]


class TestSimilar:
    def test_by_cosine_and_never_itself(self, shop) -> None:
        ranker = shop(["a", "b", "c", "d"], [[1, 0], [9, 9], [0.1, 0], [-1, 0]])
        ranking = ranker.similar(SimilarQuery("a", 9))
        assert ids(ranking) == ["c", "b", "d"]
        assert [item.score for item in ranking.items] == pytest.approx([1, (1 + 0.5**0.5) / 2, 0])
        assert {item.reason for item in ranking.items} == {"Similar to Title a"}
        assert_well_formed(ranking)

    def test_filters_and_fill(self, four: Ranker) -> None:
        assert ids(four.similar(SimilarQuery("a", 9))) == ["b", "c", "d"]
        assert ids(four.similar(SimilarQuery("a", 9, filters=Filters(category="y")))) == ["c", "d"]

    def test_an_unknown_item_is_an_error(self, four: Ranker) -> None:
        with pytest.raises(ItemNotFound, match="does not know item 'zzz'"):
            four.similar(SimilarQuery("zzz", 3))

    def test_without_a_vector_its_category_comes_first(self, four: Ranker) -> None:
        ranking = four.similar(SimilarQuery("d", 9))
        assert ids(ranking) == ["c", "a", "b"]
        assert (ranking.fallback_reason, ranking.algorithm) == ("item_without_vector", "popularity")
        assert_well_formed(ranking)

    def test_the_only_item_has_no_similar_one(self, shop) -> None:
        assert shop(["a"], [[1]]).similar(SimilarQuery("a", 3)).fallback_reason == "no_matching_item"


@pytest.fixture
def big(shop) -> Ranker:
    """4,000 items that tie in groups of ten, 30 users with up to 100 seen items, some hidden and cold items."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(400, 8)), 10, axis=0)
    vectors[rng.random(4000) < 0.05] = 0
    users = [
        (f"u{row}", rng.normal(size=8) * (row > 0), rng.choice(4000, size=int(rng.integers(0, 100)), replace=False))
        for row in range(30)
    ]
    return shop(
        [f"i{row}" for row in range(4000)],
        vectors,
        users,
        available=rng.random(4000) < 0.9,
        in_catalogue=rng.random(4000) < 0.9,
        category=["rare" if row % 50 == 0 else "often" for row in range(4000)],
    )


class TestEvaluatedIsServed:
    @pytest.mark.parametrize("k", [1, 10, 350])
    @pytest.mark.parametrize("exclude_seen", [True, False])
    def test_what_evaluation_ranks_is_what_is_answered(self, shop, k: int, exclude_seen: bool) -> None:
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(2000, 8))
        vectors[rng.random(2000) < 0.05] = 0
        users = [(f"u{row}", rng.normal(size=8), rng.choice(2000, size=40, replace=False)) for row in range(30)]
        ranker = shop([f"i{row}" for row in range(2000)], vectors, users)
        release = ranker.release
        scorer = VectorScorer(
            np.array(release.user_vectors), np.array(release.item_vectors), release.catalogue.has_vector
        )
        ones = np.ones(len(release.seen_items), np.float32)
        seen = sparse.csr_array((ones, release.seen_items, release.seen_indptr), shape=(30, 2000))
        rows, _ = scorer.top_k(np.arange(30, dtype=np.int32), k, seen if exclude_seen else None)
        for user in range(30):
            answer = ranker.recommend(RankingQuery(f"u{user}", k, exclude_seen=exclude_seen))
            assert ids(answer) == [f"i{row}" for row in rows[user]]
            assert {item.source for item in answer.items} == {"model"}

    def test_no_answer_has_a_hidden_a_seen_or_a_repeated_item(self, big: Ranker) -> None:
        catalogue = big.release.catalogue
        may = {f"i{row}" for row in np.flatnonzero(catalogue.available & catalogue.in_catalogue)}
        for user in range(30):
            ranking = big.recommend(RankingQuery(f"u{user}", 4000))
            seen = {f"i{row}" for row in big.release.history(f"u{user}")}
            assert set(ids(ranking)) == may - seen
            assert_well_formed(ranking)

    def test_a_longer_answer_starts_with_the_shorter_one(self, big: Ranker) -> None:
        for user in ("u0", "u1", "u2", None):
            assert ids(big.recommend(RankingQuery(user, 50)))[:7] == ids(big.recommend(RankingQuery(user, 7)))

    def test_threads_share_a_ranker(self, big: Ranker) -> None:
        expected = [big.recommend(RankingQuery(f"u{user}", 10)) for user in range(30)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda user: big.recommend(RankingQuery(f"u{user}", 10)), range(30))) == expected


def test_what_a_user_dislikes_is_neither_answered_nor_a_reason(shop) -> None:
    vectors, users = [[1, 0], [0.9, 0.1], [0, 1], [0.5, 0]], [(user, [1, 0], ()) for user in ("ann", "böb", "cy")]
    ranker = shop(["a", "b", "c", "d"], vectors, users, disliked=[[1, 0], [1, 3], [2, 1]])
    for user, left in (("ann", "abdc"), ("böb", "bc"), ("cy", "adc")):
        ranking = ranker.recommend(RankingQuery(user, 4))
        assert ids(ranking) == list(left)
        assert not any("Title" in item.reason for item in ranking.items)  # as a history would be named
    assert ids(ranker.recommend(RankingQuery("böb", 4, exclude_seen=False))) == ["b", "c"]
    assert ids(
        ranker.recommend(RankingQuery("böb", 4, exclude_seen=False, recent_items=("b",), recent_weights=(-1.0,)))
    ) == ["c"]
    assert ids(ranker.recommend(RankingQuery("böb", 4, filters=Filters(exclude_ids=("b", "c"))))) == ["a", "d"]
    assert (
        ranker.recommend(RankingQuery("böb", 4, filters=Filters(exclude_ids=("b", "c")))).fallback_reason == "all_seen"
    )


def test_the_index_of_another_model_is_refused(four: Ranker) -> None:
    (four.release.directory / "index.faiss").write_bytes(b"nonsense")
    with pytest.raises(CorruptRelease, match=r"index\.faiss"):
        Ranker(four.release)


def test_memory_is_counted(four: Ranker) -> None:
    before = four.bytes_in_memory
    four.recommend(RankingQuery(None, 1, filters=Filters(category="x")))
    assert before < four.bytes_in_memory
