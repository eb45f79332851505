"""What the catalogue says of an item, and what that says of its vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.data.content import content_matrix
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle.cold_items import fit_content_map, measure, with_cold_items


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
    matrix = content_matrix(items, ["a", "b", "c"]).toarray()
    assert matrix.shape == (3, 3)  # red, kitchen, gift; each on two of three items
    assert matrix[0] == pytest.approx([3**-0.5] * 3)
    assert np.array_equal(matrix[0], matrix[1])
    assert not matrix[2].any()


def test_price_bins_hold_equally_many_items() -> None:
    matrix = content_matrix(
        catalogue(item_id=[f"i{n}" for n in range(40)], price=[2.0**n for n in range(40)]), [f"i{n}" for n in range(40)]
    )
    assert (matrix > 0).sum(axis=0).tolist() == [4] * 10


def test_rows_are_the_asked_ones_and_the_order_of_the_catalogue_does_not_matter() -> None:
    items = catalogue(item_id=["a", "b", "c"], brand=["X", "x", None], category=["K", None, "k"])
    ids = ["unknown", "c", "b", "a"]
    matrix = content_matrix(items, ids)
    assert not matrix.toarray()[0].any()
    assert np.array_equal(matrix.toarray(), content_matrix(items.reverse(), ids).toarray())


@pytest.mark.parametrize("n", [0, 1])
def test_no_or_one_item_has_no_content(n: int) -> None:
    ids = [f"i{row}" for row in range(n)]
    assert content_matrix(catalogue(item_id=ids, title=["Mug"] * n), ids).shape == (n, 0)
    assert content_matrix(catalogue(item_id=[]), ids).shape == (n, 0)


@pytest.fixture
def themes() -> tuple[ModelVectors, Pairs, Any]:
    """60 items of three themes; the content is the theme, the vector its direction; the last 6 nobody knows."""
    theme = np.arange(60) % 3
    items = np.eye(3, dtype=np.float32)[theme]
    items[54:] = 0
    content = content_matrix(
        catalogue(item_id=[f"{n:02}" for n in range(60)], category=[f"c{each}" for each in theme]),
        [f"{n:02}" for n in range(60)],
    )
    users = np.zeros((2, 3), np.float32)
    vectors = ModelVectors(users, items, fold_in=2 * items, start_users=users, start_items=3 * items)
    return vectors, Pairs.of([0, 1] * 27, range(54)), content


def test_a_new_item_lies_with_the_items_of_its_content(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes
    filled, quality = with_cold_items(vectors, pairs, content, seed=1)
    assert quality is not None and quality.best > 0.9
    for name in ("items", "fold_in", "start_items"):
        before, after = getattr(vectors, name), getattr(filled, name)
        assert np.array_equal(after[:54], before[:54])  # what was learned stays
        assert after[54:].argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 2]
        assert not before[54:].any()  # and what was given
        assert after.dtype == np.float32
    assert filled.items[54:].max() == pytest.approx(1, abs=0.1)


def test_a_new_item_without_content_stays_without_a_vector(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes
    blank = content.copy()
    blank.data[blank.indptr[59] :] = 0
    blank.eliminate_zeros()
    filled, _ = with_cold_items(vectors, pairs, blank, seed=1)
    assert filled.items[58].any() and not filled.items[59].any()


def test_content_that_says_nothing_is_not_used(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, pairs, content = themes
    shuffled = content[np.random.default_rng(3).permutation(60)]
    filled, quality = with_cold_items(vectors, pairs, shuffled, seed=1)
    assert quality is not None and not quality.useful
    assert filled is vectors


def test_too_few_warm_items_teach_nothing(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, _, content = themes
    assert with_cold_items(vectors, Pairs.of([0] * 19, range(19)), content, seed=1) == (vectors, None)


def test_the_regression_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((30, 5)).astype(np.float32)
    targets = rng.normal(size=(30, 2)).astype(np.float32)
    weight = rng.random(30).astype(np.float32) + 0.5
    from scipy import sparse

    fitted = fit_content_map(sparse.csr_array(dense), targets, weight, 2.0)
    centred = targets - np.average(targets, axis=0, weights=weight)
    expected = np.linalg.solve(
        dense.T @ (weight[:, None] * dense) + 2 * np.eye(5), dense.T @ (weight[:, None] * centred)
    )
    assert fitted.weights == pytest.approx(expected, abs=1e-3)


def test_the_penalty_follows_what_held_out_items_say(themes: tuple[ModelVectors, Pairs, Any]) -> None:
    vectors, _, content = themes
    confidence = np.ones(54, np.float32)
    clear = measure(content[:54], vectors.items[:54], confidence, seed=1)
    noise = np.random.default_rng(0).normal(size=(54, 3)).astype(np.float32) * 3
    noisy = measure(content[:54], vectors.items[:54] + noise, confidence, seed=1)
    assert clear.penalty < noisy.penalty
    assert clear.explained == measure(content[:54], vectors.items[:54], confidence, seed=1).explained
