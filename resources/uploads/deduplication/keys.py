"""`keys.parquet` of an upload: the hashes of its accepted rows, sorted, so that later uploads find their repeats.

The table only helps to find suspects, and is made again from the accepted rows when it is missing or hashed otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from upath import UPath

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.items import Action
from resources.control_db.uploads import UploadRecord
from resources.events.log import EventLog
from resources.storage.lake import Lake, parts, put_file, scan_parquet
from resources.uploads.contract.columns import DELETED, Kind
from resources.uploads.deduplication.earlier import EarlierRows, StoredRows
from resources.uploads.deduplication.entries import ENTRY, EntryFiles, entries_of
from resources.uploads.deduplication.pairs import Mask
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import INTERACTION_KEY, Hashes, hash_columns, key_columns, scheme

KEYS_FILE = "keys.parquet"
_ROW_GROUP = 128 * 1024


def write_keys(entries: Sequence[EntryFiles], *, gone: Mask | None, work: Path) -> Path:
    """Write the entries whose rows are not `gone`, sorted by hash, and return the file. All have the same buckets."""
    buckets = []
    for number in entries[0].buckets:
        chunks = [
            chunk if gone is None else chunk[~gone[chunk["row"]]] for files in entries for chunk in files.read(number)
        ]
        together = np.concatenate([np.zeros(0, dtype=ENTRY), *chunks])
        together = together[np.argsort(together["hash"])]
        path = work / f"keys-{number:02}.parquet"
        names = {_hash_column(): "hash", "other": "other", ROW_NUMBER: "row", DELETED: DELETED}
        table = pl.DataFrame({name: np.ascontiguousarray(together[field]) for name, field in names.items()})
        table.write_parquet(path, compression="lz4", row_group_size=_ROW_GROUP, statistics=True)
        buckets.append(path)
    if len(buckets) == 1:
        return buckets[0]
    whole = work / KEYS_FILE
    pl.concat([pl.scan_parquet(path) for path in buckets]).sink_parquet(
        whole, compression="lz4", row_group_size=_ROW_GROUP, maintain_order=True
    )
    return whole


def stored_rows(lake: Lake, upload: UploadRecord, *, work: Path) -> StoredRows:
    """Return the accepted rows of a stored upload with their hashes, made anew if need be."""
    folder = lake.tenant(upload.tenant).upload(upload.upload_id)
    files = parts(lake.tenant(upload.tenant).accepted(upload.upload_id))
    keys = folder / KEYS_FILE
    if not keys.exists() or _hash_column() not in scan_parquet([keys]).collect_schema():
        made = work / upload.upload_id
        made.mkdir()
        put_file(_keys_of_parts(Kind(upload.kind), files, work=made), keys)
    return StoredRows(files, scan_parquet([keys]).rename({_hash_column(): "hash"}), upload.created_at)


def with_changed_items(
    items: Sequence[StoredRows], changes: Sequence[tuple[str, Action, datetime]], *, taken_back: bool
) -> list[StoredRows]:
    """Return uploads of items (newest first) with the changes by API between them, where their times are.

    With `taken_back`, a change takes earlier rows of its item back, so that nothing repeats them: a file may say again
    what an earlier one said. Without it, only a deletion does.
    """
    together = [(stored.received_at, False, stored) for stored in items]
    ends = sorted({stored.received_at for stored in items})
    groups: dict[int, list[tuple[str, Action, datetime]]] = defaultdict(list)
    for change in changes:
        groups[bisect_right(ends, change[2])].append(change)
    for group in groups.values():
        names = pl.DataFrame({"item_id": [item_id for item_id, _, _ in group]}, schema={"item_id": pl.String})
        keys = pl.LazyFrame(
            {
                "hash": hash_columns(names, key_columns(Kind.ITEMS)),
                "other": np.zeros(len(group), dtype=np.uint64),
                ROW_NUMBER: np.zeros(len(group), dtype=np.int64),
                DELETED: [taken_back or action == "delete" for _, action, _ in group],
            }
        )
        newest = max(at for _, _, at in group)
        together.append((newest, True, StoredRows((), keys, newest)))
    return [stored for _, _, stored in sorted(together, key=lambda each: each[:2], reverse=True)]


def catalogue_of(items: Sequence[StoredRows]) -> Hashes | None:
    """Return the hashed ids of the items in the catalogue; None when no item was ever uploaded.

    `items` are the uploads of items, newest first, with the changes by API between them.
    """
    if not items:
        return None
    tables = [upload.keys.select("hash", DELETED, source=pl.lit(number)) for number, upload in enumerate(items)]
    source = pl.col("source")
    newest = (
        pl.concat(tables)
        .group_by("hash")
        .agg(kept=source.filter(~pl.col(DELETED)).min(), deleted=source.filter(pl.col(DELETED)).min())
    )
    # Deletions of a file apply before its other rows.
    known = newest.filter((pl.col("kept") <= pl.col("deleted")).fill_null(pl.col("kept").is_not_null()))
    return np.sort(known.select("hash").collect(engine="streaming")["hash"].to_numpy())


def tracked_rows(
    db: ControlDb,
    tenant: TenantId,
    *,
    first: datetime | None,
    last: datetime | None,
    earlier: EarlierRows,
    now: datetime,
    work: Path,
) -> StoredRows | None:
    """Return the tenant's tracked interactions with times from `first` to `last`; None when there are none.

    Those that were deleted since are left out.
    """
    by_key, by_event = (EntryFiles(work, name, text_bytes=0) for name in ("tracked-key", "tracked-event"))
    files: list[Path] = []
    after = 0
    while (page := EventLog(db).keys_between(tenant, first, last, after=after)).height:
        after = int(page["seq"][-1])
        rows = page.select(*INTERACTION_KEY, "event_id", pl.col("seq").alias(ROW_NUMBER), pl.lit(False).alias(DELETED))
        keys, events = entries_of(Kind.INTERACTIONS, rows)
        received_at = page["received_at"].dt.replace_time_zone(None).to_numpy()
        kept = ~earlier.deleted_since(keys, received_at)
        if not kept.any():
            continue
        by_key.add(keys[kept])
        by_event.add(events[np.isin(events["row"], keys["row"][kept])])
        files.append(work / f"tracked-{len(files)}.parquet")
        rows.filter(pl.Series(kept)).write_parquet(files[-1], compression="lz4")
    if not files:
        return None
    folder = work / "tracked"
    folder.mkdir()
    keys_file = write_keys([by_key, by_event], gone=None, work=folder)
    return StoredRows(tuple(files), pl.scan_parquet(keys_file).rename({_hash_column(): "hash"}), now)


def _keys_of_parts(kind: Kind, files: Sequence[UPath], *, work: Path) -> Path:
    rows = sum(scan_parquet([file]).select(pl.len()).collect().item() for file in files)
    by_key, by_event = (EntryFiles(work, name, text_bytes=rows * 64) for name in ("key", "event"))
    for file in files:
        keys, events = entries_of(kind, scan_parquet([file]).collect())
        by_key.add(keys)
        by_event.add(events)
    return write_keys([by_key, by_event], gone=None, work=work)


def _hash_column() -> str:
    """Name of the column of hashes: another way of hashing has another one."""
    return f"hash_{scheme()}"
