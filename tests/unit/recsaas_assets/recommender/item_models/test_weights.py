"""Item-kNN and EASE against dense matrices worked out in the plainest way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsaas_assets.recommender.item_models import ease, item_knn, weights
from recsaas_assets.recommender.item_models.ease import ease_weights
from recsaas_assets.recommender.item_models.item_knn import knn_weights
from resources.base.errors import TooLarge


def _history(n_users: int, n_items: int) -> np.ndarray:
    """Ones and zeros; nobody has item 3, and user 4 has nothing."""
    dense = (np.random.default_rng(n_users).random((n_users, n_items)) < 0.25).astype(np.float32)
    dense[:, 3] = dense[4] = 0
    return dense


def test_ease_is_the_closed_form() -> None:
    dense = _history(40, 25)
    found = ease_weights(sparse.csr_array(dense), (7.0, 2.0), entries=25)
    for regularisation, weights_found in zip((7.0, 2.0), found, strict=True):
        inverse = np.linalg.inv(dense.T.astype(float) @ dense + regularisation * np.eye(25))
        expected = -inverse / np.diag(inverse)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(weights_found.toarray(), expected, atol=1e-6)
        assert not weights_found[[3]].nnz and not weights_found[:, [3]].nnz, "what nobody has says nothing"


def test_ease_keeps_the_strongest_weights_of_a_column_whatever_their_sign() -> None:
    dense = sparse.csr_array(_history(40, 25))
    whole, cut = (ease_weights(dense, (2.0,), entries=n)[0].toarray() for n in (25, 6))
    assert (whole < 0).any()
    for column, kept in zip(np.delete(whole.T, 3, 0), np.delete(cut.T, 3, 0), strict=True):
        assert np.sort(np.abs(kept[kept != 0])).tolist() == np.sort(np.abs(column))[-6:].tolist()


def test_with_many_items_ease_is_a_ridge_regression_on_the_nearest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "DENSE_ITEMS", 10)
    monkeypatch.setattr(ease, "NEIGHBOURS", 5)
    monkeypatch.setattr(ease, "_AT_ONCE", 7)
    dense = _history(40, 26)
    dense[2:, 7] = 0
    history = sparse.csr_array(dense)
    gram = dense.T @ dense
    near = knn_weights(history, neighbours=5).T.tocsr()
    found = ease_weights(history, (7.0, 2.0), entries=26)
    for regularisation, weights_found in zip((7.0, 2.0), found, strict=True):
        expected = np.zeros((26, 26))
        for item in range(26):
            others = near.indices[near.indptr[item] : near.indptr[item + 1]]
            if gram[item, item] >= ease.LEAST_USERS:
                system = gram[np.ix_(others, others)] + regularisation * np.eye(len(others))
                expected[others, item] = np.linalg.solve(system, gram[others, item])
        np.testing.assert_allclose(weights_found.toarray(), expected, atol=1e-5)
        assert expected.any() and not expected[:, 7].any(), "two users explain nothing"


def test_ease_on_all_neighbours_has_no_less_to_say_than_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every item in every neighbourhood both are the same regressions."""
    dense = (np.random.default_rng(1).random((200, 12)) < 0.5).astype(np.float32)
    closed = ease_weights(sparse.csr_array(dense), (5.0,))[0].toarray()
    monkeypatch.setattr(ease, "DENSE_ITEMS", 1)
    near = ease_weights(sparse.csr_array(dense), (5.0,))[0].toarray()
    np.testing.assert_allclose(near, closed, atol=1e-5)


def test_ease_says_when_there_is_too_much_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "DENSE_ITEMS", 1)
    monkeypatch.setattr(ease, "MAX_PRODUCTS", 12)
    assert ease_weights(sparse.csr_array(np.ones((3, 2), np.float32)), (1.0,))[0].nnz == 2
    with pytest.raises(TooLarge, match="up to 12, and there are 16"):
        ease_weights(sparse.csr_array(np.ones((4, 2), np.float32)), (1.0,))


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
@pytest.mark.parametrize("share", [0.0, 1.1], ids=["dense blocks", "sparse blocks"])
def test_knn_by_the_formula(exponent: float, shrinkage: float, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_SPARSE", share)
    monkeypatch.setattr(weights, "_BLOCK", 7)
    dense = _history(40, 25)
    shared = dense.T @ dense
    users = np.maximum(np.diag(shared), 1)
    expected = shared / (np.outer(users ** (1 - exponent), users**exponent) + shrinkage)
    np.fill_diagonal(expected, 0)
    history = sparse.csr_array(dense)
    found = knn_weights(history, exponent=exponent, shrinkage=shrinkage)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)
    few = knn_weights(history, exponent=exponent, shrinkage=shrinkage, neighbours=4)
    assert np.diff(few.tocsc().indptr).max() == 4
    for column, kept in zip(expected.T, few.toarray().T, strict=True):
        np.testing.assert_allclose(np.sort(kept)[-4:], np.sort(column)[-4:], atol=1e-6)


def test_knn_counts_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_knn, "MAX_PRODUCTS", 12)
    assert knn_weights(sparse.csr_array(np.ones((3, 2), np.float32))).nnz == 2
    with pytest.raises(TooLarge, match="up to 12, and there are 16"):
        knn_weights(sparse.csr_array(np.ones((4, 2), np.float32)))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (3, 1), (1, 3)])
def test_the_smallest_histories(shape: tuple[int, int]) -> None:
    history = sparse.csr_array(np.ones(shape, dtype=np.float32))
    others = shape[1] * (shape[1] - 1) if shape[0] else 0
    assert (knn_weights(history).shape, knn_weights(history).nnz) == ((shape[1], shape[1]), others)
    (by_ease,) = ease_weights(history, (1.0,))
    assert (by_ease.shape, by_ease.nnz) == ((shape[1], shape[1]), others)
