"""Tenants to serve: invented shops with releases written as the pipeline writes them, but with invented vectors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsaas_assets.benchmarks.workplace import LAST_DAY
from recsaas_assets.sample.shop import generate_shop
from resources.access.scopes import SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.manifest import GateDecision, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake

DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class ServedTenant:
    """A tenant with a key of every scope and what can be asked about."""

    tenant: TenantId
    key: str
    contents: ReleaseContents
    lake: Lake

    @property
    def item_ids(self) -> list[str]:
        """The items, by row."""
        return self.contents.items["item_id"].to_list()

    @property
    def categories(self) -> list[str]:
        """Names of the categories."""
        return self.contents.items["category"].unique().sort().to_list()

    @property
    def store(self) -> ReleaseStore:
        """The tenant's releases."""
        return ReleaseStore(self.lake.tenant(self.tenant))

    def release(self, contents: ReleaseContents, *, number: int = 1, promote: bool = True) -> str:
        """Write a release and, unless told otherwise, make it live; `number` tells it from others."""
        now = datetime.now(UTC)
        version = new_version(now, f"{number:08x}")
        draft = ManifestDraft(
            tenant=self.tenant.value,
            created_at=now,
            algorithm="lightgcn",
            uploads=(),
            dbt_project_hash="0",
            dbt_invocation_id="0",
            training_set_fingerprint="0",
            code_version="0",
            seed=0,
            dagster_run_id="0",
            gate=GateDecision(outcome="passed"),
            index=build_index(contents.item_vectors)[1],
            trained_at=now,
            events_until=LAST_DAY,
            interactions=int(contents.seen_items.size),
        )
        self.store.write(version, contents, draft)
        if promote:
            self.store.promote(version, now, "bench")
        return version


def serve_tenant(name: str, contents: ReleaseContents, *, lake: Lake, db: ControlDb) -> ServedTenant:
    """Create a tenant with a live release."""
    tenant, now = TenantId(name), datetime.now(UTC)
    create_tenant(db, tenant, name=name, now=now)
    _, key = create_api_key(db, tenant, name="bench", scopes=SCOPES, now=now)
    served = ServedTenant(tenant, key, contents, lake)
    served.release(contents)
    return served


def invented_contents(*, items: int, users: int, seed: int = 7, prefix: str = "") -> ReleaseContents:
    """Invent a release over a sample shop: ten interactions a user, 64 dimensions, items of a category close together.

    Item ids begin with `prefix`. A user's vector is the mean of their items', so answers are about what they like.
    """
    shop = generate_shop(users, items, 10 * users, seed, end=LAST_DAY)
    rng = np.random.default_rng(seed)
    item_ids, category = shop.items["item_id"], shop.items["category"].rank("dense").to_numpy() - 1
    centres = rng.normal(size=(int(category.max()) + 1, DIMENSIONS))
    item_vectors = _unit(centres[category] + rng.normal(size=(items, DIMENSIONS)))
    seen = _seen(shop.interactions, shop.users["user_id"], item_ids)
    per_user = seen.group_by("user_row").len().join(pl.DataFrame({"user_row": np.arange(users)}), "user_row", "right")
    counts = per_user.sort("user_row")["len"].fill_null(0).to_numpy()
    user_rows, item_rows = seen["user_row"].to_numpy(), seen["item_row"].to_numpy()
    user_vectors = np.zeros((users, DIMENSIONS))
    np.add.at(user_vectors, user_rows, item_vectors[item_rows])
    popularity = np.bincount(item_rows, minlength=items).astype(float)
    table = shop.items.select(name for name in ITEM_SCHEMA if name in shop.items.columns).with_columns(
        item_row=pl.Series(np.arange(items)),
        item_id=prefix + item_ids,
        available=pl.lit(True),
        in_catalogue=pl.lit(True),
        has_vector=pl.lit(True),
        popularity=pl.Series(popularity),
        trending=pl.Series(popularity * rng.random(items)),
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ITEM_SCHEMA.items() if name not in table.columns]
    return ReleaseContents(
        user_ids=tuple(shop.users["user_id"].to_list()),
        items=table.with_columns(missing).select(*ITEM_SCHEMA).cast(pl.Schema(ITEM_SCHEMA)),
        user_vectors=_unit(user_vectors + 0.1 * rng.normal(size=user_vectors.shape)),
        item_vectors=item_vectors,
        seen_indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        seen_items=item_rows.astype(np.int32),
        index_bytes=build_index(item_vectors)[0],
        evaluation_json="{}",
        evaluation_markdown="",
        fold_in=item_vectors,
    )


def _seen(interactions: pl.DataFrame, users: pl.Series, items: pl.Series) -> pl.DataFrame:
    """Return `user_row`, `item_row` of every pair once, by user, the most recent last."""
    user_rows = pl.DataFrame({"user_id": users, "user_row": np.arange(len(users))})
    item_rows = pl.DataFrame({"item_id": items, "item_row": np.arange(len(items))})
    return (
        interactions.group_by("user_id", "item_id")
        .agg(pl.col("timestamp").max())
        .join(user_rows, on="user_id")
        .join(item_rows, on="item_id")
        .sort("user_row", "timestamp", "item_row")
    )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
