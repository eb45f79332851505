"""An upload as a table of text: checked headers, and batches of rows under the names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from resources.errors import TooLarge, UploadRefused
from resources.uploads.contract import DELETED, Kind, ValueType, columns, internal_names
from resources.uploads.csv_reader import ROW_NUMBER, CsvHeader, TextBatch, read_batches, read_header
from resources.uploads.source import Format, LimitedStream, Source, refuse_what_is_not_text

MAX_COLUMNS = 1000
_HEADER_BYTES = 64 * 1024
_PARQUET_ROWS = 200_000
_FIRST_PARQUET_ROWS = 20_000
_PARQUET_TEXT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextTable:
    """Headers as the file spells them, the internal name of each, and the rows as batches of text, read once.

    `consumed` tells how many bytes of the source the batches so far have taken.
    """

    headers: tuple[str, ...]
    names: tuple[str, ...]
    batches: Iterator[TextBatch]
    consumed: Callable[[], int]


@contextmanager
def open_table(source: Source, kind: Kind, *, max_bytes: int) -> Iterator[TextTable]:
    """Open an upload of any accepted format.

    Raises:
        TooLarge: the text is over `max_bytes`, compressed or not; it may be raised while batches are read.
        UploadRefused: the file cannot be read at all; this, too, may be raised while batches are read.
    """
    with source.open() as raw:
        if source.format is Format.PARQUET:
            yield _parquet_table(source, kind, max_bytes=max_bytes)
            return
        stream = LimitedStream(raw, source=source, max_bytes=max_bytes)
        start = stream.read(_HEADER_BYTES)
        refuse_what_is_not_text(start, source.filename)
        tabbed = source.format in (Format.TSV, Format.TSV_GZ)
        header = read_header(stream, start=start, tabbed=tabbed, filename=source.filename)
        names = _checked_names(kind, header, source.filename)
        yield TextTable(header.fields, names, read_batches(stream, header, names, source.filename), raw.tell)


def _checked_names(kind: Kind, header: CsvHeader, filename: str) -> tuple[str, ...]:
    if not 0 < len(header.fields) <= MAX_COLUMNS:
        raise UploadRefused(
            "too_many_columns" if header.fields else "no_header",
            f"{filename} has {len(header.fields):,} columns, not 1 to {MAX_COLUMNS:,}; send those needed.",
        )
    names = internal_names(kind, header.fields)
    missing = [column for column in columns(kind) if column.required and column.name not in names]
    if DELETED in names:  # a file that only deletes needs no titles
        missing = [column for column in missing if column.value_type is not ValueType.TEXT]
    if missing:
        wanted = ", ".join(f"{c.name} (or {c.alias})" if c.alias else c.name for c in missing)
        found = ", ".join(field.strip()[:60] for field in header.fields[:30])
        if not any(column.name in names for column in columns(kind)):
            hint = " It looks separated by semicolons: use commas." if ";" in header.fields[0] else ""
            raise UploadRefused(
                "no_header",
                f"{filename}: the first line is not a header for {kind}; it reads: {found}.{hint} "
                f"Put the column names on the first line; required are: {_required(kind)}.",
            )
        raise UploadRefused(
            "missing_column", f"{filename} lacks the required column {wanted}. Found: {found}. Add it or rename one."
        )
    twice = sorted({name.removeprefix("extra_") for name in names if names.count(name) > 1})
    if twice:
        raise UploadRefused(
            "duplicate_header",
            f"{filename} names {', '.join(twice)} more than once (case and blanks do not count); rename or remove one.",
        )
    return names


def _required(kind: Kind) -> str:
    return ", ".join(column.name for column in columns(kind) if column.required)


def _parquet_table(source: Source, kind: Kind, *, max_bytes: int) -> TextTable:
    refusal = UploadRefused(
        "not_parquet", f"{source.filename} is not a readable Parquet file; export it again, or send CSV."
    )
    try:
        # A path, so that only the row groups at hand are read.
        lazy = pl.scan_parquet(source.content, glob=False)
        schema = lazy.collect_schema()
        height = lazy.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise refusal from error
    # The smallest cell of CSV is one byte: a table with more cells than that is over the limit when written out.
    if height * max(1, len(schema)) > max_bytes:
        raise TooLarge(f"{source.filename} holds {height:,} rows, over the limit of {max_bytes:,} bytes; split it.")
    unreadable = [name for name, dtype in schema.items() if _as_text(name, dtype) is None]
    if unreadable:
        raise UploadRefused(
            "not_parquet",
            f"{source.filename}: the column {unreadable[0]} has the type {schema[unreadable[0]]}, which is not a plain "
            "value; export it as text, number, time or true/false.",
        )
    headers = tuple(schema)
    names = _checked_names(kind, CsvHeader(headers, ",", first_line=2, rest=b""), source.filename)
    done = 0

    def batches() -> Iterator[TextBatch]:
        nonlocal done
        texts = [_as_text(header, dtype) for header, dtype in schema.items()]
        cells = [text.alias(name) for text, name in zip(texts, names, strict=True) if text is not None]
        left, rows = max_bytes, _FIRST_PARQUET_ROWS
        while done < height:
            try:
                frame = lazy.slice(done, rows).select(cells).collect()
            except pl.exceptions.PolarsError as error:
                raise refusal from error
            if frame.is_empty():
                raise refusal
            # A short file may hold one long text many times over.
            length = sum(int(frame[name].str.len_bytes().sum()) for name in names)
            left -= length
            if left < 0:
                raise TooLarge(f"{source.filename} holds more than {max_bytes:,} bytes of text; split it.")
            numbered = frame.with_row_index(ROW_NUMBER, done + 2).cast({ROW_NUMBER: pl.Int64})
            done += frame.height
            rows = max(1, min(_PARQUET_ROWS, _PARQUET_TEXT_BYTES * frame.height // max(1, length)))
            yield TextBatch(numbered)

    return TextTable(headers, names, batches(), lambda: source.size * done // height)


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
