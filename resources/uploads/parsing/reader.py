"""An upload as a table of text: checked headers, and batches of rows under the names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from resources.base.errors import UploadRefused
from resources.tenants.settings import FileMapping, UploadSettings
from resources.uploads.contract.columns import DELETED, ColumnSpec, Kind, ValueType, columns, internal_names
from resources.uploads.contract.findings import Finding, FindingLog
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.contract.report import FileReading
from resources.uploads.dialects.encoding import DecodedStream, Encoding, FoundEncoding, find_encoding
from resources.uploads.dialects.header import CsvHeader, HeaderSearch, Recognition, read_header
from resources.uploads.parsing.csv_reader import TextBatch, read_batches
from resources.uploads.parsing.parquet_table import ParquetRows
from resources.uploads.parsing.row_shape import Columns, RowShape, row_shape
from resources.uploads.parsing.uploaded_file import (
    Format,
    LimitedStream,
    UploadedFile,
    refuse_other_text,
    refuse_what_is_not_text,
    text_exceeds,
)

_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What decides how a file is read: the tenant's settings, and the encoding that a first reading has found."""

    settings: UploadSettings
    encoding: Encoding | None = None

    @property
    def strict(self) -> bool:
        """Whether only plain files are taken."""
        return self.settings.strictness == "strict"

    def mapping(self, kind: Kind) -> FileMapping:
        """How files of a kind are read."""
        return self.settings.mappings.get(kind.value, FileMapping())


EVERYDAY_RULES = ReadingRules(UploadSettings())


@dataclass(frozen=True, slots=True)
class TextTable:
    """Headers as the file spells them, the internal name of each, and the rows as batches of text, read once.

    `reading` is how the file is read. `consumed` tells how many bytes of the source the batches so far have taken,
    `findings` what was noticed in them.
    """

    headers: tuple[str, ...]
    names: tuple[str, ...]
    batches: Iterator[TextBatch]
    consumed: Callable[[], int]
    reading: FileReading
    findings: Callable[[], tuple[Finding, ...]]


@contextmanager
def open_table(
    file: UploadedFile, kind: Kind, *, max_bytes: int, limits: UploadLimits, rules: ReadingRules = EVERYDAY_RULES
) -> Iterator[TextTable]:
    """Open an upload of any accepted format.

    Raises:
        TooLarge: the text is over `max_bytes`, compressed or not, or there are too many rows.
        TakesLong: it is too much work for the answer that `limits` say somebody waits for.
        ReadAgain: the file is in another encoding than its start; only while batches are read.
        UploadRefused: the file cannot be read at all. All of them may also be raised while batches are read.
    """
    table = _open_parquet if file.format is Format.PARQUET else _open_text
    with table(file, kind, max_bytes=max_bytes, limits=limits, rules=rules) as opened:
        yield replace(opened, batches=_counted(opened.batches, limits, file.filename))


def _counted(batches: Iterator[TextBatch], limits: UploadLimits, filename: str) -> Iterator[TextBatch]:
    rows = 0
    for batch in batches:
        rows += batch.frame.height + len(batch.ragged)
        limits.check_rows(rows, filename)
        yield batch


@contextmanager
def _open_parquet(
    file: UploadedFile, kind: Kind, *, max_bytes: int, limits: UploadLimits, rules: ReadingRules
) -> Iterator[TextTable]:
    log = FindingLog()
    rows = ParquetRows(file, max_bytes=max_bytes, limits=limits, log=log)
    headers, names = rows.leave_out(_checked_names(kind, rows.headers, file.filename), strict=rules.strict)
    shape = _shape(kind, Columns(headers, names), rules, file.filename, log)
    yield TextTable(
        shape.headers,
        shape.kept,
        shape.finished(rows.batches(shape.form.names), log),
        lambda: rows.consumed,
        FileReading(format="parquet"),
        lambda: log.findings,
    )


@contextmanager
def _open_text(
    file: UploadedFile, kind: Kind, *, max_bytes: int, limits: UploadLimits, rules: ReadingRules
) -> Iterator[TextTable]:
    if limits.at_once_bytes is not None and text_exceeds(file, limits.at_once_bytes):
        raise TakesLong
    with file.open() as raw:
        stream = LimitedStream(raw, file=file, max_bytes=max_bytes)
        start = stream.read(_HEADER_BYTES)
        refuse_what_is_not_text(start, file.filename)
        found, problem = _encoding(start, kind, file, rules)
        text = DecodedStream(stream, start, found, filename=file.filename)
        refuse_other_text(text.start, file.filename)
        header = read_header(text, found, _search(kind, file, rules), file.filename)
        names = _checked_header(kind, header, file.filename, problem)
        log = FindingLog()
        shape = _shape(kind, Columns(header.fields, names, header.rows), rules, file.filename, log)
        batches = read_batches(text, header, shape.form, file.filename, log=log)
        yield TextTable(
            shape.headers,
            shape.kept,
            shape.finished(batches, log),
            raw.tell,
            _reading(file, header),
            lambda: (*header.findings, *text.findings, *log.findings),
        )


