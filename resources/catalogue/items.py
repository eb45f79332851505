"""The catalogue as it is now: every upload and change by API that was acknowledged, whether or not a run has seen it.

The items of the uploads lie in a file of this machine, made when somebody asks and something new was uploaded. Changes
since are read from the control DB and put on top.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock

import polars as pl

from resources.base.errors import ItemNotFound
from resources.base.tenant import TenantId
from resources.catalogue.rows import ITEM_CHANGES_ID, change_rows, newest_rows, upload_rows
from resources.control_db.engine import ControlDb
from resources.control_db.items import ItemChange, count_item_changes, last_item_change, list_item_changes
from resources.control_db.tenants import get_tenant
from resources.control_db.uploads import UploadRecord, counting_uploads
from resources.release.category_paths import CategoryPaths
from resources.storage.disk import written_whole
from resources.storage.lake import Lake
from resources.uploads.contract.columns import DELETED, Kind

_CHANGES_ON_TOP = 2_000
"""With more changes than this on top of a file, it is made anew."""
_KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the catalogue. `tags` are separated by the vertical bar; `changed_by` is an upload or the API."""

    item_id: str
    title: str | None
    category: str | None
    brand: str | None
    description: str | None
    image_url: str | None
    tags: str | None
    price: float | None
    available: bool
    created_at: datetime | None
    updated_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Filter of a list of items: by category, with those below it where categories are paths, and by a text in id,
    title, brand or tags; case does not count."""

    category: str | None = None
    text: str | None = None
    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ItemCatalogue:
    """The catalogues of all tenants; safe to share between threads. Every call blocks on the disk."""

    lake: Lake
    db: ControlDb
    _locks: defaultdict[TenantId, Lock] = field(default_factory=lambda: defaultdict(Lock), init=False, repr=False)

    def get(self, tenant: TenantId, item_id: str) -> Item:
        """Return an item.

        Raises:
            ItemNotFound: the tenant's catalogue does not have it, or not any more.
        """
        path, seen = self._file(tenant)
        row = pl.scan_parquet(path).filter(pl.col("item_id") == item_id).collect()
        changes = list_item_changes(self.db, tenant, after=seen, item_ids=[item_id])
        found = _items(_on_top(row, changes))
        if not found:
            raise ItemNotFound(
                f"The catalogue of tenant {tenant} has no item {item_id[:100]!r}. Add it with POST /api/v1/items."
            )
        return found[0]

    def page(self, tenant: TenantId, query: ItemQuery) -> tuple[Item, ...]:
        """Return the first items that the query asks for, by id."""
        path, seen = self._file(tenant)
        changes = list_item_changes(self.db, tenant, after=seen)
        changed = sorted({change.item_id for change in changes})
        rows = pl.scan_parquet(path)
        on_top = _on_top(rows.filter(pl.col("item_id").is_in(changed)).collect(), changes) if changes else None
        wanted = _wanted(query, rows, on_top)
        found = rows.filter(~pl.col("item_id").is_in(changed), wanted).head(query.limit).collect()
        if on_top is not None:
            found = pl.concat([found, on_top.filter(wanted)]).sort("item_id").head(query.limit)
        return _items(found)

    def _file(self, tenant: TenantId) -> tuple[Path, int]:
        """The file with the items, by id, and the number of the newest change in it."""
        uploads = counting_uploads(self.db, tenant, kind=Kind.ITEMS.value)
        folder = self.lake.tenant(tenant).scratch / "catalogue"
        prefix = self._prefix(tenant, uploads)
        with self._locks[tenant]:
            last = last_item_change(self.db, tenant)
            made = {int(path.stem.rpartition("-")[2]): path for path in folder.glob(f"{prefix}-*.parquet")}
            newest = max((seen for seen in made if seen <= last), default=None)
            if newest is not None and count_item_changes(self.db, tenant, after=newest) <= _CHANGES_ON_TOP:
                return made[newest], newest
            return self._make(tenant, uploads, folder, prefix)

    def _prefix(self, tenant: TenantId, uploads: Sequence[UploadRecord]) -> str:
        """What the files for these uploads are called: another control DB, or one made anew, has other files."""
        of = [str(self.db.engine.url), get_tenant(self.db, tenant).created_at.isoformat()]
        of += [f"{upload.upload_id} {upload.sequence}" for upload in uploads]
        return hashlib.sha256("\n".join(of).encode()).hexdigest()[:16]

    def _make(self, tenant: TenantId, uploads: Sequence[UploadRecord], folder: Path, prefix: str) -> tuple[Path, int]:
        # Read after the uploads: a change that is here has a time after every upload that is.
        changes = list_item_changes(self.db, tenant)
        seen = changes[-1].seq if changes else 0
        path = folder / f"{prefix}-{seen}.parquet"
        uploaded = upload_rows(self.lake, uploads)
        with written_whole(path) as beside:
            newest_rows(uploaded, change_rows(changes, uploaded)).sink_parquet(
                beside, compression="zstd", row_group_size=20_000, statistics=True, maintain_order=True
            )
        for old in folder.glob("*.parquet"):
            # Another process may be about to read the one before.
            if old != path and time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink(missing_ok=True)
        return path, seen


def _on_top(rows: pl.DataFrame, changes: Sequence[ItemChange]) -> pl.DataFrame:
    """Put changes on top of rows of a file that has seen none of them."""
    if not changes:
        return rows
    changed = change_rows(changes, rows.lazy().with_columns(sequence=pl.lit(0, dtype=pl.Int64)))
    others = rows.filter(~pl.col("item_id").is_in(changed["item_id"].to_list()))
    return pl.concat([others, changed.filter(~pl.col(DELETED))])


def _wanted(query: ItemQuery, rows: pl.LazyFrame, on_top: pl.DataFrame | None) -> pl.Expr:
    conditions = [pl.lit(True)]
    if query.after is not None:
        conditions.append(pl.col("item_id") > query.after)
    if query.category is not None:
        texts = set(rows.select(pl.col("category").drop_nulls().unique()).collect()["category"])
        texts.update(on_top["category"].drop_nulls() if on_top is not None else ())
        conditions.append(pl.col("category").is_in(list(CategoryPaths(sorted(texts)).below(query.category))))
    if query.text is not None:
        text = query.text.strip().lower()
        columns = [pl.col(name) for name in ("item_id", "title", "brand", "tags")]
        conditions.append(
            pl.any_horizontal(
                column.fill_null("").str.to_lowercase().str.contains(text, literal=True) for column in columns
            )
        )
    return pl.all_horizontal(conditions)


def _items(rows: pl.DataFrame) -> tuple[Item, ...]:
    return tuple(
        Item(
            item_id=row["item_id"],
            title=row["title"],
            category=row["category"],
            brand=row["brand"],
            description=row["description"],
            image_url=row["image_url"],
            tags=row["tags"],
            price=row["price"],
            available=row["available"],
            created_at=row["created_at"],
            updated_at=row["received_at"],
            changed_by="api" if row["upload_id"] == ITEM_CHANGES_ID else row["upload_id"],
        )
        for row in rows.iter_rows(named=True)
    )
