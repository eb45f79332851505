"""What is known of every row while a file is checked: hashes, in files of the work folder by their first bits.

Each bucket is searched on its own, so memory holds one bucket however long the file is. DuckDB's joins take twice the
processor time and memory (ADR 16).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from resources.uploads.contract.columns import DELETED, Kind
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import Hashes, hash_columns, key_columns, other_columns

ENTRY = np.dtype([("hash", "<u8"), ("other", "<u8"), ("row", "<i8"), (DELETED, "?")])
Entries: TypeAlias = npt.NDArray[Any]
"""Entries of the type `ENTRY`; `row` is the line of the row in its file, `other` a second hash of the same row."""

_BUCKET_BYTES = 128 * 1024 * 1024
_MAX_BUCKET_BITS = 6
_ENTRIES_AT_ONCE = 4_000_000


class EntryFiles:
    """Entries of one kind of hash, in the order in which they are added, in one file per bucket."""

    def __init__(self, folder: Path, name: str, *, text_bytes: int) -> None:
        """Make no file yet. `text_bytes` is about how long the text of the rows is; it decides on the buckets."""
        wanted = max(1, -(-text_bytes // _BUCKET_BYTES))
        self._bits = min(_MAX_BUCKET_BITS, (wanted - 1).bit_length())
        self._files = [folder / f"{name}-{bucket:02}" for bucket in range(1 << self._bits)]
        self.rows = 0

    @property
    def buckets(self) -> range:
        """Numbers of the buckets; a higher bucket has higher hashes."""
        return range(len(self._files))

    def add(self, entries: Entries) -> None:
        """Append entries to the files of their buckets."""
        if not len(entries):
            return
        self.rows += len(entries)
        if self._bits == 0:
            _append(self._files[0], entries)
            return
        bucket = (entries["hash"] >> np.uint64(64 - self._bits)).astype(np.uint8)
        entries = entries[np.argsort(bucket, kind="stable")]
        ends = np.cumsum(np.bincount(bucket, minlength=len(self._files)))
        for file, start, end in zip(self._files, (0, *ends[:-1]), ends, strict=True):
            if end > start:
                _append(file, entries[start:end])

    def read(self, bucket: int) -> Iterator[Entries]:
        """Yield the entries of a bucket in the order in which they were added, some millions at a time."""
        if not self._files[bucket].exists():
            return
        with self._files[bucket].open("rb") as handle:
            while len(entries := np.fromfile(handle, dtype=ENTRY, count=_ENTRIES_AT_ONCE)):
                yield entries

    def all_differ(self, bucket: int) -> bool:
        """Tell whether no hash is in a bucket twice; false when the bucket is too long to say it at a glance."""
        chunks = list(islice(self.read(bucket), 2))
        if len(chunks) != 1:
            return not chunks
        hashes = np.sort(chunks[0]["hash"])
        return bool((hashes[1:] != hashes[:-1]).all())


def entries_of(kind: Kind, frame: pl.DataFrame) -> tuple[Entries, Entries]:
    """Return the entries of rows by their keys, and of the interactions among them by their event ids.

    The second hash of an item's or user's key is its contents; that of an interaction's key is its event id, and the
    other way round, 0 for none.
    """
    key = hash_columns(frame, key_columns(kind))
    other = hash_columns(frame, other_columns(kind, frame.columns))
    rows, deleted = frame[ROW_NUMBER].to_numpy(), frame[DELETED].to_numpy()
    by_key = _entries(key, other, rows, deleted)
    if kind is not Kind.INTERACTIONS or not other.any():
        return by_key, by_key[:0]
    has_event = other != 0
    return by_key, _entries(other, key, rows, deleted)[has_event]


def _entries(hashes: Hashes, other: Hashes, rows: Any, deleted: Any) -> Entries:
    entries = np.empty(len(hashes), dtype=ENTRY)
    entries["hash"], entries["other"], entries["row"], entries[DELETED] = hashes, other, rows, deleted
    return entries


def _append(file: Path, entries: Entries) -> None:
    with file.open("ab") as handle:
        entries.tofile(handle)
