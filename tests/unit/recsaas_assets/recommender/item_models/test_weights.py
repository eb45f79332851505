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


@pytest.mark.parametrize(("n_users", "n_items"), [(40, 25), (25, 40), (30, 30)])
def test_ease_is_the_closed_form_on_either_side(n_users: int, n_items: int) -> None:
    dense = _history(n_users, n_items)
    inverse = np.linalg.inv(dense.T.astype(float) @ dense + 7.0 * np.eye(n_items))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    found = ease_weights(sparse.csr_array(dense), regularisation=7.0, entries=n_items).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[3].any() and not found[:, 3].any(), "what nobody has says nothing"


def test_ease_keeps_the_strongest_weights_of_a_row_whatever_their_sign() -> None:
    dense = sparse.csr_array(_history(40, 25))
    whole, cut = (ease_weights(dense, regularisation=2.0, entries=n).toarray() for n in (25, 6))
    assert (whole < 0).any()
    for row, kept in zip(np.delete(whole, 3, 0), np.delete(cut, 3, 0), strict=True):
        assert np.sort(np.abs(kept[kept != 0])).tolist() == np.sort(np.abs(row))[-6:].tolist()


def test_ease_says_when_there_are_too_many_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MAX_SIDE", 24)
    with pytest.raises(TooLarge, match=r"up to 24 users or items, and there are 39 users and 24 items|39 users and 25"):
        ease_weights(sparse.csr_array(np.delete(_history(40, 26), 3, 1)))
    assert ease_weights(sparse.csr_array(_history(40, 25))).nnz, "24 of the 25 items are anybody's"


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
    assert np.diff(few.indptr).max() == 4
    for row, kept in zip(expected, few.toarray(), strict=True):
        np.testing.assert_allclose(np.sort(kept)[-4:], np.sort(row)[-4:], atol=1e-6)


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
    assert (ease_weights(history).shape, ease_weights(history).nnz) == ((shape[1], shape[1]), others)
