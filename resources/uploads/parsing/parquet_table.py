"""The columns of a Parquet file as text: of every type whose values have a text that reads back as the same value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from resources.base.errors import TooLarge, UploadRefused
from resources.uploads.contract.findings import FindingLog
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.headers.layout import Layout
from resources.uploads.parsing.csv_reader import ROW_NUMBER, TextBatch
from resources.uploads.parsing.parquet_footer import BadFooter, Footer, read_footer
from resources.uploads.parsing.uploaded_file import UploadedFile

_PARQUET_ROWS = 200_000
_FIRST_PARQUET_ROWS = 20_000
_SAMPLE_ROWS = 50
_PARQUET_TEXT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    dtype: pl.DataType
    ours: bool


class ParquetRows:
    """A Parquet file whose footer says that it can be read: its headers, then its columns of plain values.

    Raises:
        UploadRefused: `not_parquet`, `too_expensive`.
        TooLarge, TakesLong: by what the footer says.
    """

    def __init__(self, file: UploadedFile, *, max_bytes: int, limits: UploadLimits, log: FindingLog) -> None:
        self._file, self._max_bytes, self._limits, self._log = file, max_bytes, limits, log
        self._footer = _checked_footer(file, max_bytes=max_bytes, limits=limits)
        # A path, so that only the row groups at hand are read.
        self._lazy = pl.scan_parquet(file.content, glob=False)
        with _readable(file):
            self._schema = self._lazy.collect_schema()
            self._height = self._lazy.select(pl.len()).collect().item()
        if self._height != self._footer.rows:
            raise _not_parquet(file)
        self._done = 0
        self._columns: tuple[_Column, ...] = ()

    @property
    def headers(self) -> tuple[str, ...]:
        """Names of the columns, of all or of those that are left."""
        return tuple(column.header for column in self._columns) or tuple(self._schema)

    @property
    def consumed(self) -> int:
        """How much of the file the batches so far have taken, in its bytes."""
        return self._file.size * self._done // int(self._height)

    def leave_out(self, layout: Layout, *, strict: bool) -> None:
        """Leave out columns without a text that nothing of ours is made of.

        Raises:
            UploadRefused: `not_parquet`: it is a column of ours, or any with `strict`.
        """
        needed = {name for step in layout.steps for name in step.needs}
        columns: list[_Column] = []
        for (header, dtype), name in zip(self._schema.items(), layout.names, strict=True):
            ours = not name.startswith("extra_") or name in needed
            if _as_text(header, dtype, strict=strict) is not None:
                columns.append(_Column(header, dtype, ours))
            elif ours or strict:
                raise UploadRefused(
                    "not_parquet",
                    f"{self._file.filename}: the column {header} has the type {dtype}, which is not a plain value; "
                    "export it as text, number, time or true/false.",
                )
            else:
                self._log.add("nested_columns", 1, header)
        self._columns = tuple(columns)

    def sample(self, places: Sequence[int]) -> tuple[tuple[str, ...], ...]:
        """Return the cells of the first rows in some columns, by column."""
        names = [str(place) for place in range(len(self._columns))]
        first = next(self.batches(names), None) if names else None
        self._done = 0
        if first is None:
            return ()
        return tuple(tuple(first.frame[names[place]].head(_SAMPLE_ROWS)) for place in places)

    def batches(self, names: Sequence[str]) -> Iterator[TextBatch]:
        """Yield all rows, in order, the columns that are left under such names.

        Raises:
            TooLarge, TakesLong: there is more text than the footer says.
            UploadRefused: `not_parquet`.
        """
        texts = [_as_text(column.header, column.dtype, strict=False) for column in self._columns]
        cells = [text.alias(name) for text, name in zip(texts, names, strict=True) if text is not None]
        read, rows = 0, _rows_at_once(_FIRST_PARQUET_ROWS, self._footer.rows, self._footer.bytes)
        while self._done < self._height:
            with _readable(self._file):
                frame = self._lazy.slice(self._done, rows).select(cells).collect()
            if frame.is_empty():
                raise _not_parquet(self._file)
            frame = self._decoded(frame)
            # A short file may hold one long text many times over.
            lengths = frame.select(pl.sum_horizontal(pl.all().str.len_bytes().cast(pl.UInt64))).to_series()
            length = int(lengths.sum())
            read += length
            if read > self._max_bytes:
                raise TooLarge(f"{self._file.filename} holds more than {self._max_bytes:,} bytes of text; split it.")
            self._limits.check_text(read)
            numbered = frame.with_row_index(ROW_NUMBER, self._done + 2).cast({ROW_NUMBER: pl.Int64})
            self._done += frame.height
            rows = _rows_at_once(_PARQUET_ROWS, frame.height, length)
            for piece in _pieces(numbered, lengths):
                yield TextBatch(piece.select(*names, ROW_NUMBER))

    def _decoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with text for bytes; of a column that is none of ours, bytes that are no text are left out."""
        for column, name in zip(self._columns, frame.columns, strict=True):
            if not isinstance(column.dtype, pl.Binary):
                continue
            try:
                text = frame[name].cast(pl.String)
            except pl.exceptions.ComputeError as error:
                text = pl.Series(name, [_text_or_none(value) for value in frame[name]], dtype=pl.String)
                lost = text.is_null() & frame[name].is_not_null()
                if column.ours:
                    line = self._done + 2 + int(lost.arg_true()[0])
                    raise UploadRefused(
                        "not_parquet",
                        f"{self._file.filename}: the column {column.header} holds bytes that are not text in UTF-8, "
                        f"the first in row {line - 1}; export it as text.",
                    ) from error
                self._log.add("nested_columns", int(lost.sum()), column.header)
            frame = frame.with_columns(text.fill_null("").alias(name))
        return frame


