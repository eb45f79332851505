"""A large release of made-up vectors: clusters of items, popularity in a coordinate, users near what they like.

So are the vectors of a trained model: users lie between the clusters of the items they took, and the stored vectors
have a last coordinate that adds popularity to every product (docs/models.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.release.catalogue import Catalogue
from resources.release.contents import INDEX, ITEM_SCHEMA
from resources.release.item_table import ItemTable
from resources.release.load import LoadedRelease
from resources.release.manifest import GateDecision, IndexInfo, ReleaseCounts, ReleaseManifest

_ITEMS_PER_CLUSTER = 2_000
_SPREAD = 0.6
_LIKED = (8, 4)  # items of two clusters make a user
_NOISE = 0.03
_CATEGORIES = 20

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Vectors of items `(n_items, dim)` and users `(n_users, dim)`, and the cluster of each item `(n_items,)`."""

    items: Vectors
    users: Vectors
    cluster: NDArray[np.int64]


def made_up(n_items: int, n_users: int, dim: int, seed: int) -> MadeUp:
    """Draw the vectors; clusters differ in size as categories do."""
    rng = np.random.default_rng(seed)
    clusters = max(10, n_items // _ITEMS_PER_CLUSTER)
    centres = rng.normal(size=(clusters, dim - 1)).astype(np.float32)
    share = rng.pareto(1.5, clusters) + 0.2
    share /= share.sum()
    cluster = rng.choice(clusters, size=n_items, p=share)
    items = np.empty((n_items, dim), dtype=np.float32)
    items[:, :-1] = centres[cluster] + _SPREAD * rng.standard_normal((n_items, dim - 1), dtype=np.float32)
    items[:, :-1] /= np.linalg.norm(items[:, :-1], axis=1, keepdims=True)
    items[:, :-1] *= rng.lognormal(0, 0.25, size=(n_items, 1))
    items[:, -1] = 0.1 * np.log1p(rng.pareto(1.2, n_items))
    by_cluster = np.split(np.argsort(cluster, kind="stable"), np.cumsum(np.bincount(cluster, minlength=clusters))[:-1])
    users = np.ones((n_users, dim), dtype=np.float32)
    for row in range(n_users):
        two = zip(rng.choice(clusters, 2, p=share), _LIKED, strict=True)
        liked = [rng.choice(by_cluster[number], size) for number, size in two if len(by_cluster[number])]
        taste = items[np.concatenate(liked), :-1].mean(axis=0) + _NOISE * rng.normal(size=dim - 1)
        users[row, :-1] = taste / np.linalg.norm(taste)
    return MadeUp(items, users, cluster)


def random_table(n_items: int, neighbours: int, seed: int) -> ItemTable:
    """Draw a table in which each item speaks for so many others, spread over up to half of the catalogue."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, max(2, n_items // neighbours), size=(n_items, neighbours), dtype=np.int32)
    items = np.cumsum(steps, axis=1, dtype=np.int32)
    items += np.arange(n_items, dtype=np.int32)[:, None]
    items %= n_items
    items.sort(axis=1)
    return ItemTable(
        indptr=np.arange(n_items + 1, dtype=np.int64) * neighbours,
        items=items.ravel(),
        values=rng.random(items.size, dtype=np.float32),
        prior=rng.random(n_items, dtype=np.float32),
    )


def loaded(vectors: MadeUp, index: bytes, info: IndexInfo, folder: Path, *, seen: int = 50) -> LoadedRelease:
    """Return the release as a service has it loaded. Categories are clusters, 20 of them; half the items cost above 50.

    Each user has seen the `seen` items nearest to them: what a search has to leave out is what it finds first.
    """
    n_items, n_users = len(vectors.items), len(vectors.users)
    (folder / INDEX).write_bytes(index)
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"item_row": np.arange(n_items, dtype=np.int32), "item_id": [f"i{row}" for row in range(n_items)]}
    )
    frame = frame.with_columns(
        title=pl.col("item_id"),
        category=pl.Series(vectors.cluster % _CATEGORIES).cast(pl.String),
        price=pl.Series(rng.uniform(1, 100, n_items)),
        available=pl.Series(rng.random(n_items) < 0.95),
        in_catalogue=pl.lit(True),
        popularity=pl.Series(np.expm1(vectors.items[:, -1] / 0.1)),
        has_vector=pl.lit(True),
    )
    missing = [name for name in ITEM_SCHEMA if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, ITEM_SCHEMA[name]).alias(name) for name in missing)
    kept = min(seen, n_items)
    nearest = np.empty((n_users, kept), dtype=np.int32)
    for row, user in enumerate(vectors.users):
        products = vectors.items @ user
        nearest[row] = np.argpartition(products, n_items - kept)[n_items - kept :]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    manifest = ReleaseManifest(
        tenant="bench",
        created_at=now,
        algorithm="lightgcn",
        dbt_project_hash="",
        dbt_invocation_id="",
        training_set_fingerprint="",
        code_version="",
        seed=0,
        dagster_run_id="",
        gate=GateDecision(outcome="passed"),
        index=info,
        trained_at=now,
        events_until=now,
        version="bench",
        counts=ReleaseCounts(users=n_users, items=n_items, interactions=0),
        files=(),
    )
    return LoadedRelease(
        manifest=manifest,
        directory=folder,
        user_rows={f"u{row}": row for row in range(n_users)},
        item_rows={item_id: row for row, item_id in enumerate(frame["item_id"].to_list())},
        catalogue=Catalogue(frame.select(pl.col(name).cast(dtype) for name, dtype in ITEM_SCHEMA.items())),
        user_vectors=vectors.users,
        item_vectors=vectors.items,
        seen_indptr=np.arange(n_users + 1, dtype=np.int64) * kept,
        seen_items=nearest.ravel(),
        bytes_in_memory=0,
    )
