from pathlib import Path

import faiss
import numpy as np
import pytest

from resources.base.errors import CorruptRelease
from resources.ranker.retrieval.euclidean import EuclideanIndex
from resources.ranker.retrieval.index import build_index, load_index

RNG_SEED = 3


def _vectors(count: int, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_small_catalogue_is_searched_exactly(tmp_path: Path, count: int) -> None:
    vectors = _vectors(count)
    data, info = build_index(vectors)
    assert (info.type, info.recall) == ("flat_ip", 1.0)
    (tmp_path / "index.faiss").write_bytes(data)
    index = load_index(tmp_path / "index.faiss", vectors, name="release x")
    assert index.ntotal == count
    assert faiss.omp_get_max_threads() == 1


def test_no_vectors_at_all_still_make_an_index(tmp_path: Path) -> None:
    vectors = np.zeros((4, 0), np.float32)
    (tmp_path / "index.faiss").write_bytes(build_index(vectors)[0])
    assert load_index(tmp_path / "index.faiss", vectors, name="release x").ntotal == 0


def _recall(index: EuclideanIndex, vectors: np.ndarray, queries: np.ndarray, k: int) -> float:
    """Share of the k greatest products, by all of them, that the index finds."""
    hits = 0
    for query in queries:
        hits += np.intersect1d(np.argsort(-(vectors @ query))[:k], index.search(query[None, :], k)[1][0]).size
    return hits / (len(queries) * k)


def test_a_large_catalogue_gets_lists_that_are_tuned_and_measured_with_users(tmp_path: Path) -> None:
    """Long vectors near to every user would hide in an index that partitions by product."""
    rng = np.random.default_rng(RNG_SEED)
    vectors = _vectors(4000) * rng.lognormal(0, 0.5, size=(4000, 1)).astype(np.float32)
    users = rng.normal(size=(300, 8)).astype(np.float32)
    users[::3] = 0  # users without a vector ask nothing
    data, info = build_index(vectors, user_vectors=users, exact_limit=100)
    assert info.type == "ivf_ip"
    assert info.parameters["lists"] == 100
    assert 1 < info.parameters["probes"] < 100
    (tmp_path / "index.faiss").write_bytes(data)
    index = load_index(tmp_path / "index.faiss", vectors, name="release x")
    assert isinstance(index, EuclideanIndex) and index.probes == info.parameters["probes"]
    assert info.recall == pytest.approx(_recall(index, vectors, users[users.any(axis=1)][1::2], 20))
    assert info.recall > 0.95
    products, rows = index.search(users[1][None, :], 5)
    assert products[0] == pytest.approx(vectors[rows[0]] @ users[1])


@pytest.mark.parametrize("users", [None, np.zeros((3, 8), np.float32), np.zeros((0, 8), np.float32)])
def test_an_index_of_lists_needs_no_users(users: np.ndarray | None) -> None:
    assert build_index(_vectors(300), user_vectors=users, exact_limit=100)[1].recall > 0.9


@pytest.mark.parametrize("allowed", [1, 5, 40, 600])
def test_a_search_among_some_rows_finds_as_many_as_there_are(tmp_path: Path, allowed: int) -> None:
    vectors = _vectors(600)
    (tmp_path / "index.faiss").write_bytes(build_index(vectors, exact_limit=100)[0])
    index = load_index(tmp_path / "index.faiss", vectors, name="release x")
    mask = np.zeros(600, dtype=bool)
    mask[np.argsort(vectors @ vectors[0])[:allowed]] = True  # the farthest ones
    products, rows = index.search_among(vectors[0], 5, mask, allowed / 600)
    found = rows[0][rows[0] >= 0]
    assert len(found) == min(allowed, 5) and mask[found].all() and len(set(found.tolist())) == len(found)
    assert np.isinf(products[0][len(found) :]).all()


def test_the_same_vectors_make_the_same_bytes() -> None:
    assert build_index(_vectors(50))[0] == build_index(_vectors(50))[0]


def test_another_models_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    path.write_bytes(build_index(_vectors(5))[0])
    for vectors in (_vectors(6), _vectors(5, 4), _vectors(5) + 1):
        with pytest.raises(CorruptRelease, match=r"release x: index\.faiss .*another model's index"):
            load_index(path, vectors, name="release x")


@pytest.mark.parametrize("data", [b"", b"nonsense", build_index(_vectors(5))[0][:-9]])
def test_what_is_no_index_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.faiss").write_bytes(data)
    with pytest.raises(CorruptRelease, match=r"index\.faiss is missing or is not a FAISS index"):
        load_index(tmp_path / "index.faiss", _vectors(5), name="release x")
    with pytest.raises(CorruptRelease, match="is missing"):
        load_index(tmp_path / "none.faiss", _vectors(5), name="release x")