def _checked_footer(file: UploadedFile, *, max_bytes: int, limits: UploadLimits) -> Footer:
    """Read the footer and refuse what would cost too much, before anything is decoded."""
    try:
        with file.open() as raw:
            footer = read_footer(raw, size=file.size)
    except BadFooter as error:
        raise _not_parquet(file, f" ({error})") from error
    limits.check_rows(footer.rows, file.filename)
    # The smallest cell of CSV is one byte: a table with more cells than that is over the limit when written out.
    cells = footer.rows * max(1, footer.columns)
    if cells > max_bytes:
        raise TooLarge(f"{file.filename} holds {footer.rows:,} rows, over the limit of {max_bytes:,} bytes; split it.")
    limits.check_text(cells)
    for group in footer.row_groups:
        limits.check_row_group(group.rows, footer.columns, group.bytes, file.filename)
    return footer


@contextmanager
def _readable(file: UploadedFile) -> Iterator[None]:
    """Say of a file that the reader of Parquet fails at, or panics, that it is none."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _not_parquet(file) from error


def _not_parquet(file: UploadedFile, why: str = "") -> UploadRefused:
    return UploadRefused(
        "not_parquet", f"{file.filename} is not a readable Parquet file{why}; export it again, or send CSV."
    )


def _rows_at_once(most: int, rows: int, length: int) -> int:
    """Return how many rows to read next, where `rows` took `length` bytes."""
    return max(1, min(most, _PARQUET_TEXT_BYTES * rows // max(1, length)))


def _pieces(frame: pl.DataFrame, lengths: pl.Series) -> Iterator[pl.DataFrame]:
    """Cut a frame whose rows have such lengths where it holds too much text: it may be one text that all rows share."""
    pieces = (lengths.cum_sum() // _PARQUET_TEXT_BYTES).rle()
    start = 0
    for rows in pieces.struct.field("len"):
        yield frame.slice(start, rows)
        start += rows


def _text_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _as_text(name: str, dtype: pl.DataType, *, strict: bool) -> pl.Expr | None:
    """Return the column as text that reads back as the same value, or as bytes; None when its type has no such text."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        utc = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return utc.dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").fill_null("")
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.String):
        return column.list.join("|", ignore_nulls=True).fill_null("")
    if strict and (dtype.is_nested() or isinstance(dtype, (pl.Binary, pl.Object, pl.Duration, pl.Time))):
        return None
    if isinstance(dtype, (pl.List, pl.Array)):
        inner = pl.DataType() if dtype.inner is None else dtype.inner
        if _has_no_text(inner) or isinstance(inner, (pl.Binary, pl.List, pl.Array)):
            return None
        items = column.arr.to_list() if isinstance(dtype, pl.Array) else column
        return items.cast(pl.List(pl.String)).list.join("|", ignore_nulls=True).fill_null("")
    if isinstance(dtype, pl.Duration):
        return (column.dt.total_microseconds() / 1e6).cast(pl.String).fill_null("")
    if isinstance(dtype, pl.Binary):
        return column
    return None if _has_no_text(dtype) else column.cast(pl.String).fill_null("")


def _has_no_text(dtype: object) -> bool:
    return isinstance(dtype, (pl.Struct, pl.Object))
