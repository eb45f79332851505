"""Items as rows: uploads and changes by API put together, the later acknowledgement winning.

The order of rows is that of `received_at`, then of uploads; changes by API have times of their own (see
`control_db/items.py`). An upload's row or a `put` describes the item anew, a `patch` only changes what it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from resources.catalogue.usable import usable_changes
from resources.control_db.items import ItemChange
from resources.control_db.uploads import UploadRecord
from resources.storage.lake import Lake
from resources.uploads.contract.columns import DELETED, TIME, Kind, accepted_schema, columns
from resources.uploads.store import scan_accepted

ITEM_CHANGES_ID = "item_changes"
"""Stands for all changes by API where rows name their upload; the row number is that of the change."""

FIELDS = tuple(spec.name for spec in columns(Kind.ITEMS) if spec.name not in ("item_id", DELETED))
"""What is known of an item besides its id."""
ROW_SCHEMA = pl.Schema({**accepted_schema(Kind.ITEMS), "received_at": TIME})
_ORDER = ("item_id", "received_at", "sequence", "turn", "row_number")
_AFTER_UPLOADS = 2**63 - 1


def upload_rows(lake: Lake, uploads: Sequence[UploadRecord]) -> pl.LazyFrame:
    """The accepted rows of uploads of items as `ROW_SCHEMA` with `sequence`, that of the upload; lazy."""
    frames = [
        scan_accepted(lake, upload.tenant, upload.upload_id)
        .select(accepted_schema(Kind.ITEMS).names())
        .with_columns(
            received_at=pl.lit(upload.created_at, dtype=TIME), sequence=pl.lit(upload.sequence, dtype=pl.Int64)
        )
        for upload in uploads
        if upload.rows_accepted
    ]
    return pl.concat([pl.LazyFrame(schema={**ROW_SCHEMA, "sequence": pl.Int64()}), *frames])


def change_rows(changes: Sequence[ItemChange], uploaded: pl.LazyFrame) -> pl.DataFrame:
    """One row per changed item, as `ROW_SCHEMA`: what the item was right after its newest change.

    A deleted item, and one that was patched but never described, has a row that deletes. Rows have the time and the
    number of the newest change, so that what an upload said later still wins over them.

    Args:
        uploaded: as `upload_rows` gives it, of any items.
    """
    usable = usable_changes(changes)
    if not usable:
        return pl.DataFrame(schema=ROW_SCHEMA)
    changed = _frame(usable)
    newest = changed.group_by("item_id").agg(until=pl.col("received_at").max())
    described = (
        uploaded.join(newest.lazy(), on="item_id", how="inner")
        .filter(pl.col("received_at") <= pl.col("until"))
        .drop("until")
        .with_columns(pl.lit(True).alias(name) for name in ("whole", *map(_given, FIELDS)))
        .collect()
    )
    rows = pl.concat([described, changed.select(described.columns)])
    rows = rows.with_columns(turn=~pl.col(DELETED)).sort(_ORDER)
    rows = rows.with_columns(generation=pl.col("whole").cum_sum().over("item_id"))
    # From the last row on that describes or deletes the item: what was before it does not count.
    rows = rows.filter(pl.col("generation") == pl.col("generation").max().over("item_id"))
    last = rows.group_by("item_id", maintain_order=True).agg(
        *(pl.col(name).filter(_given(name)).last() for name in FIELDS),
        (pl.col(DELETED).first() | ~pl.col("whole").first()).alias(DELETED),
    )
    place = changed.sort("row_number").group_by("item_id").agg(pl.col("row_number", "received_at").last())
    table = last.join(place, on="item_id").with_columns(
        *(pl.when(DELETED).then(None).otherwise(pl.col(name)).alias(name) for name in FIELDS),
        upload_id=pl.lit(ITEM_CHANGES_ID),
    )
    return table.with_columns(pl.col("available").fill_null(True)).select(ROW_SCHEMA.names()).cast(ROW_SCHEMA)


def newest_rows(uploaded: pl.LazyFrame, changed: pl.DataFrame) -> pl.LazyFrame:
    """The items that there are, by id, as `ROW_SCHEMA`: what `stg_items` would hold. Lazy.

    Args:
        uploaded: as `upload_rows` gives it.
        changed: as `change_rows` gives it.
    """
    last = changed.lazy().with_columns(sequence=pl.lit(_AFTER_UPLOADS, dtype=pl.Int64))
    return (
        pl.concat([uploaded, last])
        .with_columns(turn=~pl.col(DELETED))
        .sort(_ORDER)
        .unique("item_id", keep="last", maintain_order=True)
        .filter(~pl.col(DELETED))
        .select(ROW_SCHEMA.names())
    )


def _frame(changes: Sequence[ItemChange]) -> pl.DataFrame:
    """Changes as rows: `whole` tells whether a row describes its item anew, `given:<field>` what it says."""
    cells: dict[str, list[Any]] = {
        "item_id": [change.item_id for change in changes],
        **{name: [change.fields.get(name) for change in changes] for name in FIELDS},
        **{_given(name): [change.action != "patch" or name in change.fields for change in changes] for name in FIELDS},
        DELETED: [change.action == "delete" for change in changes],
        "whole": [change.action != "patch" for change in changes],
        "received_at": [change.created_at for change in changes],
        "row_number": [change.seq for change in changes],
    }
    cells["created_at"] = [None if text is None else datetime.fromisoformat(text) for text in cells["created_at"]]
    flags = {name: pl.Boolean() for name in ("whole", *map(_given, FIELDS))}
    known = {**ROW_SCHEMA, **flags}
    frame = pl.DataFrame(cells, schema={name: known[name] for name in cells})
    return frame.with_columns(upload_id=pl.lit(ITEM_CHANGES_ID), sequence=pl.lit(_AFTER_UPLOADS, dtype=pl.Int64))


def _given(name: str) -> str:
    return f"given:{name}"
