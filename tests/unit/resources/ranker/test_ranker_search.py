import faiss
import numpy as np
import pytest

from resources.ranker.retrieval.search import VectorSearch


def _expected(vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray) -> list[int]:
    """The answer by definition: all products in float64, by product and then by row."""
    products = vectors.astype(np.float64) @ query.astype(np.float64)
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-round(float(products[row]), 9), row))[:k]


class CountingIndex:
    """A FAISS index that counts its searches."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.searches = 0
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.searches += 1
        return self._index.search(query, k)


@pytest.mark.parametrize(("share", "k", "by_index"), [
    (0.0, 10, False), (0.02, 1, False), (0.02, 10, False), (0.5, 1, True), (0.5, 10, True), (0.5, 4000, False),
    (1.0, 1, True), (1.0, 10, True), (1.0, 4000, False),
])  # fmt: skip
@pytest.mark.parametrize("grid", [False, True])
def test_index_scan_and_batch_give_the_answer_by_definition(share: float, k: int, by_index: bool, grid: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(2000, 6)).astype(np.float32)
    if grid:  # 64 distinct vectors, far fewer distinct products: nearly everything ties
        vectors = np.sign(vectors)
    query = vectors[5]
    allowed = rng.random(2000) < share
    index = CountingIndex(vectors)
    expected = _expected(vectors, query, k, allowed)
    rows, products = VectorSearch(vectors, index).top(query, k, allowed, allowed_before=int(allowed.sum()), removed=0)
    assert rows.tolist() == expected
    assert index.searches == by_index
    assert VectorSearch(vectors).exact(query, k, allowed)[0].tolist() == expected
    batch = np.where(allowed, vectors @ query, -np.inf).astype(np.float32)
    batch_rows, batch_products = VectorSearch(vectors).exact_from_products(query, k, batch)
    assert batch_rows.tolist() == expected
    assert np.array_equal(products, batch_products)


def test_the_scan_takes_over_when_the_index_has_too_few_allowed_rows() -> None:
    vectors = np.linspace(1, 0.1, 1000, dtype=np.float32)[:, None]
    index = CountingIndex(vectors)
    allowed = np.zeros(1000, dtype=bool)
    allowed[[997, 999]] = True  # the very last ones; the search is told that all 1,000 rows passed
    rows, _ = VectorSearch(vectors, index).top(np.ones(1, np.float32), 2, allowed, allowed_before=1000, removed=0)
    assert rows.tolist() == [997, 999]
    assert index.searches == 1


class CannedIndex:
    """Answers the same rows to everything, padded with −1 as FAISS does."""

    def __init__(self, rows: list[int], products: list[float]) -> None:
        self._rows, self._products = rows, products

    def search(self, _: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        missing = max(0, k - len(self._rows))
        products = self._products + [-float(np.finfo(np.float32).max)] * missing
        return np.array([products[:k]], np.float32), np.array([(self._rows + [-1] * missing)[:k]])


@pytest.mark.parametrize("found", [[999, 998, 997, 996], [999], []])
def test_padding_of_the_index_is_never_a_row(found: list[int]) -> None:
    vectors = np.arange(1000, dtype=np.float32)[:, None]
    search = VectorSearch(vectors, CannedIndex(found, [float(row) for row in found]))
    rows, _ = search.top(np.ones(1, np.float32), 3, np.ones(1000, bool), allowed_before=1000, removed=0)
    assert rows.tolist() == [999, 998, 997]


def test_a_tie_that_the_index_cut_through_is_settled_by_row() -> None:
    vectors = np.ones((1000, 1), dtype=np.float32)
    search = VectorSearch(vectors, CannedIndex(list(range(900, 1000)), [1.0] * 100))
    rows, _ = search.top(np.ones(1, np.float32), 3, np.ones(1000, bool), allowed_before=1000, removed=0)
    assert rows.tolist() == [0, 1, 2]


def test_cosine_ignores_length_and_rows_that_are_not_allowed() -> None:
    vectors = np.array([[1, 0], [0.1, 0], [5, 5], [0, 9], [-1, 0]], dtype=np.float32)
    rows, cosines = VectorSearch(vectors).exact_cosine(0, 3, np.array([False, True, True, False, True]))
    assert rows.tolist() == [1, 2, 4]
    assert cosines == pytest.approx([1, 0.5**0.5, -1])
