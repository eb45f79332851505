"""The header of a text file: on which line it stands, and by which separator and quotes it and the rows are cut.

It is the first record whose columns are those of the kind; a title, blank rows and a line `sep=;` may stand above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from resources.base.errors import UploadRefused
from resources.uploads.contract.findings import Finding
from resources.uploads.dialects.encoding import FoundEncoding, Readable, other_encoding
from resources.uploads.dialects.quotes import Dialect, begins_curly, records, straight_quotes
from resources.uploads.headers.layout import Recognition

SEPARATORS = (",", ";", "\t", "|")
MAX_HEADER_BYTES = 1024 * 1024
MAX_LINES_ABOVE = 20
_BLOCK_BYTES = 256 * 1024
_BLANK_BLOCK_BYTES = 16 * 1024 * 1024
_SAMPLE_ROWS = 100
_BLANK = b" \t\r\n,;|"
_SEP_LINE = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?[,;\t|]*\s*', re.IGNORECASE)
_SHOWN = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}


Recognise = Callable[[tuple[str, ...]], Recognition]


@dataclass(frozen=True, slots=True)
class HeaderSearch:
    """What to look for: `separator` is given or found, `tabbed` is what the file's name says of it.

    `strict` takes the first line, and no separator but a comma or a tab.
    """

    recognise: Recognise
    separator: str | None = None
    tabbed: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """The header record on line `line`, the line on which data starts, and the bytes that were read beyond the header.

    `encoding` is that of the file; all bytes are UTF-8. `rows` are the first ones, for whoever has to guess.
    """

    fields: tuple[str, ...]
    dialect: Dialect
    line: int
    first_line: int
    rest: bytes
    encoding: FoundEncoding
    findings: tuple[Finding, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A record that may be the header, as `dialect` has it; it takes the lines `start` to `end` of the sample."""

    fields: tuple[str, ...]
    dialect: Dialect
    start: int
    end: int
    recognition: Recognition
    fit: float
    rows: tuple[tuple[str, ...], ...] = field(repr=False)


def read_header(stream: Readable, found: FoundEncoding, search: HeaderSearch, filename: str) -> CsvHeader:
    """Read a stream of UTF-8 as far as the header.

    Raises:
        UploadRefused: `empty_file`; `not_csv`: a line of the header is longer than 1 MiB; `not_utf8` below it.
    """
    start, above = _below_blank_lines(stream)
    more = b""
    while not _has_whole_line(start) and (more := stream.read(_BLOCK_BYTES)):
        start += more
        if len(start) > MAX_HEADER_BYTES:
            raise long_line(filename, MAX_HEADER_BYTES, line=above + 1)
    if not start:
        raise UploadRefused("empty_file", f"{filename} has no text; send a file with a header and at least one row.")
    if not start.endswith((b"\n", b"\r")):
        start += (more := stream.read(_BLOCK_BYTES))
    curly = not search.strict and begins_curly(start)
    lines = start.splitlines(keepends=True)
    used_lines = lines
    if curly:
        lines = [straight_quotes(line) for line in lines]
    if more and len(lines) > 1:
        del lines[-1]  # it may be cut
    best = _strict_header(lines, search) if search.strict else _find_header(lines, search)
    dialect = replace(best.dialect, curly=curly)
    used = sum(map(len, used_lines[: best.end]))
    try:
        start[:used].decode()
    except UnicodeDecodeError as error:
        raise other_encoding(start[:used], error, found, filename=filename, line=above + 1) from error
    return CsvHeader(
        best.fields,
        dialect,
        line=above + best.start + 1,
        first_line=above + best.end + 1,
        rest=start[used:],
        encoding=found,
        findings=()
        if search.strict
        else tuple(_findings(replace(best, dialect=dialect), lines, above, tabbed=search.tabbed)),
        rows=best.rows,
        problem=None if search.strict else _problem(best, lines),
    )


