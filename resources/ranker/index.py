"""The FAISS index over item vectors: build, measure, serialise, load. Position in the index = item row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import CorruptRelease
from resources.release.manifest import IndexInfo

EXACT_LIMIT = 50_000
"""Up to this many items exact search is as fast as an approximate one, and it never misses."""
_HNSW_LINKS = 32
_HNSW_EF_CONSTRUCTION = 200
_HNSW_EF_SEARCH = 128
_RECALL_AT = 20
_RECALL_QUERIES = 256


def build_index(item_vectors: NDArray[np.float32], *, exact_limit: int = EXACT_LIMIT) -> tuple[bytes, IndexInfo]:
    """Index `item_vectors` `(n_items, dim)` for the inner product.

    Exact (`IndexFlatIP`) up to `exact_limit` items, above it HNSW (Malkov and Yashunin, 2016, arXiv:1603.09320). The
    recall@20 is measured against exact search, with up to 256 evenly spaced item vectors as queries.

    Returns:
        The serialised index and what the manifest says about it.
    """
    import faiss

    n_items, dim = item_vectors.shape
    vectors = np.ascontiguousarray(item_vectors, dtype=np.float32)
    if n_items <= exact_limit or dim == 0:
        index: Any = faiss.IndexFlatIP(max(dim, 1))
        info = IndexInfo(type="flat_ip", recall=1.0)
        if dim:
            index.add(vectors)
    else:
        index = faiss.IndexHNSWFlat(dim, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _HNSW_EF_CONSTRUCTION
        index.hnsw.efSearch = _HNSW_EF_SEARCH
        index.add(vectors)
        parameters = {
            "links": _HNSW_LINKS,
            "ef_construction": _HNSW_EF_CONSTRUCTION,
            "ef_search": _HNSW_EF_SEARCH,
        }
        info = IndexInfo(type="hnsw_ip", parameters=parameters, recall=_recall(index, vectors))
    return faiss.serialize_index(index).tobytes(), info


def load_index(path: Path, item_vectors: NDArray[np.float32], *, name: str) -> Any:
    """Load the index of a release and make sure that it is the index of these item vectors.

    Sets FAISS to one thread for the whole process: a single query gains nothing from more, and with several workers on
    the same cores OpenMP threads that wait for each other are what makes the tail of the latency.

    Raises:
        CorruptRelease: the file is missing, cannot be read, or is the index of other vectors; `name` is the release.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except (OSError, RuntimeError) as error:
        raise CorruptRelease(f"{name}: {path.name} is missing or is not a FAISS index. {_NEXT_STEP}") from error
    n_items, dim = item_vectors.shape
    if dim and (index.ntotal, index.d) != (n_items, dim):
        raise CorruptRelease(
            f"{name}: {path.name} has {index.ntotal} vectors of {index.d} numbers, the release {n_items} of {dim}: "
            f"it is another model's index. {_NEXT_STEP}"
        )
    for row in {0, n_items // 2, n_items - 1} if dim and n_items else ():
        if not np.array_equal(index.reconstruct(row), item_vectors[row]):
            raise CorruptRelease(f"{name}: {path.name} is another model's index. {_NEXT_STEP}")
    return index


def _recall(index: Any, vectors: NDArray[np.float32]) -> float:
    """Share of the exact top 20 that the index finds, averaged over the queries."""
    rows = np.linspace(0, len(vectors) - 1, num=min(_RECALL_QUERIES, len(vectors))).astype(np.int64)
    queries = vectors[rows]
    k = min(_RECALL_AT, len(vectors))
    found = index.search(queries, k)[1]
    hits = 0
    for query, answer in zip(queries, found, strict=True):
        exact = np.argpartition(-(vectors @ query), k - 1)[:k]
        hits += np.intersect1d(exact, answer).size
    return hits / (len(queries) * k)


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."
