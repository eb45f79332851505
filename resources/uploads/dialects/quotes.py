"""The signs around cells: how they cut lines into records, and those that an export did not write as it should."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_CURLY = ("\u201c".encode(), "\u201d".encode(), "\u201e".encode())
_CURLY_QUOTES = re.compile(
    rb"(?:(?<=[,;\t|])|^)\xe2\x80[\x9c\x9d\x9e]|\xe2\x80[\x9c\x9d](?=[,;\t|\r\n]|\Z)", re.MULTILINE
)
_BACKSLASHED = re.compile(rb'(?<!\\)((?:\\\\)*)\\"')
"""A quote behind an odd number of backslashes."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The signs between the cells of a row and around a cell; `curly` quotes are made straight first."""

    separator: str = ","
    quote: str = '"'
    curly: bool = False


def records(lines: Iterable[str], dialect: Dialect, *, strict: bool = False) -> Iterator[list[str]]:
    """Cut lines into records; `strict` raises `csv.Error` for a quote that stands where none should."""
    csv.field_size_limit(sys.maxsize)  # our own limit is MAX_TEXT_BYTES, which rejects the row and not the file
    return csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote, strict=strict)


def begins_curly(text: bytes) -> bool:
    """Whether the first cell of a text begins with a curly quote."""
    return text.startswith(_CURLY)


def straight_quotes(text: bytes) -> bytes:
    """Return lines with straight quotes for the curly ones around cells."""
    return _CURLY_QUOTES.sub(b'"', text)


def with_doubled_quotes(block: bytes, dialect: Dialect, width: int) -> tuple[bytes, int]:
    """Double the quotes that have a backslash in front, if more rows of `width` fields are right so.

    Return the lines, as long as before, and how many quotes that were.
    """
    if dialect.quote != '"' or b'\\"' not in block:
        return block, 0
    doubled, count = _BACKSLASHED.subn(rb'\1""', block)
    if _misfits(doubled, dialect, width) >= _misfits(block, dialect, width):
        return block, 0
    return doubled, count


def with_inner_quotes_doubled(text: str, dialect: Dialect, width: int) -> str | None:
    """Return a line whose cells have quotes amid their text as a row of `width` fields; None when it is no such line.

    A quote ends a cell only before a separator or the line's end.
    """
    body = text.rstrip("\r\n")
    try:
        next(records([body], dialect, strict=True), None)
        return None
    except csv.Error as error:
        if "expected after" not in str(error):  # a quote that is open at the end of the line
            return None
    quote, separator = dialect.quote, dialect.separator
    closing = re.compile(f"{quote}(?={re.escape(separator)}|$)")
    cells: list[str] = []
    at = 0
    while at <= len(body):
        if body.startswith(quote, at):
            close = closing.search(body, at + 1)
            if close is None:
                return None
            inner = body[at + 1 : close.start()].replace(quote * 2, quote)
            cells.append(f"{quote}{inner.replace(quote, quote * 2)}{quote}")
            at = close.end() + 1
        else:
            end = body.find(separator, at)
            end = len(body) if end < 0 else end
            cells.append(body[at:end])
            at = end + 1
    return separator.join(cells) + text[len(body) :] if len(cells) == width else None


def _misfits(block: bytes, dialect: Dialect, width: int) -> int:
    """Count the records that have other fields than the header, or a quote where none should be."""
    lines = (line.decode(errors="replace") for line in block.splitlines(keepends=True))
    found = records(lines, dialect, strict=True)
    misfits = 0
    while True:
        try:
            record = next(found, None)
        except csv.Error:
            misfits += 1
            continue
        if record is None:
            return misfits
        misfits += bool(record) and len(record) != width