def shown_separator(separator: str) -> str:
    """Return the name of a separator, for people."""
    return _SHOWN.get(separator, separator)


def count_lines(ends: bytes) -> int:
    """Count the lines that some text ends, whatever ends them."""
    return ends.count(b"\n") + ends.count(b"\r") - ends.count(b"\r\n")


def long_line(filename: str, most: int, *, line: int | None = None) -> UploadRefused:
    """Return the refusal of a line that is longer than so many bytes."""
    where = "a line" if line is None else f"line {line}"
    return UploadRefused("not_csv", f"{filename}: {where} is longer than {most:,} bytes; is it CSV?")


def _below_blank_lines(stream: Readable) -> tuple[bytes, int]:
    """Return the text from the first line that holds more than blanks and separators, and how many lines lie above."""
    start, above = stream.read(_BLOCK_BYTES), 0
    while True:
        text = start.lstrip(_BLANK)
        blank = start[: len(start) - len(text)]
        end = max(blank.rfind(b"\n"), blank.rfind(b"\r")) + 1
        if not text and end == len(blank) and blank.endswith(b"\r"):
            end -= 1  # a line feed may follow
        above += count_lines(blank[:end])
        if text:
            return start[end:], above
        more = stream.read(_BLANK_BLOCK_BYTES)
        if not more:
            return b"", above
        start = start[end:] + more


def _has_whole_line(text: bytes) -> bool:
    return b"\n" in text or b"\r" in text[:-1]


def _strict_header(lines: Sequence[bytes], search: HeaderSearch) -> _Found:
    first = lines[0].decode(errors="replace")
    tabbed = search.tabbed or ("\t" in first and "," not in first)
    dialect = Dialect(search.separator or ("\t" if tabbed else ","))
    ((_, end, fields),) = islice(_numbered(lines, dialect), 1)
    return _Found(fields, dialect, 0, end, search.recognise(fields), 1.0, ())


def _find_header(lines: Sequence[bytes], search: HeaderSearch) -> _Found:
    """Return the best reading: complete, then of most columns, then one that the rows fit, then the first."""
    told = _SEP_LINE.fullmatch(lines[0].decode(errors="replace"))
    separators = list(SEPARATORS)
    first = lines[0].decode(errors="replace")
    if search.tabbed or ("\t" in first and "," not in first):
        separators.sort(key=lambda each: each != "\t")
    if told is not None:
        separators = [told[1], *(each for each in separators if each != told[1])]
    if search.separator is not None:
        separators = [search.separator]
    skipped = 1 if told is not None and len(lines) > 1 else 0
    found = [
        each
        for priority, separator in enumerate(separators)
        for quote in ('"', "'")
        for each in _candidates(lines, skipped, Dialect(separator, quote), search.recognise, first=priority == 0)
    ]
    best = max(found, key=_worth)  # the first of equals
    return replace(best, dialect=_with_quotes(best, lines))


def _worth(found: _Found) -> tuple[bool, int, float, int]:
    fit = found.fit if len(found.fields) > 1 else 0.0
    return found.recognition.complete, found.recognition.listed, fit, -found.start


def _candidates(
    lines: Sequence[bytes], skipped: int, dialect: Dialect, recognise: Recognise, *, first: bool
) -> Iterator[_Found]:
    """Yield the records that may be the header: the first one, and those that hold columns of the contract."""
    if dialect.quote == "'" and b"'" not in b"".join(lines[: skipped + MAX_LINES_ABOVE]):
        return
    read = list(islice(_numbered(lines, dialect, skipped), MAX_LINES_ABOVE + _SAMPLE_ROWS))
    for number, (start, end, fields) in enumerate(read[: MAX_LINES_ABOVE + 1]):
        recognition = recognise(fields) if fields else Recognition(complete=False, listed=0)
        if number and not recognition.listed:
            continue
        if dialect.quote == "'" and not lines[start].startswith(b"'"):
            continue
        # A header of one column is the same whatever the separator is.
        if len(fields) == 1 and not first and recognition.listed:
            continue
        rows = tuple(row for _, _, row in read[number + 1 : number + 1 + _SAMPLE_ROWS] if any(map(str.strip, row)))
        yield _Found(fields, dialect, start, end, recognition, _fit(rows, len(fields)), rows)


