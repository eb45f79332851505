"""A small shop with a real release, whose right answers can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from resources.access.scopes import SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.item_table import ItemTable
from resources.release.manifest import TABLE_ALGORITHMS, Algorithm, GateDecision, ManifestDraft, UploadReference
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake

MAX_UPLOAD_BYTES = 100_000
INLINE_UPLOAD_BYTES = 4_000
NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
# Two tastes: the first axis is audio, the second is kitchen.
VECTORS = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.0], [0.0, 1.0], [0.1, 0.9], [0.0, 0.8]], dtype=np.float32)


@dataclass
class Shop:
    """One tenant of a test, its key, and what its items are called."""

    tenant: TenantId
    key: str
    lake: Lake
    db: ControlDb
    prefix: str
    versions: list[str] = field(default_factory=list)
    algorithm: Algorithm = "lightgcn"

    @property
    def headers(self) -> dict[str, str]:
        """The shop's credential."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def store(self) -> ReleaseStore:
        """The shop's releases."""
        return ReleaseStore(self.lake.tenant(self.tenant))

    def directory(self, version: str) -> Path:
        """Folder of a release."""
        return Path(str(self.store.directory(version)))

    def key_with(self, *scopes: str) -> dict[str, str]:
        """Headers with a new key that has only these scopes."""
        _, secret = create_api_key(self.db, self.tenant, name="narrow", scopes=scopes, now=NOW)
        return {"Authorization": f"Bearer {secret}"}

    def release(
        self,
        *,
        suffix: str = "00000001",
        promote: bool = True,
        uploads: tuple[UploadReference, ...] = (),
        cold_start: bool = False,
    ) -> str:
        """Write a release of six items: audio 1–3, kitchen 4–6; `u1` likes audio and has seen item 1.

        With `cold_start` new users are folded in, and item 3 is new: nobody has met it. (A table folds in anyway.)
        """
        version = new_version(NOW, suffix)
        written = contents(self.prefix, self.algorithm)
        if cold_start and written.item_table is None:
            source = pl.when(pl.col("item_row") == 2).then(pl.lit("content")).otherwise(pl.lit("model"))
            written = replace(written, items=written.items.with_columns(source.alias("vector_source")), fold_in=VECTORS)
        self.store.write(version, written, draft(self.tenant, uploads, self.algorithm))
        if promote:
            self.store.promote(version, NOW, "test")
        self.versions.append(version)
        return version


def open_shop(name: str, *, lake: Lake, db: ControlDb, prefix: str, algorithm: Algorithm = "lightgcn") -> Shop:
    """Create a tenant with a key of every scope, whose releases have this algorithm."""
    tenant = TenantId(name)
    create_tenant(db, tenant, name=name, now=NOW)
    _, secret = create_api_key(db, tenant, name="all", scopes=SCOPES, now=NOW)
    return Shop(tenant, secret, lake, db, prefix, algorithm=algorithm)


def contents(prefix: str, algorithm: Algorithm = "lightgcn") -> ReleaseContents:
    """Return the release; item ids are `<prefix>1` … `<prefix>6`. A table holds what is alike by vectors, and none."""
    n = len(VECTORS)
    ids = [f"{prefix}{i}" for i in range(1, n + 1)]
    items = pl.DataFrame(
        {
            "item_row": list(range(n)),
            "item_id": ids,
            "title": [f"Title {i}" for i in ids],
            "category": ["Audio"] * 3 + ["Kitchen"] * 3,
            "brand": ["Acme"] * n,
            "price": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
            "tags": ["new|red"] * n,
            "image_url": [None] * n,
            "available": [True] * n,
            "in_catalogue": [True] * n,
            "popularity": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "has_vector": [True] * n,
            "vector_source": [None] * n,
            "trending": [None] * n,
        },
        schema=ITEM_SCHEMA,
    )
    by_table = algorithm in TABLE_ALGORITHMS
    user_vectors = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    return ReleaseContents(
        user_ids=("u1", "ü 2/x"),
        items=items,
        user_vectors=user_vectors[:0, :0] if by_table else user_vectors,
        item_vectors=VECTORS[:, :0] if by_table else VECTORS,
        seen_indptr=np.array([0, 1, 1], dtype=np.int64),
        seen_items=np.array([0], dtype=np.int32),
        index_bytes=build_index(VECTORS[:, :0] if by_table else VECTORS)[0],
        evaluation_json="{}",
        evaluation_markdown="",
        item_table=item_table() if by_table else None,
    )


def item_table() -> ItemTable:
    """Return the products of the vectors, an item's own left out."""
    weights = sparse.csr_array(VECTORS @ VECTORS.T * (1 - np.eye(len(VECTORS), dtype=np.float32)))
    nothing = np.zeros(len(VECTORS), np.float32)
    return ItemTable(weights.indptr.astype(np.int64), weights.indices.astype(np.int32), weights.data, nothing)


def draft(
    tenant: TenantId, uploads: tuple[UploadReference, ...] = (), algorithm: Algorithm = "lightgcn"
) -> ManifestDraft:
    """Return a manifest that says nothing special but what it was built from."""
    return ManifestDraft(
        tenant=tenant.value,
        created_at=NOW,
        algorithm=algorithm,
        uploads=uploads,
        dbt_project_hash="0",
        dbt_invocation_id="0",
        training_set_fingerprint="0",
        code_version="0",
        seed=0,
        dagster_run_id="0",
        gate=GateDecision(outcome="passed"),
        index=build_index(VECTORS)[1],
        trained_at=NOW,
        events_until=NOW,
        interactions=1,
    )
