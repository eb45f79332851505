"""An upload as a table of text: checked headers, and batches of rows under the names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import polars as pl

from resources.base.errors import TooLarge, UploadRefused
from resources.tenants.settings import UploadSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.headers.layout import Layout, read_headers
from resources.uploads.headers.proposal import SAMPLE_ROWS, Sample, refuse_repeated, refuse_what_is_missing
from resources.uploads.headers.variants import Continuations
from resources.uploads.parsing.csv_reader import ROW_NUMBER, TextBatch, read_batches, read_header
from resources.uploads.parsing.parquet_footer import BadFooter, Footer, read_footer
from resources.uploads.parsing.uploaded_file import (
    Format,
    LimitedStream,
    UploadedFile,
    refuse_what_is_not_text,
    text_exceeds,
)

MAX_COLUMNS = 1000
_HEADER_BYTES = 64 * 1024
_PARQUET_ROWS = 200_000
_FIRST_PARQUET_ROWS = 20_000
_PARQUET_TEXT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextTable:
    """How the columns are read, and the rows as batches of text under the internal names of the headers, read once.

    `consumed` tells how many bytes of the source the batches so far have taken, `continuations` which of their rows
    went on with the item of the row above.
    """

    layout: Layout
    batches: Iterator[TextBatch]
    consumed: Callable[[], int]
    continuations: Continuations


@contextmanager
def open_table(
    file: UploadedFile, kind: Kind, *, settings: UploadSettings, max_bytes: int, limits: UploadLimits
) -> Iterator[TextTable]:
    """Open an upload of any accepted format.

    Raises:
        TooLarge: the text is over `max_bytes`, compressed or not, or there are too many rows.
        TakesLong: it is too much work for the answer that `limits` say somebody waits for.
        UploadRefused: the file cannot be read at all. All of them may also be raised while batches are read.
    """
    table = _open_parquet if file.format is Format.PARQUET else _open_text
    with table(file, kind, settings=settings, max_bytes=max_bytes, limits=limits) as opened:
        refuse_what_is_missing(
            kind, opened.layout, settings, filename=file.filename, sample=lambda: _first_cells(opened)
        )
        refuse_repeated(opened.layout, settings, filename=file.filename)
        counted = _counted(opened.batches, limits, file.filename)
        if settings.strictness == "lenient":
            counted = _continued(counted, opened.continuations)
        yield replace(opened, batches=counted)


def _continued(batches: Iterator[TextBatch], continuations: Continuations) -> Iterator[TextBatch]:
    for batch in batches:
        yield replace(batch, frame=continuations.fill(batch.frame))


def read_head(
    file: UploadedFile, kind: Kind, *, settings: UploadSettings, max_bytes: int, limits: UploadLimits
) -> tuple[tuple[str, ...], Sample]:
    """Return the headers of an upload and the cells of its first rows, whatever its columns are.

    Raises:
        TooLarge, TakesLong, UploadRefused: as in `open_table`.
    """
    table = _open_parquet if file.format is Format.PARQUET else _open_text
    with table(file, kind, settings=settings, max_bytes=max_bytes, limits=limits) as opened:
        return opened.layout.headers, _first_cells(opened)


def _counted(batches: Iterator[TextBatch], limits: UploadLimits, filename: str) -> Iterator[TextBatch]:
    rows = 0
    for batch in batches:
        rows += batch.frame.height + len(batch.ragged)
        limits.check_rows(rows, filename)
        yield batch


@contextmanager
def _open_parquet(
    file: UploadedFile, kind: Kind, *, settings: UploadSettings, max_bytes: int, limits: UploadLimits
) -> Iterator[TextTable]:
    yield _parquet_table(file, kind, settings=settings, max_bytes=max_bytes, limits=limits)


@contextmanager
def _open_text(
    file: UploadedFile, kind: Kind, *, settings: UploadSettings, max_bytes: int, limits: UploadLimits
) -> Iterator[TextTable]:
    if limits.at_once_bytes is not None and text_exceeds(file, limits.at_once_bytes):
        raise TakesLong
    with file.open() as raw:
        stream = LimitedStream(raw, file=file, max_bytes=max_bytes)
        start = stream.read(_HEADER_BYTES)
        refuse_what_is_not_text(start, file.filename)
        tabbed = file.format in (Format.TSV, Format.TSV_GZ)
        header = read_header(stream, start=start, tabbed=tabbed, filename=file.filename)

        layout = _layout(kind, header.fields, file.filename, settings)
        batches = read_batches(stream, header, layout.names, file.filename)
        yield TextTable(layout, batches, raw.tell, Continuations(kind))


def _layout(kind: Kind, fields: tuple[str, ...], filename: str, settings: UploadSettings) -> Layout:
    if not 0 < len(fields) <= MAX_COLUMNS:
        raise UploadRefused(
            "too_many_columns" if fields else "no_header",
            f"{filename} has {len(fields):,} columns, not 1 to {MAX_COLUMNS:,}; send those needed.",
        )
    return read_headers(kind, fields, settings)


def _first_cells(table: TextTable) -> Sample:
    """Return the cells of the first rows, by column; they are read from the table."""
    for batch in table.batches:
        frame = batch.frame.head(SAMPLE_ROWS)
        return tuple(tuple(frame[name].fill_null("").to_list()) for name in table.layout.names)
    return ()


def _parquet_table(
    file: UploadedFile, kind: Kind, *, settings: UploadSettings, max_bytes: int, limits: UploadLimits
) -> TextTable:
    footer = _checked_footer(file, max_bytes=max_bytes, limits=limits)
    # A path, so that only the row groups at hand are read.
    lazy = pl.scan_parquet(file.content, glob=False)
    with _readable(file):
        schema = lazy.collect_schema()
        height = lazy.select(pl.len()).collect().item()
    if height != footer.rows:
        raise _not_parquet(file)
    unreadable = [name for name, dtype in schema.items() if _as_text(name, dtype) is None]
    if unreadable:
        raise UploadRefused(
            "not_parquet",
            f"{file.filename}: the column {unreadable[0]} has the type {schema[unreadable[0]]}, which is not a plain "
            "value; export it as text, number, time or true/false.",
        )
    headers = tuple(schema)
    done = 0

    def batches(names: tuple[str, ...]) -> Iterator[TextBatch]:
        nonlocal done
        texts = [_as_text(header, dtype) for header, dtype in schema.items()]
        cells = [text.alias(name) for text, name in zip(texts, names, strict=True) if text is not None]
        read, rows = 0, _rows_at_once(_FIRST_PARQUET_ROWS, footer.rows, footer.bytes)
        while done < height:
            with _readable(file):
                frame = lazy.slice(done, rows).select(cells).collect()
            if frame.is_empty():
                raise _not_parquet(file)
            # A short file may hold one long text many times over.
            lengths = frame.select(pl.sum_horizontal(pl.all().str.len_bytes().cast(pl.UInt64))).to_series()
            length = int(lengths.sum())
            read += length
            if read > max_bytes:
                raise TooLarge(f"{file.filename} holds more than {max_bytes:,} bytes of text; split it.")
            limits.check_text(read)
            numbered = frame.with_row_index(ROW_NUMBER, done + 2).cast({ROW_NUMBER: pl.Int64})
            done += frame.height
            rows = _rows_at_once(_PARQUET_ROWS, frame.height, length)
            for piece in _pieces(numbered, lengths):
                yield TextBatch(piece)

    layout = _layout(kind, headers, file.filename, settings)
    return TextTable(layout, batches(layout.names), lambda: file.size * done // height, Continuations(kind))


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


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return the column as text that reads back as the same value; None when its type has no such text."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        utc = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return utc.dt.cast_time_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").fill_null("")
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.String):
        return column.list.join("|", ignore_nulls=True).fill_null("")
    if dtype.is_nested() or isinstance(dtype, (pl.Binary, pl.Object, pl.Duration, pl.Time)):
        return None
    return column.cast(pl.String).fill_null("")
