"""`shop(...)` writes, loads and ranks a small release given as plain lists."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import sparse
from upath import UPath

from resources.base.tenant import TenantId
from resources.ranker.ranker import Ranker
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.item_table import ItemTable
from resources.release.load import load_release
from resources.release.manifest import Algorithm, BundleFigures, GateDecision, IndexInfo, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import TenantLake

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Shop = Callable[..., Ranker]
User = tuple[str, Any, Sequence[int]]
"""Id, vector, and the rows of the items seen, most recent last."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    def make(
        items: Sequence[str],
        item_vectors: Any,
        users: Sequence[User] = (),
        *,
        algorithm: Algorithm = "lightgcn",
        **more: Any,
    ) -> Ranker:
        """Release and rank: `more` has `fold_in`, `disliked`, `table`, `bundles` … as `contents`, `taste_dimensions`,
        and catalogue columns; the bundles are of the `evidence` of purchases unless it is given."""
        vectors = np.array(item_vectors, dtype=np.float32).reshape(len(items), -1 if len(items) else 0)
        manifest = draft(algorithm, vectors, more.pop("taste_dimensions", None))
        evidence = more.pop("evidence", "purchases")
        if "bundles" in more:
            figures = BundleFigures(evidence=evidence, baskets=9, pairs=len(more["bundles"].items))
            manifest = manifest.model_copy(update={"bundles": figures})
        store = ReleaseStore(TenantLake(TenantId("blue-shop"), UPath(tmp_path), tmp_path))
        version = new_version(NOW, f"{len(list(tmp_path.glob('releases/2*'))):08x}")
        store.write(version, contents(items, vectors, users, **more), manifest)
        return Ranker(load_release(store.directory(version)))

    return make


def contents(
    items: Sequence[str],
    vectors: NDArray[np.float32],
    users: Sequence[User],
    *,
    fold_in: Any = None,
    disliked: Any = None,
    table: ItemTable | None = None,
    **columns: Any,
) -> ReleaseContents:
    """Return the files of a release; `columns` replace those of the catalogue, and `bundles` is its bundle table."""
    bundles: ItemTable | None = columns.pop("bundles", None)
    seen = [list(rows) for _, _, rows in users]
    return ReleaseContents(
        user_ids=tuple(user for user, _, _ in users),
        items=pl.DataFrame(
            {name: {**catalogue(items, vectors), **columns}[name] for name in ITEM_SCHEMA}, schema=ITEM_SCHEMA
        ),
        user_vectors=np.array([vector for _, vector, _ in users], np.float32).reshape(len(users), vectors.shape[1]),
        item_vectors=vectors,
        seen_indptr=np.cumsum([0, *(len(rows) for rows in seen)]).astype(np.int64),
        seen_items=np.array([row for rows in seen for row in rows], np.int32),
        index_bytes=build_index(vectors)[0],
        evaluation_json="{}",
        evaluation_markdown="",
        fold_in=None if fold_in is None else np.array(fold_in, np.float32),
        disliked=None if disliked is None else np.array(disliked, np.int32),
        item_table=table,
        bundles=bundles,
        sequence_encoder=columns.pop("sequence_encoder", None),
    )


def table_of(weights: Any, prior: Any = None) -> ItemTable:
    """Return the item table of dense weights `(n, n)`: row j holds what item j says for the others."""
    matrix = sparse.csr_array(np.array(weights, np.float32))
    nothing = np.zeros(matrix.shape[0], np.float32)
    return ItemTable(
        indptr=matrix.indptr.astype(np.int64),
        items=matrix.indices.astype(np.int32),
        values=matrix.data,
        prior=nothing if prior is None else np.array(prior, np.float32),
    )


def catalogue(items: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Return the columns of items that are all available; the first one is the most popular."""
    nothing = ("category", "brand", "price", "tags", "image_url", "vector_source", "trending", "listed_at")
    return {
        "item_row": list(range(len(items))),
        "item_id": list(items),
        "title": [f"Title {item}" for item in items],
        "available": [True] * len(items),
        "in_catalogue": [True] * len(items),
        "popularity": [float(len(items) - row) for row in range(len(items))],
        "has_vector": [bool(vector.any()) for vector in vectors],
        **{name: [None] * len(items) for name in nothing},
    }


def draft(algorithm: Algorithm, vectors: NDArray[np.float32], taste_dimensions: int | None) -> ManifestDraft:
    """Return a manifest that says nothing special but what is asked."""
    index = build_index(vectors)[1]
    return ManifestDraft(
        tenant="blue-shop",
        created_at=NOW,
        algorithm=algorithm,
        dbt_project_hash="",
        dbt_invocation_id="",
        training_set_fingerprint="",
        code_version="",
        seed=0,
        dagster_run_id="",
        gate=GateDecision(outcome="passed"),
        taste_dimensions=taste_dimensions,
        index=IndexInfo(type=index.type, recall=index.recall),
        trained_at=NOW,
        events_until=None,
        interactions=0,
    )
