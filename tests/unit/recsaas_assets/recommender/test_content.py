"""What the catalogue says of an item, and what that says of its vector."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from upath import UPath

from recsaas_assets.recommender.data.content import item_content
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle import content_maps
from recsaas_assets.recommender.lifecycle.cold_items import (
    CATEGORY_POPULARITY,
    ContentChoice,
    category_popularity,
    with_cold_items,
)
from recsaas_assets.recommender.lifecycle.content_maps import Nearest, Ridge
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from resources.tenants.model_configs import LightGCNConfig


def catalogue(**columns: list[Any]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    schema = {name: pl.String for name in ("item_id", "title", "category", "brand", "tags")} | {"price": pl.Float64}
    return pl.DataFrame({name: columns.get(name, [None] * n) for name in schema}, schema=schema)


def test_shared_words_tags_and_categories_are_features_and_unique_ones_are_not() -> None:
    items = catalogue(
        item_id=["a", "b", "c"],
        title=["Red Mug", "red cup", "Grüße"],
        category=["Kitchen", " kitchen", None],
        tags=["gift|new", "Gift", ""],
    )
    matrix = item_content(items, ["a", "b", "c"]).words.toarray()
    assert matrix.shape == (3, 3)  # red, kitchen, gift; each on two of three items
    assert matrix[0] == pytest.approx([3**-0.5] * 3)
    assert np.array_equal(matrix[0], matrix[1])
    assert not matrix[2].any()


def test_price_bins_hold_equally_many_items() -> None:
    ids = [f"i{n}" for n in range(40)]
    matrix = item_content(catalogue(item_id=ids, price=[2.0**n for n in range(40)]), ids).words
    assert (matrix > 0).sum(axis=0).tolist() == [4] * 10


def test_rows_are_the_asked_ones_and_the_order_of_the_catalogue_does_not_matter() -> None:
    items = catalogue(item_id=["a", "b", "c"], brand=["X", "x", None], category=["K", None, "k"])
    ids = ["unknown", "c", "b", "a"]
    content, other = item_content(items, ids), item_content(items.reverse(), ids)
    assert not content.words.toarray()[0].any()
    assert np.array_equal(content.words.toarray(), other.words.toarray())
    assert content.category.tolist() == other.category.tolist() == [-1, 0, -1, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_no_or_one_item_has_no_content(n: int) -> None:
    ids = [f"i{row}" for row in range(n)]
    for items in (catalogue(item_id=ids, title=["Mug"] * n), catalogue(item_id=[])):
        content = item_content(items, ids)
        assert content.words.shape == content.details.shape == (n, 0)
        assert content.category.tolist() == [-1] * n


def test_every_level_of_a_category_is_a_feature_and_the_whole_path_is_the_category() -> None:
    items = catalogue(
        item_id=["a", "b", "c", "d"], category=["Home > Kitchen > Mugs", "home>kitchen>pans", "Home / Bath", "Mugs"]
    )
    content = item_content(items, ["a", "b", "c", "d"])
    shared = (content.words @ content.words.T).toarray()
    assert shared[0, 1] > shared[0, 2] > 0  # kitchen and home; home alone
    assert shared[0, 3] == 0  # another way to a level of the same name
    assert len(set(content.category.tolist())) == 4


def test_details_find_a_word_in_another_form_and_two_words_that_follow_each_other() -> None:
    ids = ["a", "b", "c", "d"]
    items = catalogue(item_id=ids, title=["Teapots", "Teapot stand", "jumbo bag", "JUMBO  BAG"])
    content = item_content(items, ids)
    assert not content.words.toarray()[0].any()  # no other item has the word
    alike = (content.details @ content.details.T).toarray()
    assert alike[0, 1] > 0.5 and alike[0, 2] == 0
    assert alike[2, 3] == pytest.approx(1)
    # jumbo: ^jum, jumb, umbo, mbo$; bag: ^bag, bag$; and the two words
    assert (content.details.toarray()[2] > 0).sum() == 7


def world(theme: np.ndarray, category: np.ndarray) -> tuple[ModelVectors, Pairs, Any]:
    """60 items of three themes, 90 users of one theme each; the last 6 items nobody knows.

    The title of an item names its theme, its vector is the direction of the theme and a popularity.
    """
    n = len(theme)
    popularity = np.where(np.arange(n) % 2, 0.2, 0.1)
    items = np.column_stack([np.eye(3), np.zeros(3)])[theme].astype(np.float32)
    items[:, 3] = popularity
    items[54:] = 0
    ids = [f"{row:02}" for row in range(n)]
    content = item_content(
        catalogue(item_id=ids, title=[f"theme{'xyz'[each]}" for each in theme], category=[f"c{c}" for c in category]),
        ids,
    )
    users = np.column_stack([np.eye(3), np.ones(3)])[np.arange(90) % 3].astype(np.float32)
    rng = np.random.default_rng(5)
    known = [(u, i) for u in range(90) for i in range(54) if theme[i] == u % 3 and rng.random() < 0.6]
    learned = items[:, :3]
    vectors = ModelVectors(users, items, fold_in=2 * learned, start_users=users[:, :3], start_items=3 * learned)
    return vectors, Pairs.of(*zip(*known, strict=True)), content


@pytest.fixture
def themes() -> tuple[ModelVectors, Pairs, Any]:
    return world(np.arange(60) % 3, np.zeros(60, dtype=int))


def test_a_new_item_lies_with_the_items_of_its_content(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes
    filled, choice = with_cold_items(vectors, pairs, content, seed=1)
    assert choice is not None and choice.method != CATEGORY_POPULARITY
    assert choice.ndcg[choice.method] > 0.8 > 0.6 > choice.ndcg[CATEGORY_POPULARITY]
    assert choice.chance < 0.6
    for name in ("items", "fold_in", "start_items"):
        before, after = getattr(vectors, name), getattr(filled, name)
        assert np.array_equal(after[:54], before[:54])  # what was learned stays
        assert after[54:, :3].argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 2]
        assert not before[54:].any()  # and what was given
        assert after.dtype == np.float32
    assert filled.items[54:, :3].max() == pytest.approx(1, abs=0.25)


def test_the_same_seed_chooses_the_same_and_a_choice_is_not_made_again(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes
    first, choice = with_cold_items(vectors, pairs, content, seed=1)
    again, same = with_cold_items(vectors, pairs, content, seed=1)
    assert choice == same and np.array_equal(first.items, again.items)
    given = ContentChoice(method=CATEGORY_POPULARITY, ndcg={}, chance=0.0, users=1)
    filled, kept = with_cold_items(vectors, pairs, content, seed=1, choice=given)
    assert kept is given and not filled.items[54:, :3].any()


def test_a_new_item_without_content_stays_without_a_vector(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes

    def blank(matrix: sparse.csr_array, row: int) -> sparse.csr_array:
        kept = matrix.copy()
        kept.data[kept.indptr[row] :] = 0
        kept.eliminate_zeros()
        return kept

    empty = replace(content, words=blank(content.words, 58), details=blank(content.details, 59))
    filled, _ = with_cold_items(vectors, pairs, empty, seed=1)
    assert filled.items[57].any() and filled.items[58].any() and not filled.items[59].any()  # 58 has details alone


def test_content_that_says_nothing_gives_way_to_the_popularity_of_the_category() -> None:
    """The titles are shuffled; the category, known to no map, has every second item, which are the popular ones."""
    vectors, pairs, content = world(np.arange(60) % 3, np.arange(60) % 2)
    order = np.random.default_rng(3).permutation(60)
    shuffled = replace(content, words=content.words[order], details=content.details[order])
    filled, choice = with_cold_items(vectors, pairs, shuffled, seed=1)
    assert choice is not None and choice.method == CATEGORY_POPULARITY
    assert not filled.items[54:, :3].any()  # nothing is claimed of taste
    assert filled.items[54:, 3] == pytest.approx(np.where(np.arange(54, 60) % 2, 0.2, 0.1), abs=0.01)
    assert np.array_equal(filled.items[:54], vectors.items[:54])
    assert filled.fold_in is vectors.fold_in and filled.start_items is vectors.start_items


def test_the_popularity_of_a_category_is_a_mean_damped_by_one_item() -> None:
    items = np.array([[1, 0, 0.4], [0, 1, 0.8], [0, 1, 0.0], [0, 0, 0], [0, 0, 0]], np.float32)
    users = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    vectors = ModelVectors(users, items, items[:, :2], users[:, :2], items[:, :2])
    category = np.array([0, 0, 1, 0, -1], np.int32)
    found = category_popularity(vectors, category, np.array([0, 1, 2], np.int32), np.array([3, 4], np.int32))
    assert found == pytest.approx(np.array([[0, 0, (0.4 + 0.8 + 0.4) / 3], [0, 0, 0.4]]), abs=1e-6)


def test_without_a_coordinate_of_popularity_it_is_what_the_mean_user_would_give() -> None:
    items = np.array([[0.6, 0.0], [0.2, 0.4], [0, 0]], np.float32)
    users = np.array([[1, 0], [0, 1], [0, 0]], np.float32)  # the last is unknown and has no say
    vectors = ModelVectors(users, items, items, users, items)
    category = np.zeros(3, np.int32)
    [found] = category_popularity(vectors, category, np.array([0, 1], np.int32), np.array([2], np.int32))
    assert found @ users[:2].mean(axis=0) == pytest.approx(0.3)  # as both warm items on average
    assert found[0] == found[1]


def test_too_few_warm_items_teach_nothing(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, _, content = themes
    assert with_cold_items(vectors, Pairs.of([0] * 19, range(19)), content, seed=1) == (vectors, None)


def test_items_that_nobody_shares_choose_nothing_and_fall_back(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    """Every item has a user of its own: whoever had a hidden item has nothing else to be folded in from."""
    vectors, _, content = themes
    filled, choice = with_cold_items(vectors, Pairs.of(range(54), range(54)), content, seed=1)
    assert choice is not None and (choice.method, choice.users) == (CATEGORY_POPULARITY, 0)
    assert filled.items[54:, 3].all()


def test_the_ridge_regression_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((30, 5)).astype(np.float32)
    targets = rng.normal(size=(30, 2)).astype(np.float32)
    weight = rng.random(30).astype(np.float32) + 0.5
    asked = rng.random((4, 5)).astype(np.float32)
    mean = np.average(targets, axis=0, weights=weight)
    inverse = np.linalg.inv(dense.T @ (weight[:, None] * dense) + 2 * np.eye(5))
    expected = mean + asked @ inverse @ dense.T @ (weight[:, None] * (targets - mean))
    found = Ridge(2.0).predict(sparse.csr_array(dense), targets, weight, sparse.csr_array(asked))
    assert found == pytest.approx(expected, abs=1e-3)


def test_the_nearest_items_speak_by_squared_cosine_and_confidence() -> None:
    warm = sparse.csr_array(np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32))
    targets, confidence = np.array([[4.0], [1.0], [-5.0]], np.float32), np.array([1, 2, 1], np.float32)
    cold = sparse.csr_array(np.array([[1, 0], [0, 0]], np.float32))
    mean = (4 + 2 - 5) / 4
    voices = np.array([1, 2 * 0.36])
    expected = mean + voices @ np.array([4 - mean, 1 - mean]) / (voices.sum() + 0.3)
    assert Nearest(2).predict(warm, targets, confidence, cold)[:, 0] == pytest.approx([expected, mean])


def test_maps_learn_from_no_more_items_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_maps, "MOST_WARM", 2)
    warm = sparse.csr_array(np.eye(3, dtype=np.float32))
    targets, confidence = np.array([[9.0], [1.0], [3.0]], np.float32), np.array([0.1, 1, 1], np.float32)
    for each in (Ridge(1.0), Nearest(3)):
        found = each.predict(warm, targets, confidence, sparse.csr_array(np.eye(3, dtype=np.float32)))
        assert found[0, 0] == pytest.approx(2)  # the mean of the two others: the surest ones alone were asked
        assert found[1, 0] < 2 < found[2, 0]


def test_what_the_test_period_holds_changes_neither_the_choice_nor_what_is_measured(tmp_path: Path) -> None:
    """A planted row of the future: the new item is bought by everybody, in the test period alone."""
    rng = np.random.default_rng(2)
    users = rng.integers(0, 40, 600)
    items = 2 * rng.integers(0, 15, 600) + users % 2
    ids = [f"i{row:02}" for row in range(31)]  # the last one is new
    titles = ["odd thing" if row % 2 else "even thing" for row in range(31)]
    content = item_content(catalogue(item_id=ids, title=titles), ids)
    start = datetime(2025, 1, 1, tzinfo=UTC)

    def trained(planted: int) -> tuple[TrainingSet, TrainedModel]:
        late = [30 if n >= 540 and n % 2 < planted else item for n, item in enumerate(items)]
        signals = pl.DataFrame(
            {
                "user_id": [f"u{user:02}" for user in users],
                "item_id": [ids[row] for row in late],
                "timestamp": [start + timedelta(hours=n) for n in range(600)],
                "interaction_type": ["view"] * 600,
                "signal": [1.0] * 600,
            },
            schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
        )
        data = build_training_set(signals, pl.Series("item_id", ids), 10)
        config = LightGCNConfig(dim=8, steps=10, negatives=16)
        return data, train(TrainingInputs(data, content=content), config, seed=1)

    (data, plain), (_, other) = trained(0), trained(1)
    assert plain.fingerprint != other.fingerprint
    assert plain.cold_items == other.cold_items and plain.cold_items is not None
    assert plain.cold_items.method != CATEGORY_POPULARITY
    assert plain.holdout.items[30].any()
    for name in ("users", "items", "fold_in"):
        assert np.array_equal(getattr(plain.holdout, name), getattr(other.holdout, name)), name
    assert not np.array_equal(plain.release.items[30], other.release.items[30])
    plain.save(UPath(tmp_path))
    assert TrainedModel.load(UPath(tmp_path), data).cold_items == plain.cold_items
