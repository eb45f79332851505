"""What a right answer to a file is, and what of an answer is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from resources.uploads.contract.report import UploadReport

Cell = object
Cells = Mapping[int, Mapping[str, Cell]]
ANY = None
"""As a count: at least one."""


@dataclass(frozen=True)
class AnyOf:
    """One of several values; each is right."""

    values: tuple[Cell, ...]

    def __init__(self, *values: Cell) -> None:
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Refused:
    """The file is refused whole, and the message holds all of `words`; of a tuple of words any."""

    words: tuple[str | tuple[str, ...], ...]


@dataclass(frozen=True)
class Taken:
    """The file is read: `rows` is how many are accepted, rejected and duplicates.

    Args:
        rows: three numbers, or ranges of them.
        cells: by line of the file, of named columns what is stored; times as ISO 8601.
        maybe: lines of `cells` that need not be accepted.
        reading: fields of the report's `reading`.
        columns: of columns of the contract, fields of their reading.
        noticed: columns of the contract (None: the file) that the notes or warnings must name, with the count.
        errors: counts of the report's `errors_by_rule`.
        said: words that the reasons of the rejected rows must hold; of a tuple any.
        types: the statistics' interaction types.
    """

    rows: tuple[int | range, int | range, int | range]
    cells: Cells = field(default_factory=dict)
    maybe: frozenset[int] = frozenset()
    reading: Mapping[str, object] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    noticed: Mapping[str | None, int | None] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    said: tuple[str | tuple[str, ...], ...] = ()
    types: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Case:
    """A file's kind, the answers that are right (any of them), and settings of its tenant by dotted name."""

    kind: str
    right: tuple[Taken | Refused, ...]
    settings: Mapping[str, object] = field(default_factory=dict)


def problems(case: Case, answer: UploadReport | str, accepted: pl.DataFrame | None) -> list[str]:
    """Return what is not right about an answer, the shortest list of those for the right answers.

    `answer` is the report, or the message of the refusal; `accepted` are the stored rows.
    """
    return min((list(_differences(right, answer, accepted)) for right in case.right), key=len)


def _differences(right: Taken | Refused, answer: UploadReport | str, accepted: pl.DataFrame | None) -> Iterator[str]:
    if isinstance(right, Refused):
        if isinstance(answer, str):
            yield from _lacking(answer, right.words)
        else:
            yield f"should be refused, naming {right.words}, and was {answer.status}: {_counts(answer)}"
        return
    if isinstance(answer, str):
        yield f"should be read, and was refused: {answer}"
        return
    yield from _of_report(right, answer)
    if accepted is not None:
        yield from _of_cells(right, accepted)


def _of_report(right: Taken, report: UploadReport) -> Iterator[str]:
    counts = (report.rows_accepted, report.rows_rejected, report.rows_duplicate)
    if not all(_within(count, wanted) for count, wanted in zip(counts, right.rows, strict=True)):
        errors = [f"line {each.row}: {each.column} {each.error}" for each in report.validation_errors[:3]]
        yield f"rows should be {right.rows} (accepted, rejected, duplicate) and are {counts}; {errors}"
    for rule, count in right.errors.items():
        if report.errors_by_rule.get(rule) != count:
            yield f"errors_by_rule should have {rule}: {count}, and is {report.errors_by_rule}"
    yield from _lacking(" ".join(each.error for each in report.validation_errors), right.said)
    if right.types is not None and report.statistics.interaction_types != right.types:
        yield f"interaction types should be {right.types} and are {report.statistics.interaction_types}"
    yield from _of_reading(right, report)
    findings = [*report.notes, *report.warnings]
    for column, times in right.noticed.items():
        counted = [each.count for each in findings if each.column == column]
        if not counted or (times is not None and times not in counted):
            noted = [(each.code, each.column, each.count) for each in findings]
            yield f"the report should say something of {column} ({times or 'some'} times), and says {noted}"


def _of_reading(right: Taken, report: UploadReport) -> Iterator[str]:
    if not (right.reading or right.columns):
        return
    if report.reading is None:
        yield "the report has no reading"
        return
    for name, value in right.reading.items():
        found = getattr(report.reading, name)
        if not _same(found, value):
            yield f"reading.{name} should be {value!r} and is {found!r}"
    read = {each.column: each for each in report.reading.columns if each.column}
    for column, fields in right.columns.items():
        for name, value in fields.items():
            found = getattr(read[column], name) if column in read else "no such column"
            if not _same(found, value):
                yield f"reading of {column}: {name} should be {value!r} and is {found!r}"


def _of_cells(right: Taken, accepted: pl.DataFrame) -> Iterator[str]:
    lines = {row["row_number"]: row for row in accepted.iter_rows(named=True)}
    for line, wanted in right.cells.items():
        if line not in lines:
            if line not in right.maybe:
                yield f"line {line} should be accepted"
            continue
        for column, value in wanted.items():
            found = _shown(lines[line].get(column))
            if not _same(found, value):
                yield f"line {line}: {column} should be {value!r} and is {found!r}"


def _lacking(text: str, words: Sequence[str | tuple[str, ...]]) -> Iterator[str]:
    for word in words:
        choices = (word,) if isinstance(word, str) else word
        if not any(choice.lower() in text.lower() for choice in choices):
            yield f"should say {' or '.join(choices)}: {text[:300]!r}"


def _same(found: object, wanted: object) -> bool:
    return found in wanted.values if isinstance(wanted, AnyOf) else found == wanted


def _within(count: int, wanted: int | range) -> bool:
    return count in wanted if isinstance(wanted, range) else count == wanted


def _shown(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _counts(report: UploadReport) -> str:
    return f"{report.rows_accepted} accepted, {report.rows_rejected} rejected, {report.rows_duplicate} duplicate"
