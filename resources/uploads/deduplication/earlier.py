"""Searching what is stored already: earlier uploads of the kind, and tracked events, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from upath import UPath

from resources.uploads.contract.columns import DELETED, Kind
from resources.uploads.deduplication.entries import Entries
from resources.uploads.deduplication.pairs import Lines, Mask
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import Hashes

_SEARCHED_AT_ONCE = 64
_NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of one source: their part files, and `keys`, a table `hash`, `other`, `row_number`, `deleted`."""

    files: tuple[UPath | Path, ...]
    keys: pl.LazyFrame
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Deletions:
    """Hashes that a deletion names (sorted), and the number of the newest source that has it; −1 is the new file."""

    hashes: Hashes
    source: npt.NDArray[np.int32]

    def newest(self, hashes: Hashes) -> npt.NDArray[np.int32]:
        """Return for each hash the number of the newest source that deletes it, a very high one for none."""
        if not len(self.hashes):
            return np.full(len(hashes), _NEVER, dtype=np.int32)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[place] == hashes, self.source[place], np.int32(_NEVER))


class EarlierRows:
    """Stored rows to compare a new file with. The number of a source is its place in `uploads`; events come last."""

    def __init__(self, kind: Kind, uploads: Sequence[StoredRows], *, deleted: Hashes) -> None:
        """Look up the deletions. `uploads` are newest first; `deleted` are the hashes that the new file deletes."""
        self._kind = kind
        self._uploads = tuple(uploads)
        self._events: StoredRows | None = None
        self._deletions = _deletions(self._uploads, deleted)

    @property
    def nothing(self) -> bool:
        """Whether nothing is stored yet."""
        return not self._sources

    @property
    def files(self) -> tuple[tuple[UPath | Path, ...], ...]:
        """The part files of each source."""
        return tuple(source.files for source in self._sources)

    def set_events(self, events: StoredRows) -> None:
        """Compare with tracked events, too. Those that were deleted since must not be among them."""
        self._events = events

    def deleted_since(self, entries: Entries, received_at: npt.NDArray[np.datetime64]) -> Mask:
        """Say which entries of events, received at these times, an upload or the new file has deleted since."""
        newest = np.minimum(self._deletions.newest(entries["hash"]), self._deletions.newest(entries["other"]))
        times = [np.datetime64(source.received_at.replace(tzinfo=None), "us") for source in self._uploads]
        deleted_at = np.array(
            [*times, np.datetime64("9999-01-01"), np.datetime64("0001-01-01")], dtype="datetime64[us]"
        )
        place = np.where(newest == -1, len(times), np.where(newest == _NEVER, len(times) + 1, newest))
        return np.asarray(deleted_at[place] >= received_at, dtype=bool)

    def search(self, firsts: Entries) -> Iterator[tuple[Lines, Any, Lines]]:
        """Yield lines of the new file, the source and the line there of a stored row with the same hash.

        `firsts` are sorted by hash. Of several stored rows the newest counts, and only those that were not deleted.
        """
        pending = np.ones(len(firsts), dtype=bool)
        for start in range(0, len(self._sources), _SEARCHED_AT_ONCE):
            if not pending.any():
                return
            found = self._newest_in(range(start, min(start + _SEARCHED_AT_ONCE, len(self._sources))), firsts[pending])
            place = np.searchsorted(firsts["hash"], found["hash"].to_numpy())
            pending[place] = False
            matches = np.ones(len(place), dtype=bool)
            if self._kind is not Kind.INTERACTIONS:
                matches = found["other"].to_numpy() == firsts["other"][place]
            if matches.any():
                sources, rows = found["source"].to_numpy()[matches], found[ROW_NUMBER].to_numpy()[matches]
                yield firsts["row"][place][matches], sources, rows

    @property
    def _sources(self) -> tuple[StoredRows, ...]:
        return self._uploads if self._events is None else (*self._uploads, self._events)

    def _newest_in(self, numbers: range, firsts: Entries) -> pl.DataFrame:
        lowest, highest = (pl.lit(int(firsts["hash"][at]), dtype=pl.UInt64) for at in (0, -1))
        wanted = pl.LazyFrame({"hash": firsts["hash"]})
        tables = [
            self._sources[number]
            .keys.filter(pl.col("hash").is_between(lowest, highest) & ~pl.col(DELETED))
            .with_columns(source=pl.lit(number, dtype=pl.Int32))
            for number in numbers
        ]
        found = pl.concat(tables).join(wanted, on="hash", how="semi").collect(engine="streaming")
        if len(self._deletions.hashes):
            since = np.minimum(
                self._deletions.newest(found["hash"].to_numpy()), self._deletions.newest(found["other"].to_numpy())
            )
            # Deletions of a file apply before its other rows; those of events were left out when they were read.
            events = found["source"].to_numpy() == len(self._uploads)
            found = found.filter(pl.Series(events | (since >= found["source"].to_numpy())))
        return found.sort("hash", "source").unique("hash", keep="first", maintain_order=True)


def _deletions(uploads: Sequence[StoredRows], deleted: Hashes) -> Deletions:
    tables = []
    if len(deleted):
        tables.append(pl.LazyFrame({"hash": deleted}).with_columns(source=pl.lit(-1, dtype=pl.Int32)))
    tables += [
        upload.keys.filter(DELETED).select("hash", source=pl.lit(number, dtype=pl.Int32))
        for number, upload in enumerate(uploads)
    ]
    if not tables:
        return Deletions(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32))
    newest = pl.concat(tables).group_by("hash").agg(pl.col("source").min()).collect(engine="streaming").sort("hash")
    return Deletions(newest["hash"].to_numpy(), newest["source"].to_numpy())
