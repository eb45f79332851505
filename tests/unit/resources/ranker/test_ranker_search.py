import faiss
import numpy as np
import pytest

from resources.ranker.search import VectorSearch


def _expected(vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray) -> list[int]:
    """The answer by definition: all products in float64, by product and then by row."""
    products = vectors.astype(np.float64) @ query.astype(np.float64)
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-round(float(products[row]), 9), row))[:k]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 10, 400])
@pytest.mark.parametrize("grid", [False, True])
def test_index_scan_and_batch_give_the_answer_by_definition(share: float, k: int, grid: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(300, 6)).astype(np.float32)
    if grid:  # few distinct products: nearly everything ties
        vectors = np.sign(vectors)
    query = vectors[5]
    allowed = rng.random(300) < share
    index = faiss.IndexFlatIP(6)
    index.add(vectors)
    expected = _expected(vectors, query, k, allowed)
    removed = 300 - int(allowed.sum())
    rows, products = VectorSearch(vectors, index).top(query, k, allowed, allowed_before=300, removed=removed)
    assert rows.tolist() == expected
    assert VectorSearch(vectors).exact(query, k, allowed)[0].tolist() == expected
    batch = np.where(allowed, vectors @ query, -np.inf).astype(np.float32)
    batch_rows, batch_products = VectorSearch(vectors).exact_from_products(query, k, batch)
    assert batch_rows.tolist() == expected
    assert np.array_equal(products, batch_products)


def test_the_scan_takes_over_when_the_index_has_too_few_allowed_rows() -> None:
    vectors = np.linspace(1, 0.1, 100, dtype=np.float32)[:, None]
    index = faiss.IndexFlatIP(1)
    index.add(vectors)
    allowed = np.zeros(100, dtype=bool)
    allowed[[97, 99]] = True  # the very last ones; the index is told that all 100 rows passed
    rows, _ = VectorSearch(vectors, index).top(np.ones(1, np.float32), 2, allowed, allowed_before=100, removed=0)
    assert rows.tolist() == [97, 99]


def test_padding_of_the_index_is_never_a_row() -> None:
    class Padded:
        def search(self, _: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            labels = np.full((1, k), -1)
            labels[0, :2] = [3, 1]
            products = np.full((1, k), -np.finfo(np.float32).max, np.float32)
            products[0, :2] = [3, 1]
            return products, labels

    vectors = np.arange(200, dtype=np.float32)[:, None]
    search = VectorSearch(vectors, Padded())
    rows, _ = search.top(np.ones(1, np.float32), 3, np.ones(200, bool), allowed_before=200, removed=0)
    assert rows.tolist() == [199, 198, 197]


def test_cosine_ignores_length_and_rows_that_are_not_allowed() -> None:
    vectors = np.array([[1, 0], [0.1, 0], [5, 5], [0, 9], [-1, 0]], dtype=np.float32)
    rows, cosines = VectorSearch(vectors).exact_cosine(0, 3, np.array([False, True, True, False, True]))
    assert rows.tolist() == [1, 2, 4]
    assert cosines == pytest.approx([1, 0.5**0.5, -1])
