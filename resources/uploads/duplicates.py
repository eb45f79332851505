"""Rows of one file that repeat each other. Only valid rows are compared, so that validity never depends on order."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

INTERACTION_KEY = ("user_id", "item_id", "interaction_type", "timestamp")


@dataclass(frozen=True, slots=True)
class Repeats:
    """`duplicate` marks rows to leave out because an earlier one says the same (Boolean, one per row).

    `conflicts` has a row per row to reject because an earlier one has its id and says something else:
    `index` (UInt32, its position) and `first_row` (Int64, the line of the earlier one).
    """

    duplicate: pl.Series
    conflicts: pl.DataFrame


def repeats_of_interactions(frame: pl.DataFrame) -> Repeats:
    """Find interactions with an `event_id` seen before, or equal to a kept one in user, item, type and timestamp.

    Quantity, price and the other columns do not count: two equal lines of one basket are one interaction.
    """
    duplicate = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    if frame["event_id"].null_count() < frame.height:
        duplicate = frame["event_id"].is_not_null() & ~frame["event_id"].is_first_distinct()
    kept = frame.filter(~duplicate) if duplicate.any() else frame
    again = _repeated(kept.select(INTERACTION_KEY))
    if again.any():
        duplicate = duplicate.scatter((~duplicate).arg_true().filter(again), True)
    return Repeats(duplicate, pl.DataFrame(schema={"index": pl.UInt32, "first_row": pl.Int64}))


def repeats_by_id(frame: pl.DataFrame, id_column: str) -> Repeats:
    """Find items or users whose id came before: the same content again is a duplicate, any other is a conflict."""
    again = ~frame[id_column].is_first_distinct()
    indexed = frame.with_row_index("index")
    later = indexed.filter(again)
    first = indexed.filter(~again).join(later.select(id_column).unique(), on=id_column, how="semi")
    content = [name for name in frame.columns if name not in (id_column, "row_number", "upload_id")]
    same = pl.all_horizontal(pl.lit(True), *(pl.col(name).eq_missing(pl.col(f"{name}:first")) for name in content))
    compared = later.join(first, on=id_column, how="left", suffix=":first", maintain_order="left").select(
        "index", first_row="row_number:first", same=same
    )
    duplicate = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    duplicate = duplicate.scatter(compared.filter("same")["index"], True)
    return Repeats(duplicate, compared.filter(~pl.col("same")).select("index", "first_row"))


def _repeated(key: pl.DataFrame) -> pl.Series:
    """Mark rows equal to an earlier one. Different hashes prove a difference; equal ones are compared exactly."""
    hashes = key.hash_rows()
    suspects = (~hashes.is_unique()).arg_true()
    repeated = pl.repeat(False, key.height, dtype=pl.Boolean, eager=True)
    if suspects.is_empty():
        return repeated
    again = ~key[suspects].select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return repeated.scatter(suspects.filter(again), True)