def _numbered(lines: Sequence[bytes], dialect: Dialect, skipped: int = 0) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield each record of some lines that is not empty, and the lines that it takes."""
    taken = skipped

    def texts() -> Iterator[str]:
        nonlocal taken
        for line in lines[skipped:]:
            taken += 1
            yield line.decode(errors="replace")

    start = taken
    for record in records(texts(), dialect):
        if record or not start:
            yield start, taken, tuple(record)
        start = taken


def _fit(rows: Sequence[tuple[str, ...]], width: int) -> float:
    """Return the share of rows that have so many fields, those behind them empty."""
    fitting = sum(len(row) == width or (len(row) > width and not any(row[width:])) for row in rows)
    return fitting / len(rows) if rows else 1.0


def _with_quotes(found: _Found, lines: Sequence[bytes]) -> Dialect:
    """Say whether the rows below a header are in single quotes: all cells are, or the rows only fit so.

    Apostrophes are letters like any other elsewhere.
    """
    if found.dialect.quote == "'":
        return found.dialect
    single = replace(found.dialect, quote="'")
    texts = [line.decode(errors="replace").rstrip("\r\n") for line in lines[found.end : found.end + _SAMPLE_ROWS]]
    texts = [text for text in texts if text.strip()]
    separator = re.escape(found.dialect.separator)
    quoted = re.compile(rf"(?:^|(?<={separator}))'(?:[^']|'')*'(?={separator}|$)")
    if not texts or not all(quoted.search(text) for text in texts):
        return found.dialect
    rows = [tuple(row) for row in records(texts, single)]
    if _fit(rows, len(found.fields)) < 1:
        return found.dialect
    full = all(
        len(quoted.findall(text)) == sum(cell != "" for cell in row) for text, row in zip(texts, rows, strict=False)
    )
    return single if full or found.fit < 1 else found.dialect


def _problem(found: _Found, lines: Sequence[bytes]) -> str | None:
    """Say why the rows cannot be what the header says; None when they can, or nobody knows."""
    width = len(found.fields)
    if not found.recognition.complete or width == 1 or found.fit > 0:
        return None
    texts = [line.decode(errors="replace") for line in lines[found.end : found.end + _SAMPLE_ROWS]]
    for other in SEPARATORS:
        rows = [tuple(row) for row in records(texts, Dialect(other)) if row]
        if other != found.dialect.separator and _fit(rows, width) == 1:
            between = f"between its names, and {shown_separator(other)} between the cells of the rows"
            return f"the header has {shown_separator(found.dialect.separator)} {between}"
    return None


def _findings(found: _Found, lines: Sequence[bytes], above: int, *, tabbed: bool) -> Iterator[Finding]:
    if found.dialect.separator != ("\t" if tabbed else ","):
        yield Finding("other_separator", None, 1, (shown_separator(found.dialect.separator),))
    if found.dialect.quote == "'":
        yield Finding("single_quotes", None, 1)
    if found.dialect.curly:
        yield Finding("curly_quotes", None, 1)
    over = [line.decode(errors="replace").strip() for line in lines[: found.start]]
    if over and _SEP_LINE.fullmatch(over[0]):
        yield Finding("separator_line", None, 1, (over[0],))
        over = over[1:]
    texts = tuple(line for line in over if line.strip(_BLANK.decode()))
    if texts:
        yield Finding("lines_above_header", None, len(texts), texts[:3])
    if len(over) > len(texts) or above:
        yield Finding("blank_rows", None, above + len(over) - len(texts))
