"""64-bit hashes of rows, to find repeats without holding the rows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from resources.uploads.contract.columns import DELETED, TIME, Kind, id_column
from resources.uploads.parsing.csv_reader import ROW_NUMBER

Hashes: TypeAlias = npt.NDArray[np.uint64]

INTERACTION_KEY = ("user_id", "item_id", "interaction_type", "timestamp")
EVENT_CONTENT = ("user_id", "item_id", "interaction_type")
"""What rows of one `event_id` have to agree in. A retry may have another time."""
_NOT_CONTENT = frozenset({ROW_NUMBER, "upload_id", DELETED})


def key_columns(kind: Kind) -> tuple[str, ...]:
    """Return the columns that say which thing a row is about: two rows equal in them are one thing."""
    return INTERACTION_KEY if kind is Kind.INTERACTIONS else (id_column(kind),)


def other_columns(kind: Kind, names: Sequence[str]) -> tuple[str, ...]:
    """Return what is compared besides the key: the event id of interactions, the contents of items and users."""
    if kind is Kind.INTERACTIONS:
        return ("event_id",)
    return tuple(name for name in names if name not in _NOT_CONTENT and name != id_column(kind))


def hash_columns(frame: pl.DataFrame, names: Sequence[str], *, salt: int = 0) -> Hashes:
    """Return one hash per row of the named columns, shape (n_rows,); 0 when all of them are null.

    A null counts as an absent column, so rows of files with different columns can be equal. Every `salt` gives hashes
    independent of those of another.
    """
    total = np.zeros(frame.height, dtype=np.uint64)
    for name in names:
        column = frame[name]
        hashes = column.hash(zlib.crc32(name.encode()) + (salt << 32))
        if column.null_count():
            hashes = hashes.set(column.is_null(), 0)
        total += hashes.to_numpy()
    return total


@cache
def scheme() -> str:
    """Return a name for this way of hashing: it changes when a release of polars hashes otherwise."""
    probe = pl.DataFrame(
        {
            "text": ["", "a", "Zoë 🛒", "x" * 100],
            "number": [0.0, -1.5, 1e300, None],
            "flag": [True, False, None, True],
            "time": pl.Series([datetime(2024, 5, 31, tzinfo=UTC)] * 4, dtype=TIME),
        }
    )
    return f"{int(hash_columns(probe, probe.columns).sum(dtype=np.uint64)):016x}"
