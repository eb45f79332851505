"""How many items a tenant has: of its uploads and its changes by API, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from resources.uploads.contract.columns import DELETED, TIME

SentChange = tuple[str, str, datetime]
"""An item's id, what was done with it (`put`, `patch`, `delete`), and when."""


def count_items(uploaded: Iterable[tuple[datetime, pl.LazyFrame]], changes: Sequence[SentChange]) -> int:
    """Count the items that the newest word about each leaves there.

    `uploaded`: the accepted rows of each upload with its time, in order; a patch makes no item.
    """
    frames = [rows.select("item_id", pl.col(DELETED).fill_null(False), at=pl.lit(at, TIME)) for at, rows in uploaded]
    told = [(item, action == "delete", at) for item, action, at in changes if action != "patch"]
    if told:
        schema = {"item_id": pl.String(), DELETED: pl.Boolean(), "at": TIME}
        frames.append(pl.LazyFrame(told, schema=schema, orient="row"))
    if not frames:
        return 0
    newest = pl.concat(frames).group_by("item_id").agg(pl.col(DELETED).sort_by("at", maintain_order=True).last())
    return int(newest.select((~pl.col(DELETED)).sum()).collect().item())
