"""CSV text to polars frames of text, with the line of every row as a person counts it.

Blocks of whole lines go through polars. A block that is not plain (ragged, blank lines, stray carriage returns, quotes
over line ends or amid text) goes through the slower `csv` module, with the next one when its last row runs on.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl

from resources.errors import UploadRefused
from resources.uploads.source import Readable, not_utf8, refuse_nul

BLOCK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
_SLOW_ROWS = 100_000
ROW_NUMBER = "row_number"
# What may stand before the first quote of a field and behind the last, besides a separator; a second quote is a doubled
# one.
_BEFORE = [*b'\n"']
_AFTER = [*b'\r\n"']


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row whose number of fields is not the header's, or whose last quote is open at the end of the file.

    It spans lines `row` to `last_line`.
    """

    row: int
    last_line: int
    fields: tuple[str, ...]
    open_quote: bool = False


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Some rows in file order: `frame` has a String column per header and `row_number`; ragged rows are apart."""

    frame: pl.DataFrame
    ragged: tuple[RaggedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """The header record, the line on which data starts, and the bytes that were read beyond the header."""

    fields: tuple[str, ...]
    separator: str
    first_line: int
    rest: bytes


def read_header(stream: Readable, *, start: bytes, tabbed: bool, filename: str) -> CsvHeader:
    """Read the first record that is not blank. `start` is what was already read of `stream`.

    A file with tabs and no comma in its header is read as TSV whatever its name.
    """
    while not _has_whole_line(start) and (more := stream.read(BLOCK_BYTES)):
        start += more
        _refuse_long_line(len(start), filename, line=1)
    used = 0
    taken: list[str] = []

    def lines() -> Iterator[str]:
        nonlocal used
        for line in start.splitlines(keepends=True):
            used += len(line)
            taken.append(_decode(line, filename, first_line=len(taken) + 1))
            yield taken[-1]

    source = lines()
    first = next((line for line in source if line.strip(" \t\r\n,;")), None)
    if first is None:
        raise UploadRefused("empty_file", f"{filename} has no text; send a file with a header and at least one row.")
    separator = "\t" if tabbed or ("\t" in first and "," not in first) else ","
    fields = next(_records(chain([first], source), separator))
    return CsvHeader(tuple(fields), separator, first_line=len(taken) + 1, rest=start[used:])


def read_batches(stream: Readable, header: CsvHeader, names: tuple[str, ...], filename: str) -> Iterator[TextBatch]:
    """Yield every data row of the stream once, in order, under `names` (one per header field).

    Raises:
        UploadRefused: `not_utf8`, or `not_csv` for NUL bytes and for a line of more than 64 MB.
    """
    line = header.first_line
    blocks = _blocks_of_lines(stream, header.rest, filename)
    for block in blocks:
        refuse_nul(block, filename)
        if not block.isascii():
            _decode(block, filename, first_line=line)
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        plain = _is_plain(block, n_lines, header.separator, len(names))
        frame = _parse_plain(block, header.separator, names) if plain else None
        if frame is not None and frame.height == n_lines:
            numbers = pl.Series(ROW_NUMBER, np.arange(line, line + n_lines))
            yield TextBatch(frame.with_columns(numbers))
            line += n_lines
        else:
            line = yield from _read_slowly(block, blocks, header.separator, names, filename, first_line=line)


def _blocks_of_lines(stream: Readable, start: bytes, filename: str) -> Iterator[bytes]:
    """Cut the stream behind line ends; only the last block may lack one."""
    held = start
    while data := stream.read(BLOCK_BYTES):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield held + data[:cut]
            held = data[cut:]
        else:
            held += data
            _refuse_long_line(len(held), filename, line=None)
    if held.strip(b"\r\n"):
        yield held


def _is_plain(block: bytes, n_lines: int, separator: str, width: int) -> bool:
    """Say whether every line is one row of `width` fields, with quotes only around fields, doubled inside them."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    if width == 1 and (b"\n\n" in block or b"\n\r\n" in block or block.startswith((b"\n", b"\r\n"))):
        return False
    sep = separator.encode()
    if b'"' not in block:
        # A line with too many fields makes polars fail, so an even total leaves no line with too few.
        return block.count(sep) == n_lines * (width - 1)
    text = np.frombuffer(block, dtype=np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    if len(quotes) % 2 == 1:
        return False
    # Elsewhere a quote is a letter like any other for the `csv` module, and polars takes it for something else.
    around = np.frombuffer(b"\n" + block + b"\n", dtype=np.uint8)
    before, after = around[quotes[0::2]], around[quotes[1::2] + 2]
    if not np.isin(before, [*_BEFORE, *sep]).all() or not np.isin(after, [*_AFTER, *sep]).all():
        return False
    ends = np.flatnonzero(text == ord("\n"))
    if (np.searchsorted(quotes, ends) % 2).any():
        return False
    separators = np.flatnonzero(text == sep[0])
    outside = separators[np.searchsorted(quotes, separators) % 2 == 0]
    return len(outside) == n_lines * (width - 1)


def _parse_plain(block: bytes, separator: str, names: tuple[str, ...]) -> pl.DataFrame | None:
    """Parse a block in which each line should be a row; None when polars finds a line it cannot read."""
    try:
        return pl.read_csv(
            block,
            has_header=False,
            separator=separator,
            schema=dict.fromkeys(names, pl.String),
            empty_string_is_null=False,
            raise_if_empty=False,
            glob=False,
        )
    except pl.exceptions.PolarsError:
        return None


def _read_slowly(
    block: bytes, blocks: Iterator[bytes], separator: str, names: tuple[str, ...], filename: str, *, first_line: int
) -> Generator[TextBatch, None, int]:
    """Yield the rows of a block, and of the next ones as long as a row crosses their border; return the next line."""
    line = first_line - 1
    last = line
    open_quote = False

    def lines() -> Iterator[str]:
        nonlocal last, block, open_quote
        while block:
            for raw in block.splitlines(keepends=True):
                last += 1
                if b"\0" in raw:
                    refuse_nul(raw, filename)
                yield _decode(raw, filename, first_line=last)
            # The `csv` module asks for more within a row only when a quote is open.
            block = next(blocks, b"") if line < last else b""
        open_quote = line < last

    width = len(names)
    numbers: list[int] = []
    rows: list[list[str]] = []
    ragged: list[RaggedRow] = []
    for record in _records(lines(), separator):
        start, line = line + 1, last
        if open_quote:
            ragged.append(RaggedRow(start, line, tuple(record), open_quote=True))
        elif len(record) == width:
            numbers.append(start)
            rows.append(record)
        elif len(record) > 1 or (record and record[0].strip()):
            ragged.append(RaggedRow(start, line, tuple(record)))
        if len(rows) + len(ragged) >= _SLOW_ROWS:
            yield _batch(numbers, rows, ragged, names)
            numbers, rows, ragged = [], [], []
    if rows or ragged:
        yield _batch(numbers, rows, ragged, names)
    return last + 1


def _batch(numbers: list[int], rows: list[list[str]], ragged: list[RaggedRow], names: tuple[str, ...]) -> TextBatch:
    by_column = list(zip(*rows, strict=True)) or [() for _ in names]
    text = {name: pl.Series(name, values, dtype=pl.String) for name, values in zip(names, by_column, strict=True)}
    return TextBatch(pl.DataFrame({**text, ROW_NUMBER: pl.Series(numbers, dtype=pl.Int64)}), tuple(ragged))


def _records(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)  # our own limit is MAX_TEXT_BYTES, which rejects the row and not the file
    return csv.reader(lines, delimiter=separator)


def _has_whole_line(text: bytes) -> bool:
    stripped = text.lstrip(b" \t\r\n")
    return b"\n" in stripped or b"\r" in stripped[:-1]


def _decode(text: bytes, filename: str, *, first_line: int) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + text[: error.start].count(b"\n")
        found = text[error.start : error.start + 1].hex()
        raise not_utf8(
            filename, f"line {line} holds the byte 0x{found}, as Windows-1252 or Latin-1 files do"
        ) from error


def _refuse_long_line(length: int, filename: str, *, line: int | None) -> None:
    if length > MAX_LINE_BYTES:
        where = "a line" if line is None else f"line {line}"
        raise UploadRefused("not_csv", f"{filename}: {where} is longer than {MAX_LINE_BYTES:,} bytes; is it CSV?")
