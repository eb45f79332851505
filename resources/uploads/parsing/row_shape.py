"""The columns of a file that are kept, and the rows that are none: blank ones, and the header again.

A column without a name is left out when it is the first, as the index of a data frame is, or when it is empty; so is
what is beyond so many columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from resources.base.errors import UploadRefused
from resources.tenants.settings import UploadSettings
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.contract.findings import MAX_EXAMPLES, FindingLog
from resources.uploads.headers.layout import Layout, read_headers
from resources.uploads.parsing.csv_reader import ROW_NUMBER, RaggedRow, RowForm, TextBatch

MAX_COLUMNS = 1000
_MAX_READ_COLUMNS = 10_000
_UNNAMED = re.compile(r"\s*(?:unnamed: \d+(?:_level_\d+)?|__index_level_\d+__)?\s*", re.IGNORECASE)
"""A column without a name, and the names that pandas gives to such columns and to an index."""
_FIRST_SIGN = "!"
"""Text that is less is empty or begins with a blank."""
_LEFT_OUT = "left out: "
_UNNAMED_LEFT_OUT = f"{_LEFT_OUT}no name: "


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The headers of a file, its first rows as far as they are known, and the sign between its cells."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    separator: str = ","

    def is_index(self, place: int) -> bool:
        """Whether a column has no name, and is the first or has no values either."""
        if not _UNNAMED.fullmatch(self.headers[place]):
            return False
        return place == 0 or not any(row[place].strip() for row in self.rows if place < len(row))

    def sample(self, places: Sequence[int]) -> tuple[tuple[str, ...], ...]:
        """Return the cells of the first rows in some columns, by column."""
        return tuple(tuple(row[place] if place < len(row) else "" for row in self.rows) for place in places)


@dataclass(frozen=True, slots=True)
class KeptColumns:
    """Places of the columns of a file that are kept, and of those that are left out what they are called."""

    places: tuple[int, ...]
    left_out: dict[int, str]


def kept_columns(
    kind: Kind, file: FileColumns, settings: UploadSettings, *, filename: str, log: FindingLog
) -> KeptColumns:
    """Decide which columns of a file are kept; with `strict` all are.

    Raises:
        UploadRefused: `too_many_columns`, `no_header`.
    """
    strict = settings.strictness == "strict"
    most = MAX_COLUMNS if strict else _MAX_READ_COLUMNS
    count = len(file.headers)
    if not 0 < count <= most:
        raise UploadRefused(
            "too_many_columns" if count else "no_header",
            f"{filename} has {count:,} columns, not 1 to {most:,}; send those needed.",
        )
    if strict:
        return KeptColumns(tuple(range(count)), {})
    left_out = {place: f"{_UNNAMED_LEFT_OUT}{place}" for place in range(count) if file.is_index(place)}
    log.add("unnamed_columns", len(left_out))
    others = [place for place in range(count) if place not in left_out]
    if len(others) > MAX_COLUMNS:
        layout = read_headers(kind, [file.headers[place] for place in others], settings)
        needed = {name for step in layout.steps for name in step.needs}
        spare = [
            place
            for place, name in zip(others, layout.names, strict=True)
            if name.startswith("extra_") and name not in needed
        ]
        further = spare[max(0, MAX_COLUMNS - (len(others) - len(spare))) :]
        left_out |= {place: f"{_LEFT_OUT}{place}" for place in further}
        log.add("further_columns", len(further))
    return KeptColumns(tuple(place for place in range(count) if place not in left_out), left_out)


@dataclass(frozen=True, slots=True)
class RowShape:
    """The rows of a file: `fields` are its headers as they stand there, `form.names` a name for each.

    `probe` is the place of a column that no row leaves empty.
    """

    fields: tuple[str, ...]
    form: RowForm
    kept: KeptColumns
    probe: int

    @classmethod
    def of(cls, kind: Kind, fields: tuple[str, ...], kept: KeptColumns, layout: Layout, *, strict: bool) -> RowShape:
        """Return the shape of rows whose kept columns have the names of a layout."""
        named = dict(zip(kept.places, layout.names, strict=True)) | kept.left_out
        names = tuple(named[place] for place in range(len(fields)))
        required = {column.name for column in columns(kind) if column.required} - layout.made
        places = [place for place, name in enumerate(names) if name in required]
        fewest = len(fields) if strict or not places else places[-1] + 1
        return cls(fields, RowForm(names, fewest, strict=strict), kept, places[0] if places else 0)

    def finished(self, batches: Iterator[TextBatch], log: FindingLog) -> Iterator[TextBatch]:
        """Yield batches with the columns that are kept and the rows that are rows; without blank ones."""
        for batch in batches:
            finished = batch if self.form.strict else self._finished(batch, log)
            if finished.frame.height or finished.ragged:
                yield finished

    def _finished(self, batch: TextBatch, log: FindingLog) -> TextBatch:
        frame, ragged = self._without_blank(batch.frame, log), batch.ragged
        again = self._header_again(frame)
        if again is not None:
            width = len(self.fields)
            found = (
                RaggedRow(row[-1], row[-1], row[:-1], width, width, header_again=True)
                for row in frame.filter(again).iter_rows()
            )
            ragged = tuple(sorted((*ragged, *found), key=lambda row: row.row))
            frame = frame.filter(~again)
        if not self.kept.left_out:
            return replace(batch, frame=frame, ragged=ragged)
        for place, name in self.kept.left_out.items():
            if place and name.startswith(_UNNAMED_LEFT_OUT):
                lost = frame[name].str.strip_chars()
                lost = lost.filter(lost != "")
                log.add("unnamed_values", len(lost), *lost.head(MAX_EXAMPLES))
        kept = tuple(
            replace(row, fields=tuple(row.fields[place] for place in self.kept.places if place < len(row.fields)))
            for row in ragged
        )
        return replace(batch, frame=frame.drop(self.kept.left_out.values()), ragged=kept)

    def _without_blank(self, frame: pl.DataFrame, log: FindingLog) -> pl.DataFrame:
        probed = frame.to_series(self.probe)
        maybe = probed < _FIRST_SIGN
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
        same = rows.to_series(0).str.strip_prefix("\ufeff").str.strip_chars('"') == self.fields[0]
        for other, text in enumerate(self.fields[1:], start=1):
            same &= rows.to_series(other) == text
        again = maybe.scatter(maybe.arg_true(), same)
        return again if again.any() else None
