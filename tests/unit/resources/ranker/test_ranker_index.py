from pathlib import Path

import faiss
import numpy as np
import pytest

from resources.errors import CorruptRelease
from resources.ranker.index import build_index, load_index

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


def test_a_large_catalogue_gets_hnsw_with_its_measured_recall(tmp_path: Path) -> None:
    vectors = _vectors(600)
    data, info = build_index(vectors, exact_limit=100)
    assert info.type == "hnsw_ip"
    assert 0.9 < info.recall <= 1.0
    assert info.parameters == {"links": 32, "ef_construction": 200, "ef_search": 128}
    (tmp_path / "index.faiss").write_bytes(data)
    assert load_index(tmp_path / "index.faiss", vectors, name="release x").hnsw.efSearch == 128


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
