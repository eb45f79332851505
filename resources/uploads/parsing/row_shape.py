"""The columns of a file that are kept, and the rows that are none: blank ones, and the header again.

A column without a name is left out when it is the first, as the index of a data frame is, or empty; so is what is beyond
so many columns. A column that is none of ours may come twice; one of ours may as long as no row has two values for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from resources.base.errors import UploadRefused
from resources.uploads.contract.findings import MAX_EXAMPLES, FindingLog
from resources.uploads.parsing.csv_reader import ROW_NUMBER, RaggedRow, RowForm, TextBatch

MAX_COLUMNS = 1000
MAX_READ_COLUMNS = 10_000
_UNNAMED = re.compile(r"\s*(?:unnamed: \d+(?:_level_\d+)?|__index_level_\d+__)?\s*", re.IGNORECASE)
"""A column without a name, and the names that pandas gives to such columns and to an index."""
_LEFT_OUT = "left out: "
_UNNAMED_LEFT_OUT = f"{_LEFT_OUT}no name: "
_TWICE = "twice: "


@dataclass(frozen=True, slots=True)
class Columns:
    """Headers of a file, their names in the contract, and the first rows as far as they are known."""

    headers: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()

    def is_index(self, place: int) -> bool:
        """Whether a column has no name, and is the first or has no values either."""
        if not _UNNAMED.fullmatch(self.headers[place]):
            return False
        return place == 0 or not any(row[place].strip() for row in self.rows if place < len(row))


@dataclass(frozen=True, slots=True)
class RowShape:
    """The columns of a file: `fields` are its headers as they stand there, `form.names` a name for each.

    `kept` are the names of the columns that are kept, `headers` the header of each. `twice` are names of columns of
    ours that come again, each with the name of the first. `probe` is the place of a column that no row leaves empty.
    """

    fields: tuple[str, ...]
    form: RowForm
    kept: tuple[str, ...]
    headers: tuple[str, ...]
    twice: tuple[tuple[str, str], ...]
    probe: int
    filename: str

    def finished(self, batches: Iterator[TextBatch], log: FindingLog) -> Iterator[TextBatch]:
        """Yield batches with the columns that are kept and the rows that are rows; without blank ones.

        Raises:
            UploadRefused: `duplicate_header`: a row has two values for one column.
        """
        for batch in batches:
            finished = batch if self.form.strict else self._finished(batch, log)
            if finished.frame.height or finished.ragged:
                yield finished

    def _finished(self, batch: TextBatch, log: FindingLog) -> TextBatch:
        frame, ragged = self._without_blank(batch.frame, log), batch.ragged
        again = self._header_again(frame)
        if again is not None:
            width = len(self.fields)
            ragged += tuple(
                RaggedRow(row[-1], row[-1], row[:-1], width, width, header_again=True)
                for row in frame.filter(again).iter_rows()
            )
            ragged = tuple(sorted(ragged, key=lambda row: row.row))
            frame = frame.filter(~again)
        for name, first in self.twice:
            frame = self._one_of_two(frame, name, first, log)
        if len(self.kept) == len(self.fields):
            return TextBatch(frame, ragged)
        for place, name in enumerate(self.form.names):
            if place and name.startswith(_UNNAMED_LEFT_OUT):
                lost = frame[name].str.strip_chars()
                lost = lost.filter(lost != "")
                log.add("unnamed_values", len(lost), *lost.head(MAX_EXAMPLES))
        places = [self.form.names.index(name) for name in self.kept]
        kept = (
            replace(row, fields=tuple(row.fields[place] for place in places if place < len(row.fields)))
            for row in ragged
        )
        return TextBatch(frame.select(*self.kept, ROW_NUMBER), tuple(kept))

    def _without_blank(self, frame: pl.DataFrame, log: FindingLog) -> pl.DataFrame:
        probed = frame.to_series(self.probe)
        maybe = (probed == "") | (probed == " ")
        if not maybe.any():
            return frame
        blank = frame.select(pl.all_horizontal(pl.exclude(ROW_NUMBER).str.strip_chars() == "") & maybe).to_series()
        log.add("blank_rows", int(blank.sum()))
        return frame.filter(~blank) if blank.any() else frame

    def _header_again(self, frame: pl.DataFrame) -> pl.Series | None:
        """Return which rows are the header; a mark of UTF-8 may stand before the first of joined files."""
        place = self.probe if self.probe or len(self.fields) == 1 else 1
        maybe = frame.to_series(place) == self.fields[place]
        if not maybe.any():
            return None
        rows = frame.filter(maybe).select(pl.exclude(ROW_NUMBER))
        first = rows.to_series(0).str.strip_prefix("\ufeff").str.strip_chars('"')
        same = pl.all_horizontal(
            *(pl.nth(n) == text for n, text in enumerate(self.fields) if n), pl.lit(first == self.fields[0])
        )
        equal = rows.select(same).to_series()
        again = maybe.scatter(maybe.arg_true(), equal)
        return again if again.any() else None

    def _one_of_two(self, frame: pl.DataFrame, name: str, first: str, log: FindingLog) -> pl.DataFrame:
        one, two = frame[first].str.strip_chars(), frame[name].str.strip_chars()
        differ = (one != "") & (two != "") & (one != two)
        if differ.any():
            line = frame.filter(differ)[ROW_NUMBER][0]
            raise _named_twice(self.filename, [first], f"; line {line} has two values for it")
        return frame.with_columns(pl.when(one == "").then(pl.col(name)).otherwise(pl.col(first)).alias(first))


def row_shape(columns: Columns, *, required: Collection[str], strict: bool, filename: str, log: FindingLog) -> RowShape:
    """Return the shape of the rows of a file with these columns, of which there is one or more.

    Args:
        required: names that no row goes without.
        strict: keep all columns, and refuse a name that comes twice.

    Raises:
        UploadRefused: `too_many_columns`, `duplicate_header`.
    """
    most = MAX_COLUMNS if strict else MAX_READ_COLUMNS
    fields, names = columns.headers, columns.names
    if len(fields) > most:
        raise UploadRefused(
            "too_many_columns",
            f"{filename} has {len(fields):,} columns, not 1 to {most:,}; send those needed.",
        )
    again = sorted({name.removeprefix("extra_") for name in names if names.count(name) > 1})
    if strict and again:
        raise _named_twice(filename, again, "")
    named = _Named(columns, strict=strict)
    log.add("unnamed_columns", named.unnamed)
    log.add("repeated_columns", len(named.repeated), *named.repeated)
    log.add("further_columns", named.further)
    for _, first in named.twice:
        log.add("column_twice", column=first)
    last = max((named.names.index(name) for name in required if name in named.names), default=len(fields) - 1)
    return RowShape(
        fields=tuple(fields),
        form=RowForm(tuple(named.names), len(fields) if strict else last + 1, strict=strict),
        kept=tuple(name for name in named.names if not name.startswith((_LEFT_OUT, _TWICE))),
        headers=tuple(named.headers),
        twice=tuple(named.twice),
        probe=next((n for n, name in enumerate(named.names) if name in required), 0),
        filename=filename,
    )


class _Named:
    """Names for all columns, each once, and headers for those that are kept, each once."""

    def __init__(self, columns: Columns, *, strict: bool) -> None:
        self.names: list[str] = []
        self.headers: list[str] = []
        self.twice: list[tuple[str, str]] = []
        self.repeated: list[str] = []
        self.unnamed = self.further = 0
        self._numbers: dict[str, int] = {}
        room = MAX_COLUMNS - sum(not name.startswith("extra_") for name in columns.names)
        for place, (header, name) in enumerate(zip(columns.headers, columns.names, strict=True)):
            if not name.startswith("extra_"):
                self._take_ours(place, header, name)
            elif not strict and columns.is_index(place):
                self.unnamed += 1
                self.names.append(f"{_UNNAMED_LEFT_OUT}{place}")
            elif room <= 0:
                self.further += 1
                self.names.append(f"{_LEFT_OUT}{place}")
            else:
                room -= 1
                self._take_other(header, name)

    def _take_ours(self, place: int, header: str, name: str) -> None:
        if name in self.names:
            self.twice.append((f"{_TWICE}{place}", name))
            self.names.append(f"{_TWICE}{place}")
            return
        self.names.append(name)
        self.headers.append(header)

    def _take_other(self, header: str, name: str) -> None:
        unlike = name
        while unlike in self._numbers:
            self._numbers[name] += 1
            unlike = f"{name}_{self._numbers[name]}"
        if unlike != name:
            header = f"{header.strip()}_{self._numbers[name]}"
            self.repeated.append(header)
        self._numbers.setdefault(unlike, 1)
        self.names.append(unlike)
        self.headers.append(header)


def _named_twice(filename: str, names: Sequence[str], why: str) -> UploadRefused:
    return UploadRefused(
        "duplicate_header",
        f"{filename} names {', '.join(names)} more than once (case and blanks do not count){why}; rename or remove "
        "one.",
    )