def _encoding(
    start: bytes, kind: Kind, file: UploadedFile, rules: ReadingRules
) -> tuple[FoundEncoding, UploadRefused | None]:
    """Return the encoding; where it cannot be told, the refusal too, which waits for what else is wrong."""
    asked = rules.mapping(kind).encoding
    try:
        return (
            find_encoding(
                start,
                asked=None if asked is None else Encoding(asked),
                again=rules.encoding,
                strict=rules.strict,
                filename=file.filename,
            ),
            None,
        )
    except UploadRefused as problem:
        if rules.strict or b"\0" in start:
            raise
        return FoundEncoding(Encoding.WINDOWS_1252, "latin-1"), problem


def _search(kind: Kind, file: UploadedFile, rules: ReadingRules) -> HeaderSearch:
    return HeaderSearch(
        partial(_recognised, kind),
        separator=rules.mapping(kind).separator,
        tabbed=file.format in (Format.TSV, Format.TSV_GZ),
        strict=rules.strict,
    )


def _recognised(kind: Kind, fields: tuple[str, ...]) -> Recognition:
    names = internal_names(kind, fields)
    listed = {column.name for column in columns(kind)} & set(names)
    return Recognition(complete=not _missing(kind, names), listed=len(listed))


def _reading(file: UploadedFile, header: CsvHeader) -> FileReading:
    return FileReading(
        format="tsv" if header.dialect.separator == "\t" else "csv",
        encoding=header.encoding.encoding.value,
        separator=header.dialect.separator,
        header_line=header.line,
    )


def _shape(kind: Kind, columns: Columns, rules: ReadingRules, filename: str, log: FindingLog) -> RowShape:
    required = {column.name for column in _required(kind, columns.names)}
    return row_shape(columns, required=required, strict=rules.strict, filename=filename, log=log)


def _checked_header(kind: Kind, header: CsvHeader, filename: str, unread: UploadRefused | None) -> tuple[str, ...]:
    """Return the names of the columns, or refuse the file for all that is wrong with it at once."""
    problems = [] if unread is None else [unread]
    names: tuple[str, ...] = ()
    try:
        names = _checked_names(kind, header.fields, filename, header)
    except UploadRefused as problem:
        problems.append(problem)
    if header.problem is not None:
        message = f"{filename}: {header.problem}; use one of them in the whole file."
        problems.append(UploadRefused("not_csv", message))
    if problems:
        raise UploadRefused(problems[0].reason, " ".join(problem.message for problem in problems))
    return names


def _checked_names(
    kind: Kind, fields: tuple[str, ...], filename: str, header: CsvHeader | None = None
) -> tuple[str, ...]:
    if not fields:
        raise UploadRefused("no_header", f"{filename} has 0 columns; send those needed.")
    names = internal_names(kind, fields)
    missing = _missing(kind, names)
    if missing:
        wanted = ", ".join(f"{c.name} (or {c.alias})" if c.alias else c.name for c in missing)
        found = ", ".join(field.strip()[:60] for field in fields[:30])
        required = ", ".join(column.name for column in columns(kind) if column.required)
        if not any(column.name in names for column in columns(kind)):
            raise UploadRefused(
                "no_header",
                f"{filename}: the first line is not a header for {kind}; it reads: {found}. "
                f"Put the column names on the first line; required are: {required}.",
            )
        raise UploadRefused(
            "missing_column", f"{filename} lacks the required column {wanted}. Found: {found}. Add it or rename one."
        )
    return names


def _missing(kind: Kind, names: tuple[str, ...]) -> list[ColumnSpec]:
    return [column for column in _required(kind, names) if column.name not in names]


def _required(kind: Kind, names: tuple[str, ...]) -> list[ColumnSpec]:
    """Return the columns that no file with these goes without: one that only deletes needs no titles."""
    return [
        column
        for column in columns(kind)
        if column.required and not (DELETED in names and column.value_type is ValueType.TEXT)
    ]
