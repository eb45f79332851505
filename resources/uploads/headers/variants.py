"""Rows that go on describing the item of the row above, as shop systems write the variants of a product."""

from __future__ import annotations

import polars as pl

from resources.uploads.contract.columns import DELETED, Kind, columns
from resources.uploads.headers.layout import VARIANT_SKUS, Layout

_KEPT = frozenset({"item_id", DELETED})


class Continuations:
    """Fills what rows without a title leave out from the row above, if that is of the same item.

    A variant that names its item gets the id of that. Batches have to come in the order of the file: the last row of
    one may go on in the next, and a variant stands below its item. `filled` counts the rows that were filled so far.
    """

    def __init__(self, kind: Kind, layout: Layout) -> None:
        self._parent = layout.parent
        self._items: dict[str, str] = {}
        self._columns = [spec.name for spec in columns(kind) if spec.name not in _KEPT] if kind is Kind.ITEMS else []
        self._above: pl.DataFrame | None = None
        self.filled = 0

    def fill(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a batch of text, with the rows that continue another one filled."""
        present = [name for name in self._columns if name in frame.columns]
        if self._parent is not None and "item_id" in frame.columns:
            frame = self._with_parents(frame, *self._parent)
        if frame.is_empty() or "title" not in present or "item_id" not in frame.columns:
            return frame
        if (frame["title"].str.strip_chars() == "").any():
            frame = self._filled(frame, present)
        last = frame.select("item_id", *present).row(-1, named=True)
        self._above = pl.DataFrame(last, schema=dict.fromkeys(last, pl.String))  # a slice would keep the whole batch
        return frame

    def _with_parents(self, frame: pl.DataFrame, parent: str, sku: str) -> pl.DataFrame:
        named = frame[parent].str.strip_chars()
        items = frame.filter(named == "").select(sku, "item_id")
        self._items |= {name: item for name, item in items.iter_rows() if name}
        if (named == "").all():
            return frame
        by_id = named.str.extract(r"^id:\s*(\S+)$", 1)
        by_sku = named.replace_strict(self._items, default=None, return_dtype=pl.String)
        item = pl.coalesce(by_id, by_sku, "item_id")
        return frame.with_columns(pl.when(named != "").then(item).otherwise("item_id").alias("item_id"))

    def _filled(self, frame: pl.DataFrame, present: list[str]) -> pl.DataFrame:
        above = 0 if self._above is None else 1
        rows = frame if self._above is None else pl.concat([self._above, frame], how="diagonal")
        blank = pl.col("title").str.strip_chars() == ""
        if DELETED in frame.columns:  # a deletion needs no title
            blank &= pl.col(DELETED).fill_null("").str.strip_chars() == ""
        continues = blank & (pl.col("item_id").str.strip_chars() != "")
        run = pl.col("item_id").rle_id()
        text = {name: pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in present}
        down = [
            pl.when(continues).then(each.forward_fill().over(run).fill_null("")).otherwise(pl.col(name)).alias(name)
            for name, each in text.items()
        ]
        done = rows.with_columns(down)
        self.filled += int((rows.select(blank)["title"] & (done["title"] != "")).slice(above).sum())
        return done.slice(above)


def merged_items(rows: pl.LazyFrame, first_rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each item of several rows.

    It has the values of the item's first row, and where that has none the next one's; the lowest price of its rows; it
    is available when one of them is; and it knows the ids of all of them.

    Args:
        rows: accepted rows of items with `row_number`.
        first_rows: of every row that goes with another one (`row_number`) and of that one itself the row that the item
            begins with (`first_row`).
    """
    names = rows.collect_schema().names()
    skus = pl.col(VARIANT_SKUS).drop_nulls().unique(maintain_order=True).str.join("|")
    own = {
        "price": pl.col("price").min(),
        "available": pl.col("available").any(),
        VARIANT_SKUS: pl.when(skus != "").then(skus),
        "row_number": pl.col("row_number").first(),
    }
    merged = [own.get(name, pl.col(name).drop_nulls().first()).alias(name) for name in names]
    return (
        rows.join(first_rows.lazy(), on="row_number", how="inner")
        .sort("row_number")
        .group_by("first_row", maintain_order=True)
        .agg(merged)
        .drop("first_row")
        .collect(engine="streaming")
        .select(names)
    )
