"""The item table: its scores, and the arrays that it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from resources.base.errors import CorruptArtifact
from resources.release.item_table import ItemTable


def test_scores_are_standardised_sums_and_the_prior(table: ItemTable) -> None:
    sums = table.sums(np.array([0, 1], np.int32), np.array([2.0, -1.0]))
    np.testing.assert_allclose(sums, [-0.25, 1.0, 2.0])
    np.testing.assert_allclose(
        table.scores(np.array([0], np.int32)), np.array([0, 0.5, 1]) / np.std([0, 0.5, 1]) + [0, 0.1, 0], rtol=1e-6
    )


def test_a_user_of_whom_nothing_is_said_has_the_prior(table: ItemTable) -> None:
    for rows in ([], [2]):
        np.testing.assert_array_equal(table.scores(np.array(rows, np.int32)), table.prior)


def test_sums_are_those_of_the_matrix_product() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(60, 60)) * (rng.random((60, 60)) < 0.2)
    np.fill_diagonal(dense, 0)
    matrix = sparse.csr_array(dense.astype(np.float32))
    table = ItemTable(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, np.zeros(60, np.float32)
    )
    rows, weights = rng.integers(0, 60, size=25).astype(np.int32), rng.normal(size=25)
    np.testing.assert_allclose(table.sums(rows, weights), weights @ dense[rows], rtol=1e-5, atol=1e-6)
    entries = table.entries(rows)
    assert entries.counts.tolist() == [len(table.row(row)[0]) for row in rows]
    np.testing.assert_array_equal(entries.items, np.concatenate([table.row(row)[0] for row in rows]))


@pytest.mark.parametrize("m", [1, 3, 40])
def test_few_entries_of_many_items_are_scored_like_all(m: int) -> None:
    rng = np.random.default_rng(m)
    n = 400
    dense = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.02)
    matrix = sparse.csr_array(dense.astype(np.float32))
    prior = rng.random(n, dtype=np.float32)
    table = ItemTable(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, prior)
    rows, weights = rng.choice(n, size=m, replace=False).astype(np.int32), rng.normal(size=m)
    sums = weights @ dense[rows]
    np.testing.assert_allclose(table.scores(rows, weights), sums / sums.std() + prior, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.1, 1e-3, 7.0])
def test_what_speaks_for_all_alike_tells_nothing(value: float) -> None:
    table = ItemTable(
        np.array([0, 3, 3, 3], np.int64),
        np.arange(3, dtype=np.int32),
        np.full(3, value, np.float32),
        np.zeros(3, np.float32),
    )
    assert table.scores_by(table.entries(np.array([0], np.int32)), np.array([1 / 3])) is None
    np.testing.assert_array_equal(table.scores(np.array([0], np.int32)), table.prior)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("indptr", np.array([0, 2, 1, 3], np.int64)),
        ("indptr", np.array([0, 3], np.int64)),
        ("items", np.array([1, 2, 3], np.int32)),
        ("items", np.array([1, 2], np.int32)),
        ("values", np.array([0.5, np.nan, 1], np.float32)),
        ("values", np.array([0.5, 1, 1], np.float64)),
        ("prior", np.array([0, np.inf, 0], np.float32)),
    ],
)
def test_what_is_no_table_is_refused(table: ItemTable, array: str, value: np.ndarray) -> None:
    with pytest.raises(CorruptArtifact, match="item_table_"):
        replace(table, **{array: value}).check()
    table.check()
