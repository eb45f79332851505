"""The FAISS index over item vectors: build, tune, measure, serialise, load. Position in the index = item row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import CorruptRelease
from resources.ranker.retrieval.euclidean import EuclideanIndex, Vectors, as_euclidean, as_query
from resources.release.manifest import IndexInfo

EXACT_LIMIT = 50_000
"""Up to this many items exact search is as fast as an approximate one, and it never misses."""
TARGET_RECALL = 0.97
"""As many lists are looked into as it takes for this recall@20 on queries set aside for the choice, in steps of 1¼."""
_ITEMS_PER_LIST = 40  # FAISS warns below 39: centres of fewer vectors say little
_LISTS_PER_ROOT = 2
_TRAINING_ROUNDS = 8
_RECALL_AT = 20
_QUERIES = 256


def build_index(
    item_vectors: Vectors, *, user_vectors: Vectors | None = None, exact_limit: int = EXACT_LIMIT
) -> tuple[bytes, IndexInfo]:
    """Index `item_vectors` `(n_items, dim)` for the inner product.

    Exact (`IndexFlatIP`) up to `exact_limit` items. Above it inverted lists (`IndexIVFFlat`) over vectors with one more
    coordinate, by which the greatest inner product is the least distance (Bachrach et al., 2014,
    doi:10.1145/2645710.2645741): `docs/serving.md` has the measurement that chose them over HNSW.

    Queries are up to 256 evenly spaced `user_vectors` `(n_users, dim)`, because users are not where items are; item
    vectors when there are no users. Every other one chooses how many lists a search looks into, the rest measure.

    Returns:
        The serialised index and what the manifest says about it.
    """
    import faiss

    n_items, dim = item_vectors.shape
    vectors = np.ascontiguousarray(item_vectors, dtype=np.float32)
    if n_items <= exact_limit or dim == 0:
        index: Any = faiss.IndexFlatIP(max(dim, 1))
        if dim:
            index.add(vectors)
        return faiss.serialize_index(index).tobytes(), IndexInfo(type="flat_ip", recall=1.0)
    lists = max(1, min(int(_LISTS_PER_ROOT * n_items**0.5), n_items // _ITEMS_PER_LIST))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim + 1), dim + 1, lists)
    index.cp.niter, index.cp.max_points_per_centroid = _TRAINING_ROUNDS, _ITEMS_PER_LIST
    euclidean = as_euclidean(vectors)
    index.train(euclidean)
    index.add(euclidean)
    queries = _queries(vectors if user_vectors is None else user_vectors)
    probes = _tuned(index, queries[::2], _nearest(queries[::2], vectors))
    index.nprobe = probes
    recall = _recall(index, queries[1::2], _nearest(queries[1::2], vectors)) if len(queries) > 1 else 1.0
    parameters = {"lists": lists, "probes": probes}
    return faiss.serialize_index(index).tobytes(), IndexInfo(type="ivf_ip", parameters=parameters, recall=recall)


def load_index(path: Path, item_vectors: Vectors, *, name: str) -> Any:
    """Load the index of a release and make sure that it is the index of these item vectors `(n_items, dim)`.

    Sets FAISS to one thread for the whole process: a single query gains nothing from more, and with several workers on
    the same cores OpenMP threads that wait for each other are what makes the tail of the latency.

    Returns:
        What has a method `search` and gives products: FAISS's index, or an `EuclideanIndex`.

    Raises:
        CorruptRelease: the file is missing, cannot be read, or is the index of other vectors; `name` is the release.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    try:
        index: Any = faiss.deserialize_index(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except (OSError, RuntimeError) as error:
        raise CorruptRelease(f"{name}: {path.name} is missing or is not a FAISS index. {_NEXT_STEP}") from error
    n_items, dim = item_vectors.shape
    lists = isinstance(index, faiss.IndexIVF)
    width = dim + 1 if lists else dim
    if dim and (index.ntotal, index.d) != (n_items, width):
        raise CorruptRelease(
            f"{name}: {path.name} has {index.ntotal} vectors of {index.d} numbers, the release {n_items} of {width}: "
            f"it is another model's index. {_NEXT_STEP}"
        )
    if lists:
        index.make_direct_map()
    for row in {0, n_items // 2, n_items - 1} if dim and n_items else ():
        if not np.array_equal(index.reconstruct(row)[:dim], item_vectors[row]):
            raise CorruptRelease(f"{name}: {path.name} is another model's index. {_NEXT_STEP}")
    if not lists:
        return index
    index.direct_map.clear()  # it took 8 bytes an item, for the check alone
    return EuclideanIndex(index, item_vectors)


def _queries(vectors: Vectors) -> Vectors:
    known = np.flatnonzero(vectors.any(axis=1))
    chosen = known[np.unique(np.linspace(0, len(known) - 1, num=min(_QUERIES, len(known))).astype(np.int64))]
    return np.ascontiguousarray(vectors[chosen], dtype=np.float32)


def _nearest(queries: Vectors, vectors: Vectors) -> NDArray[np.int64]:
    """Return the rows `(n_queries, 20)` of the greatest inner products, in no order."""
    k = min(_RECALL_AT, len(vectors))
    nearest = np.empty((len(queries), k), dtype=np.int64)
    for place, query in enumerate(queries):
        products = vectors @ query
        nearest[place] = np.argpartition(products, len(products) - k)[len(products) - k :]
    return nearest


def _tuned(index: Any, queries: Vectors, expected: NDArray[np.int64]) -> int:
    probes = 1
    while probes < index.nlist:
        index.nprobe = probes
        if _recall(index, queries, expected) >= TARGET_RECALL:
            return probes
        probes += 1 + probes // 4
    return int(index.nlist)


def _recall(index: Any, queries: Vectors, expected: NDArray[np.int64]) -> float:
    """Share of the exact nearest that the index finds, averaged over the queries."""
    if not len(queries):
        return 1.0
    found = index.search(as_query(queries), expected.shape[1])[1]
    hits = sum(np.intersect1d(exact, answer).size for exact, answer in zip(expected, found, strict=True))
    return float(hits / expected.size)


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."
