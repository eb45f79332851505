"""CSV text to polars frames of text, with the line of every row as a person counts it.

Blocks of whole lines go through polars. A block that is not plain (ragged, blank lines, stray carriage returns, quotes
over line ends or amid text) goes through the slower `csv` module, with the next one when its last row runs on. DuckDB's
reader gives rows no line numbers and refuses some of these files (ADR 16).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.uploads.contract.findings import MAX_EXAMPLES, FindingLog
from resources.uploads.dialects.encoding import FoundEncoding, Readable, other_encoding
from resources.uploads.dialects.header import CsvHeader, count_lines, long_line
from resources.uploads.dialects.quotes import (
    Dialect,
    records,
    straight_quotes,
    with_doubled_quotes,
    with_inner_quotes_doubled,
)
from resources.uploads.parsing.uploaded_file import refuse_nul

BLOCK_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
_SLOW_ROWS = 100_000
_MOST_NULS, _BYTES_OF_A_NUL = 8, 10_000
ROW_NUMBER = "row_number"
_BLANK_LINES = re.compile(rb"\n([ \t\r\n]{64,}\n)")
"""Many of them in a row, as rows of a table of one column or with tabs they would be values."""
_EMPTY_LINES = re.compile(rb"\n([\r\n]{64,}+)")


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row on the lines `row` to `last_line` that is rejected for its shape: it had `found` fields instead of `width`.

    Or its last quote is open at the end of the file, or it is the header again. `fields` are those that are kept.
    """

    row: int
    last_line: int
    fields: tuple[str, ...]
    found: int
    width: int
    open_quote: bool = False
    header_again: bool = False

    @property
    def code(self) -> str:
        """Key in the report's `errors_by_rule`."""
        if self.header_again:
            return "row.header_again"
        return "row.open_quote" if self.open_quote else "row.wrong_field_count"

    @property
    def reason(self) -> str:
        """Why it is rejected, for people."""
        if self.header_again:
            return "is the header again"
        if self.open_quote:
            return f"a quote is opened and never closed, so the row runs to line {self.last_line}, the last"
        reason = f"the row has {self.found} fields and the header has {self.width}"
        if self.last_line > self.row:
            reason += f"; it runs to line {self.last_line}: look for a quote that is not closed"
        return reason


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Some rows in file order: `frame` has a String column per header and `row_number`; ragged rows are apart.

    `made` columns at the end were made of others, so that no header is theirs.
    """

    frame: pl.DataFrame
    ragged: tuple[RaggedRow, ...] = ()
    made: int = 0


@dataclass(frozen=True, slots=True)
class RowForm:
    """The fields of a row: a name each, and what a row may be that has others.

    A row may end behind `fewest` fields. With `strict` it may not, and nothing may stand where it should not.
    """

    names: tuple[str, ...]
    fewest: int
    strict: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the rows of one file are read; `log` takes what is noticed."""

    dialect: Dialect
    encoding: FoundEncoding
    form: RowForm
    filename: str
    log: FindingLog

    @property
    def width(self) -> int:
        return len(self.form.names)


def read_batches(
    stream: Readable, header: CsvHeader, form: RowForm, filename: str, *, log: FindingLog
) -> Iterator[TextBatch]:
    """Yield every data row of a stream of UTF-8 once, in order, under the names of `form`.

    Raises:
        ReadAgain: it is not UTF-8 after all.
        UploadRefused: `not_utf8`, or `not_csv` for NUL bytes and for a line of more than 64 MB.
    """
    reading = _Reading(header.dialect, header.encoding, form, filename, log)
    line = header.first_line
    blocks = _blocks_of_lines(stream, header.rest, filename)
    for block in blocks:
        if b"\0" in block:
            block = _without_nul(block, reading)
        if not block.isascii():
            _decode(block, reading, first_line=line)
        if reading.dialect.curly:
            block = straight_quotes(block)
        if not form.strict and b"\\" in block:
            block, count = with_doubled_quotes(block, reading.dialect, reading.width)
            log.add("backslash_quotes", count)
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        dense, kept = _without_blank_lines(block, n_lines)
        if not len(kept):
            line += n_lines
            log.add("blank_rows", n_lines)
            continue
        plain = _is_plain(dense, len(kept), reading.dialect, reading.width)
        frame = _parse_plain(dense, reading) if plain else None
        if frame is not None and frame.height == len(kept):
            log.add("blank_rows", n_lines - len(kept))
            yield TextBatch(frame.with_columns(pl.Series(ROW_NUMBER, line + kept)))
            line += n_lines
        else:
            line = yield from _read_slowly(block, blocks, reading, first_line=line)


