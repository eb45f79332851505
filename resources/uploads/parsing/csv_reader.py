"""CSV text to polars frames of text, with the line of every row as a person counts it.

Blocks of whole lines go through polars. A block that is not plain (ragged, blank lines, stray carriage returns, quotes
over line ends or amid text) goes through the slower `csv` module, with the next one when its last row runs on. DuckDB's
reader gives rows no line numbers and refuses some of these files (ADR 16).
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.base.errors import UploadRefused
from resources.uploads.parsing.uploaded_file import Readable, not_utf8, refuse_nul

BLOCK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 1024 * 1024
_HEADER_BLOCK_BYTES = 256 * 1024
_SLOW_ROWS = 100_000
ROW_NUMBER = "row_number"
# What may stand before the first quote of a field and behind the last, besides a separator; a second quote is a doubled
# one.
_BEFORE = [*b'\n"']
_AFTER = [*b'\r\n"']
_BLANK = b" \t\r\n,;"
_BLANK_LINES = re.compile(rb"\n([ \t\r\n]{64,}\n)")
"""Many of them in a row, as rows of a table of one column or with tabs they would be values."""
_EMPTY_LINES = re.compile(rb"\n([\r\n]{64,}+)")


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
    """Some rows in file order: `frame` has a String column per header and `row_number`; ragged rows are apart.

    `made` columns at the end were made of others, so that no header is theirs.
    """

    frame: pl.DataFrame
    ragged: tuple[RaggedRow, ...] = ()
    made: int = 0


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
    start, above = _below_blank_lines(stream, start)
    while not _has_whole_line(start) and (more := stream.read(_HEADER_BLOCK_BYTES)):
        start += more
        if len(start) > MAX_HEADER_BYTES:
            raise _long_line(filename, MAX_HEADER_BYTES, line=above + 1)
    if not start:
        raise UploadRefused("empty_file", f"{filename} has no text; send a file with a header and at least one row.")
    used = taken = 0

    def lines() -> Iterator[str]:
        nonlocal used, taken
        for line in start.splitlines(keepends=True):
            used += len(line)
            taken += 1
            yield _decode(line, filename, first_line=above + taken)

    source = lines()
    first = next(source)
    separator = "\t" if tabbed or ("\t" in first and "," not in first) else ","
    fields = next(_records(chain([first], source), separator))
    return CsvHeader(tuple(fields), separator, first_line=above + taken + 1, rest=start[used:])


def _below_blank_lines(stream: Readable, start: bytes) -> tuple[bytes, int]:
    """Return the text from the first line that holds more than blanks and separators, and how many lines lie above."""
    above = 0
    while True:
        text = start.lstrip(_BLANK)
        blank = start[: len(start) - len(text)]
        end = max(blank.rfind(b"\n"), blank.rfind(b"\r")) + 1
        if not text and end == len(blank) and blank.endswith(b"\r"):
            end -= 1  # a line feed may follow
        above += _count_lines(blank[:end])
        if text:
            return start[end:], above
        more = stream.read(BLOCK_BYTES)
        if not more:
            return b"", above
        start = start[end:] + more


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
        dense, kept = _without_blank_lines(block, n_lines)
        if not len(kept):
            line += n_lines
            continue
        plain = _is_plain(dense, len(kept), header.separator, len(names))
        frame = _parse_plain(dense, header.separator, names) if plain else None
        if frame is not None and frame.height == len(kept):
            yield TextBatch(frame.with_columns(pl.Series(ROW_NUMBER, line + kept)))
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
            if len(held) > MAX_LINE_BYTES:
                raise _long_line(filename, MAX_LINE_BYTES)
    if held.strip(b"\r\n"):
        yield held


def _without_blank_lines(block: bytes, n_lines: int) -> tuple[bytes, NDArray[np.int64]]:
    """Return a block without its empty lines, and which lines are left, from 0.

    An empty line within quotes belongs to a value. The line end before it stays, so that the block is not plain.
    """
    if b"\n\n" not in block and b"\n\r\n" not in block and not block.startswith((b"\n", b"\r\n")):
        return block, np.arange(n_lines)
    text = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if len(ends) < n_lines:
        ends = np.append(ends, len(text) - 1)
    lengths = np.diff(ends, prepend=-1)
    returns = (lengths == 2) & (text[ends - 1] == ord("\r")) & (text[ends] == ord("\n"))
    full = ~returns & ((lengths > 1) | (text[ends] != ord("\n")))
    return text[np.repeat(full, lengths)].tobytes(), np.flatnonzero(full)


def _is_plain(block: bytes, n_lines: int, separator: str, width: int) -> bool:
    """Say whether every line is one row of `width` fields, with quotes only around fields, doubled inside them."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
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
    width = len(names)
    blank = _BLANK_LINES if width > 1 and separator == "," else _EMPTY_LINES
    line = first_line - 1
    last = line
    open_quote = False

    def lines() -> Iterator[str]:
        nonlocal line, last, block, open_quote
        while block:
            for stretch, is_empty in _stretches(block, blank):
                if is_empty and line == last:  # between records, so not within quotes
                    line = last = last + _count_lines(stretch)
                    continue
                for raw in stretch.splitlines(keepends=True):
                    last += 1
                    if b"\0" in raw:
                        refuse_nul(raw, filename)
                    yield _decode(raw, filename, first_line=last)
            # The `csv` module asks for more within a row only when a quote is open.
            block = next(blocks, b"") if line < last else b""
        open_quote = line < last

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


def _stretches(block: bytes, blank: re.Pattern[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Cut a block where many lines in a row are blank; these stretches are marked."""
    at = 0
    for run in blank.finditer(block):
        yield block[at : run.start(1)], False
        yield run[1], True
        at = run.end()
    yield block[at:], False


def _count_lines(ends: bytes) -> int:
    return ends.count(b"\n") + ends.count(b"\r") - ends.count(b"\r\n")


def _has_whole_line(text: bytes) -> bool:
    return b"\n" in text or b"\r" in text[:-1]


def _decode(text: bytes, filename: str, *, first_line: int) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + text[: error.start].count(b"\n")
        found = text[error.start : error.start + 1].hex()
        raise not_utf8(
            filename, f"line {line} holds the byte 0x{found}, as Windows-1252 or Latin-1 files do"
        ) from error


def _long_line(filename: str, most: int, *, line: int | None = None) -> UploadRefused:
    where = "a line" if line is None else f"line {line}"
    return UploadRefused("not_csv", f"{filename}: {where} is longer than {most:,} bytes; is it CSV?")
