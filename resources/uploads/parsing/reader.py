"""An upload as a table of text: what its columns are, and batches of rows under the names of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from resources.base.errors import FieldProblem, UploadRefused
from resources.tenants.settings import FileMapping, UploadSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.findings import Finding, FindingLog
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.contract.report import FileReading
from resources.uploads.dialects.encoding import DecodedStream, Encoding, FoundEncoding, ReadAgain, find_encoding
from resources.uploads.dialects.header import CsvHeader, HeaderSearch, read_header
from resources.uploads.headers.layout import Layout, read_headers, recognise
from resources.uploads.headers.proposal import SAMPLE_ROWS, Sample, refuse_repeated, refuse_what_is_missing
from resources.uploads.headers.variants import Continuations
from resources.uploads.parsing.csv_reader import TextBatch, read_batches
from resources.uploads.parsing.parquet_table import ParquetRows
from resources.uploads.parsing.row_shape import FileColumns, RowShape, kept_columns
from resources.uploads.parsing.uploaded_file import (
    Format,
    LimitedStream,
    UploadedFile,
    refuse_misnamed,
    refuse_other_text,
    refuse_what_is_not_text,
    text_exceeds,
)

_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TextTable:
    """How the columns are read, and the rows as batches of text under the internal names of the headers, read once.

    `reading` is how the file is read, without its columns. `consumed` tells how many bytes of the source the batches so
    far have taken, `findings` what was noticed in them, `continuations` which of their rows went on with the item of
    the row above.
    """

    layout: Layout
    batches: Iterator[TextBatch]
    consumed: Callable[[], int]
    continuations: Continuations
    reading: FileReading
    findings: Callable[[], tuple[Finding, ...]]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What decides how a file is read; `encoding` is what a first reading has found.

    `complete` says that a file which lacks a required column is refused.
    """

    kind: Kind
    settings: UploadSettings
    encoding: Encoding | None
    complete: bool = True

    @property
    def strict(self) -> bool:
        return self.settings.strictness == "strict"

    @property
    def mapping(self) -> FileMapping:
        return self.settings.mappings.get(self.kind.value, FileMapping())


@contextmanager
def open_table(
    file: UploadedFile,
    kind: Kind,
    *,
    settings: UploadSettings,
    max_bytes: int,
    limits: UploadLimits,
    encoding: Encoding | None = None,
    complete: bool = True,
) -> Iterator[TextTable]:
    """Open an upload of any accepted format. `encoding` is what `ReadAgain` said, if it was opened before.

    With `complete`, a file that lacks a required column is refused.

    Raises:
        TooLarge: the text is over `max_bytes`, compressed or not, or there are too many rows.
        TakesLong: it is too much work for the answer that `limits` say somebody waits for.
        ReadAgain: the file is in another encoding than its start; only while batches are read.
        UploadRefused: the file cannot be read at all. All of them may also be raised while batches are read.
    """
    table = _open_parquet if file.format is Format.PARQUET else _open_text
    with table(file, _Rules(kind, settings, encoding, complete), max_bytes=max_bytes, limits=limits) as opened:
        counted = _counted(opened.batches, limits, file.filename)
        if settings.strictness == "lenient":
            counted = _continued(counted, opened.continuations)
        yield replace(opened, batches=counted)


def read_head(
    file: UploadedFile,
    kind: Kind,
    *,
    settings: UploadSettings,
    max_bytes: int,
    limits: UploadLimits,
    encoding: Encoding | None = None,
) -> tuple[tuple[str, ...], Sample]:
    """Return the headers of an upload and the cells of its first rows, whatever its columns are.

    Raises:
        TooLarge, TakesLong, UploadRefused: as in `open_table`.
    """
    opened = open_table(
        file, kind, settings=settings, max_bytes=max_bytes, limits=limits, encoding=encoding, complete=False
    )
    try:
        with opened as table:
            names = table.layout.names
            first = next((batch.frame.head(SAMPLE_ROWS) for batch in table.batches), None)
            cells = () if first is None else tuple(tuple(first[name].fill_null("").to_list()) for name in names)
            return table.layout.headers, cells
    except ReadAgain as again:
        return read_head(file, kind, settings=settings, max_bytes=max_bytes, limits=limits, encoding=again.encoding)


def _continued(batches: Iterator[TextBatch], continuations: Continuations) -> Iterator[TextBatch]:
    for batch in batches:
        yield replace(batch, frame=continuations.fill(batch.frame))


def _counted(batches: Iterator[TextBatch], limits: UploadLimits, filename: str) -> Iterator[TextBatch]:
    rows = 0
    for batch in batches:
        rows += batch.frame.height + len(batch.ragged)
        limits.check_rows(rows, filename)
        yield batch