def _without_nul(block: bytes, reading: _Reading) -> bytes:
    """Take single zero bytes off, as a damaged cell has them; a file of many is no text."""
    count = block.count(b"\0")
    if reading.form.strict or count > max(_MOST_NULS, len(block) // _BYTES_OF_A_NUL):
        refuse_nul(block, reading.filename)
    where = [line[:60].decode(errors="replace").strip() for line in block.splitlines() if b"\0" in line]
    reading.log.add("nul_bytes", count, *where[:MAX_EXAMPLES])
    return block.replace(b"\0", b"")


def _blocks_of_lines(stream: Readable, start: bytes, filename: str) -> Iterator[bytes]:
    """Cut the stream behind line ends; only the last block may lack one."""
    held = start
    while len(held) > BLOCK_BYTES and (cut := held.rfind(b"\n", 0, BLOCK_BYTES) + 1):
        yield held[:cut]
        held = held[cut:]
    while data := stream.read(BLOCK_BYTES):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield held + data[:cut]
            held = data[cut:]
        else:
            held += data
            if len(held) > MAX_LINE_BYTES:
                raise long_line(filename, MAX_LINE_BYTES)
    if len(held) - held.rfind(b"\n", 0, -1) > MAX_LINE_BYTES:
        raise long_line(filename, MAX_LINE_BYTES)
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


def _is_plain(block: bytes, n_lines: int, dialect: Dialect, width: int) -> bool:
    """Say whether every line is one row of `width` fields, with quotes only around fields, doubled inside them."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    sep, quote = dialect.separator.encode(), dialect.quote.encode()
    if quote not in block:
        # A line with too many fields makes polars fail, so an even total leaves no line with too few.
        return block.count(sep) == n_lines * (width - 1)
    text = np.frombuffer(block, dtype=np.uint8)
    quotes = np.flatnonzero(text == quote[0])
    if len(quotes) % 2 == 1:
        return False
    # Elsewhere a quote is a letter like any other for the `csv` module, and polars takes it for something else. What
    # may stand before the first quote of a field and behind the last is a line end, a separator or a doubled quote.
    around = np.frombuffer(b"\n" + block + b"\n", dtype=np.uint8)
    before, after = around[quotes[0::2]], around[quotes[1::2] + 2]
    if not np.isin(before, [*b"\n", *quote, *sep]).all() or not np.isin(after, [*b"\r\n", *quote, *sep]).all():
        return False
    ends = np.flatnonzero(text == ord("\n"))
    if (np.searchsorted(quotes, ends) % 2).any():
        return False
    separators = np.flatnonzero(text == sep[0])
    outside = separators[np.searchsorted(quotes, separators) % 2 == 0]
    return len(outside) == n_lines * (width - 1)


def _parse_plain(block: bytes, reading: _Reading) -> pl.DataFrame | None:
    """Parse a block in which each line should be a row; None when polars finds a line it cannot read."""
    try:
        return pl.read_csv(
            block,
            has_header=False,
            separator=reading.dialect.separator,
            quote_char=reading.dialect.quote,
            schema=dict.fromkeys(reading.form.names, pl.String),
            empty_string_is_null=False,
            raise_if_empty=False,
            glob=False,
        )
    except pl.exceptions.PolarsError:
        return None


def _read_slowly(
    block: bytes, blocks: Iterator[bytes], reading: _Reading, *, first_line: int
) -> Generator[TextBatch, None, int]:
    """Yield the rows of a block, and of the next ones as long as a row crosses their border; return the next line."""
    rows = _SlowRows(block, blocks, reading, first_line=first_line)
    yield from rows.batches()
    return rows.last + 1


class _SlowRows:
    """Rows that the `csv` module cuts, from a block and from those that it runs on into.

    `line` is the last line of the records before, `last` the last line that was handed to the module.
    """

    def __init__(self, block: bytes, blocks: Iterator[bytes], reading: _Reading, *, first_line: int) -> None:
        self._block, self._blocks, self._reading = block, blocks, reading
        self._blank = _BLANK_LINES if reading.width > 1 and reading.dialect.separator != "\t" else _EMPTY_LINES
        self._line = self.last = first_line - 1
        self._open_quote = False
        self._numbers: list[int] = []
        self._rows: list[list[str]] = []
        self._ragged: list[RaggedRow] = []

    def batches(self) -> Iterator[TextBatch]:
        """Yield the rows, so many at a time."""
        for record in records(self._lines(), self._reading.dialect):
            start, self._line = self._line + 1, self.last
            self._take(start, record)
            if len(self._rows) + len(self._ragged) >= _SLOW_ROWS:
                yield self._batch()
        if self._rows or self._ragged:
            yield self._batch()

    def _lines(self) -> Iterator[str]:
        reading, strict = self._reading, self._reading.form.strict
        while self._block:
            for stretch, is_empty in _stretches(self._block, self._blank):
                if is_empty and self._line == self.last:  # between records, so not within quotes
                    blank = count_lines(stretch)
                    self._line = self.last = self.last + blank
                    reading.log.add("blank_rows", blank)
                    continue
                for raw in stretch.splitlines(keepends=True):
                    self.last += 1
                    text = _decode(raw, reading, first_line=self.last)
                    if not strict and reading.dialect.quote in text and self._line == self.last - 1:
                        text = self._mended(text)
                    yield text
            # The `csv` module asks for more within a row only when a quote is open.
            self._block = self._next_block() if self._line < self.last else b""
        self._open_quote = self._line < self.last

    def _next_block(self) -> bytes:
        block = next(self._blocks, b"")
        if b"\0" in block:
            block = _without_nul(block, self._reading)
        return straight_quotes(block) if self._reading.dialect.curly else block

    def _mended(self, text: str) -> str:
        mended = with_inner_quotes_doubled(text, self._reading.dialect, self._reading.width)
        if mended is None:
            return text
        self._reading.log.add("unescaped_quotes", 1, text.strip())
        return mended

    def _take(self, start: int, record: list[str]) -> None:
        width = self._reading.width
        if self._open_quote:
            self._ragged.append(RaggedRow(start, self._line, tuple(record), len(record), width, open_quote=True))
        elif (row := self._row_of(start, record)) is not None:
            self._numbers.append(start)
            self._rows.append(row)
        elif any(cell.strip() for cell in record) or (len(record) > 1 and self._reading.form.strict):
            self._ragged.append(RaggedRow(start, self._line, tuple(record), len(record), width))
        else:
            self._reading.log.add("blank_rows")

    def _row_of(self, start: int, record: list[str]) -> list[str] | None:
        """Return a record with as many cells as the header has, if it is a row."""
        width, form, log = self._reading.width, self._reading.form, self._reading.log
        if len(record) == width:
            return record
        if form.strict or not any(cell.strip() for cell in record):
            return None
        if form.fewest <= len(record) < width:
            log.add("short_rows", 1, f"line {start}")
            return [*record, *[""] * (width - len(record))]
        if len(record) > width and not any(cell.strip() for cell in record[width:]):
            log.add("trailing_separators", 1, f"line {start}")
            return record[:width]
        return None

    def _batch(self) -> TextBatch:
        batch = _batch(self._numbers, self._rows, self._ragged, self._reading.form.names)
        self._numbers, self._rows, self._ragged = [], [], []
        return batch


def _batch(
    numbers: Sequence[int], rows: Sequence[Sequence[str]], ragged: Sequence[RaggedRow], names: tuple[str, ...]
) -> TextBatch:
    by_column = list(zip(*rows, strict=True)) or [() for _ in names]
    text = {name: pl.Series(name, values, dtype=pl.String) for name, values in zip(names, by_column, strict=True)}
    return TextBatch(pl.DataFrame({**text, ROW_NUMBER: pl.Series(numbers, dtype=pl.Int64)}), tuple(ragged))


def _stretches(block: bytes, blank: re.Pattern[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Cut a block where many lines in a row are blank; these stretches are marked."""
    at = 0
    for run in blank.finditer(block):
        yield block[at : run.start(1)], False
        yield run[1], True
        at = run.end()
    yield block[at:], False


def _decode(text: bytes, reading: _Reading, *, first_line: int) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise other_encoding(text, error, reading.encoding, filename=reading.filename, line=first_line) from error
