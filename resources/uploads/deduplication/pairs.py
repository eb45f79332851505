"""Pairs of rows with equal hashes, and whether the rows themselves are equal."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from upath import UPath

from resources.storage.lake import scan_parquet
from resources.uploads.contract.columns import Kind
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import EVENT_CONTENT, hash_columns, key_columns, other_columns

OWN_FILE = -1
PAIR = np.dtype([("row", "<i8"), ("source", "<i4"), ("their_row", "<i8")])
PairRows: TypeAlias = npt.NDArray[Any]
"""Pairs of the type `PAIR`: a row of the new file, and one that may be equal: in the same file (`OWN_FILE`) or in the
stored rows with the number `source`."""
Lines: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_WINDOW_LINES = 1 << 21


class PairFiles:
    """Pairs in files of the work folder, one per stretch of the new file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._windows: set[int] = set()

    def add(self, rows: Lines, source: int | Any, their_rows: Lines) -> None:
        """Append pairs of lines, both shape (n,), in any order. `source` is one for all of them, or an array (n,)."""
        pairs = np.empty(len(rows), dtype=PAIR)
        pairs["row"], pairs["source"], pairs["their_row"] = rows, source, their_rows
        window = rows // _WINDOW_LINES
        for number in np.unique(window).tolist():
            with self._file(number).open("ab") as handle:
                pairs[window == number].tofile(handle)
            self._windows.add(number)

    def windows(self) -> Iterator[PairRows]:
        """Yield the pairs of one stretch after the other, sorted by row."""
        for number in sorted(self._windows):
            pairs = np.fromfile(self._file(number), dtype=PAIR)
            yield pairs[np.argsort(pairs["row"])]

    def _file(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}"


@dataclass(frozen=True, slots=True)
class Equality:
    """Masks of pairs: equal in their key, and equal in what is compared besides (Boolean, shape (n_pairs,)).

    `content`: of interactions, whether they agree in all but their time, event id and amounts; else as `other`.
    """

    key: Mask
    other: Mask
    content: Mask


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one source by line, sorted, with hashes under a salt of this process."""

    lines: Lines
    key: npt.NDArray[np.uint64]
    other: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]


def compare(kind: Kind, pairs: PairRows, own: Sequence[Path], sources: Sequence[Sequence[UPath | Path]]) -> Equality:
    """Fetch the rows of the pairs from their parts and compare them by a second hash.

    The second hash has a salt that is drawn for the occasion. Two different rows that are equal in both hashes, 128
    bits, are not to be expected in the lifetime of a shop, and nobody can make them without knowing the salt. A row
    that is not there any more equals nothing.
    """
    salt = secrets.randbits(31) + 1
    mine = _look_up(_fetch(kind, own, pairs["row"], salt), pairs["row"])
    equal = Equality(*(np.zeros(len(pairs), dtype=bool) for _ in range(3)))
    for source in np.unique(pairs["source"]).tolist():
        chosen = np.flatnonzero(pairs["source"] == source)
        wanted = pairs["their_row"][chosen]
        files = own if source == OWN_FILE else sources[source]
        theirs = _look_up(_fetch(kind, files, wanted, salt), wanted)
        there = theirs.there & mine.there[chosen]
        equal.key[chosen] = there & (theirs.key == mine.key[chosen])
        equal.other[chosen] = there & (theirs.other == mine.other[chosen])
        equal.content[chosen] = there & (theirs.content == mine.content[chosen])
    return equal


def _fetch(kind: Kind, files: Sequence[UPath | Path], lines: Lines, salt: int) -> _Rows:
    table = scan_parquet([UPath(file) for file in files])
    others = other_columns(kind, table.collect_schema().names())
    wanted = pl.Series(ROW_NUMBER, np.unique(lines))
    rows = (
        table.select(*key_columns(kind), *others, ROW_NUMBER)
        .filter(pl.col(ROW_NUMBER).is_between(int(wanted[0]), int(wanted[-1])))
        .join(wanted.to_frame().lazy(), on=ROW_NUMBER, how="semi")
        .collect(engine="streaming")
        .sort(ROW_NUMBER)
    )
    other = hash_columns(rows, others, salt=salt)
    content = hash_columns(rows, EVENT_CONTENT, salt=salt) if kind is Kind.INTERACTIONS else other
    return _Rows(rows[ROW_NUMBER].to_numpy(), hash_columns(rows, key_columns(kind), salt=salt), other, content)


@dataclass(frozen=True, slots=True)
class _Found:
    """Hashes of the rows on some lines, in their order, and which of them are there; all of shape (n,)."""

    key: npt.NDArray[np.uint64]
    other: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]
    there: Mask


def _look_up(rows: _Rows, lines: Lines) -> _Found:
    if not len(rows.lines):
        nothing = np.zeros(len(lines), dtype=np.uint64)
        return _Found(nothing, nothing, nothing, np.zeros(len(lines), dtype=bool))
    place = np.minimum(np.searchsorted(rows.lines, lines), len(rows.lines) - 1)
    return _Found(rows.key[place], rows.other[place], rows.content[place], rows.lines[place] == lines)
