"""Ids of variants: the shop's events may name a size or colour of an item, and mean the item."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from resources.control_db.uploads import UploadRecord
from resources.storage.lake import Lake, parts, scan_parquet
from resources.uploads.contract.columns import DELETED
from resources.uploads.headers.layout import VARIANT_SKUS

_SCHEMA = {"variant_id": pl.String(), "item_id": pl.String()}


def variant_ids(lake: Lake, uploads: Sequence[UploadRecord]) -> pl.DataFrame:
    """Return the ids of variants (`variant_id`, each once) with the item that each belongs to (`item_id`).

    Args:
        uploads: of items, those that count, oldest first. What a later one says of a variant wins; an id that is an
            item itself is no variant.
    """
    rows = [
        scan_parquet(parts(lake.tenant(each.tenant).accepted(each.upload_id))) for each in uploads if each.rows_accepted
    ]
    frames = [table for table in rows if VARIANT_SKUS in table.collect_schema()]
    if not frames:
        return pl.DataFrame(schema=_SCHEMA)
    found = pl.concat(
        [
            table.filter(~pl.col(DELETED))
            .select(pl.col(VARIANT_SKUS).str.split("|").alias("variant_id"), "item_id")
            .explode("variant_id")
            .with_columns(pl.col("variant_id").str.strip_chars())
            for table in frames
        ]
    )
    items = pl.concat([table.select(pl.col("item_id").alias("variant_id")) for table in rows])
    return (
        found.filter(pl.col("variant_id") != "")
        .unique(subset="variant_id", keep="last", maintain_order=True)
        .join(items, on="variant_id", how="anti", maintain_order="left")
        .collect(engine="streaming")
    )


def with_items_of_variants(interactions: pl.LazyFrame, variants: pl.DataFrame) -> pl.LazyFrame:
    """Return interactions with the item in the place of each of its variants."""
    if variants.is_empty():
        return interactions
    names = interactions.collect_schema().names()
    known = variants.lazy().rename({"variant_id": "item_id", "item_id": "item_of_variant"})
    found = interactions.join(known, on="item_id", how="left", maintain_order="left")
    item = pl.coalesce("item_of_variant", "item_id").alias("item_id")
    return found.with_columns(item).select(names)