@contextmanager
def _open_parquet(file: UploadedFile, rules: _Rules, *, max_bytes: int, limits: UploadLimits) -> Iterator[TextTable]:
    log = FindingLog()
    rows = ParquetRows(file, max_bytes=max_bytes, limits=limits, log=log)
    rows.leave_out(read_headers(rules.kind, rows.headers, rules.settings), strict=rules.strict)
    columns = FileColumns(rows.headers)
    layout, shape = _columns(columns, rules, file.filename, log, sample=rows.sample)
    yield TextTable(
        layout,
        shape.finished(rows.batches(shape.form.names), log),
        lambda: rows.consumed,
        Continuations(rules.kind, layout),
        FileReading(format="parquet"),
        lambda: log.findings,
    )


@contextmanager
def _open_text(file: UploadedFile, rules: _Rules, *, max_bytes: int, limits: UploadLimits) -> Iterator[TextTable]:
    if limits.at_once_bytes is not None and text_exceeds(file, limits.at_once_bytes):
        raise TakesLong
    with file.open() as raw:
        stream = LimitedStream(raw, file=file, max_bytes=max_bytes)
        start = stream.read(_HEADER_BYTES)
        if rules.strict:
            refuse_misnamed(file)
        refuse_what_is_not_text(start, file.filename)
        found, unread = _encoding(start, file, rules)
        text = DecodedStream(stream, start, found, filename=file.filename)
        refuse_other_text(text.start, file.filename)
        header = read_header(text, found, _search(file, rules), file.filename)
        log = FindingLog()
        columns = FileColumns(header.fields, header.rows, header.dialect.separator)
        problems = [] if unread is None else [unread]
        if header.problem is not None:
            problems.append(UploadRefused("not_csv", f"{file.filename}: {header.problem}."))
        with _all_at_once(problems):
            layout, shape = _columns(columns, rules, file.filename, log, sample=columns.sample)
        yield TextTable(
            layout,
            shape.finished(read_batches(text, header, shape.form, file.filename, log=log), log),
            raw.tell,
            Continuations(rules.kind, layout),
            _reading(header),
            lambda: (*header.findings, *text.findings, *log.findings),
        )


def _columns(
    file: FileColumns,
    rules: _Rules,
    filename: str,
    log: FindingLog,
    *,
    sample: Callable[[tuple[int, ...]], Sample],
) -> tuple[Layout, RowShape]:
    """Decide what the columns are and what a row is. `sample` gives the first cells of some columns, if it is asked."""
    kept = kept_columns(rules.kind, file, rules.settings, filename=filename, log=log)
    headers = tuple(file.headers[place] for place in kept.places)
    layout = read_headers(rules.kind, headers, rules.settings)
    if rules.complete:
        refuse_what_is_missing(
            rules.kind,
            headers,
            layout,
            rules.settings,
            filename=filename,
            separator=file.separator,
            sample=lambda: sample(kept.places),
        )
    refuse_repeated(layout, rules.settings, filename=filename)
    return layout, RowShape.of(rules.kind, file.headers, kept, layout, strict=rules.strict)


@contextmanager
def _all_at_once(problems: list[UploadRefused]) -> Iterator[None]:
    """Refuse a file with these problems and the one that the block raises, all in one message."""
    details: tuple[FieldProblem, ...] = ()
    try:
        yield
    except UploadRefused as last:
        problems, details = [*problems, last], last.details
    if problems:
        message = " ".join(problem.message for problem in problems)
        raise UploadRefused(problems[0].reason, message, details=details)


def _encoding(start: bytes, file: UploadedFile, rules: _Rules) -> tuple[FoundEncoding, UploadRefused | None]:
    """Return the encoding; where it cannot be told, the refusal too, which waits for what else is wrong."""
    asked = rules.mapping.encoding
    find = partial(find_encoding, again=rules.encoding, strict=rules.strict, filename=file.filename)
    try:
        return find(start, asked=None if asked is None else Encoding(asked)), None
    except UploadRefused as problem:
        if rules.strict or start.count(0) > len(start) // 16:
            raise
        return FoundEncoding(Encoding.WINDOWS_1252, "latin-1"), problem


def _search(file: UploadedFile, rules: _Rules) -> HeaderSearch:
    return HeaderSearch(
        lambda fields: recognise(rules.kind, fields, rules.settings),
        separator=rules.mapping.separator,
        tabbed=file.format in (Format.TSV, Format.TSV_GZ),
        strict=rules.strict,
    )


def _reading(header: CsvHeader) -> FileReading:
    return FileReading(
        format="tsv" if header.dialect.separator == "\t" else "csv",
        encoding=header.encoding.encoding.value,
        separator=header.dialect.separator,
        header_line=header.line,
    )
