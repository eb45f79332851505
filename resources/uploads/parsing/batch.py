"""Checking one batch of text rows: which are valid, with typed values, and every reason why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from resources.base.errors import UploadRefused
from resources.uploads.contract.columns import (
    DELETED,
    MAX_TEXT_BYTES,
    REJECTED_REASON,
    REJECTED_ROW,
    Kind,
    accepted_schema,
    columns,
    id_column,
)
from resources.uploads.contract.report import MAX_LISTED_ERRORS, MAX_VALUE_CHARACTERS, RowError
from resources.uploads.parsing.csv_reader import ROW_NUMBER, RaggedRow, TextBatch
from resources.uploads.parsing.mapping import clean_and_parse, clean_text
from resources.uploads.parsing.validation import ValidationRule, extra_column_rule, failing_rows, parsed

WRONG_FIELD_COUNT = "row.wrong_field_count"
OPEN_QUOTE = "row.open_quote"
_MAX_BROKEN = 63


@dataclass(frozen=True, slots=True)
class CheckedBatch:
    """A batch after the rules.

    `valid` has the columns of an accepted row without `upload_id`. `rejected` has `rejected_row`, `rejected_reason` and
    the text as it was sent. `errors` lists the first ones only, `errors_by_rule` counts all.
    """

    valid: pl.DataFrame
    rejected: pl.DataFrame
    errors: tuple[RowError, ...]
    errors_by_rule: dict[str, int]


def check_batch(
    batch: TextBatch, *, kind: Kind, rules: Sequence[ValidationRule], types: Mapping[str, str]
) -> CheckedBatch:
    """Parse a batch and apply the rules to its rows; rows with the wrong number of fields have that one reason."""
    text = batch.frame
    frame, rules = _parsed_frame(text, kind, rules, types)
    failing = failing_rows(frame, rules)
    broken = [rule for rule in rules if rule.code in failing]
    if len(broken) > _MAX_BROKEN:  # each is a bit of a number
        raise UploadRefused("not_csv", f"Texts of {len(broken)} columns are enormous; is the file what it should be?")
    valid, rejected = frame, _no_rejected(text)
    errors: tuple[RowError, ...] = ()
    if broken:
        bits = pl.select(
            pl.sum_horizontal(pl.lit(failing[rule.code]).cast(pl.UInt64) * 2**i for i, rule in enumerate(broken))
        ).to_series()
        good, bad = bits == 0, bits != 0
        valid, bits = frame.filter(good), bits.filter(bad)
        rejected = _rejected(text.filter(bad), reasons=_reasons(bits, broken))
        errors = _listed_errors(text.filter(bad), bits, broken, kind)
    counts = {rule.code: int(failing[rule.code].sum()) for rule in broken}
    if batch.ragged:
        names = text.columns[:-1]
        rejected = pl.concat([rejected, _ragged_frame(batch.ragged, names)]).sort(REJECTED_ROW)
        wrong = tuple(
            RowError(row=r.row, column=None, error=_ragged_reason(r, len(names)), value=cut(",".join(r.fields[:20])))
            for r in batch.ragged[:MAX_LISTED_ERRORS]
        )
        errors = first_errors((*errors, *wrong))
        counts.update(Counter(OPEN_QUOTE if row.open_quote else WRONG_FIELD_COUNT for row in batch.ragged))
    return CheckedBatch(_typed(valid, kind), rejected, errors, counts)


def rejected_rows(text: pl.DataFrame, reasons: pl.Series) -> pl.DataFrame:
    """Return rows of text in the shape of `CheckedBatch.rejected`."""
    return _rejected(text, reasons=reasons)


def first_errors(errors: Sequence[RowError]) -> tuple[RowError, ...]:
    """Return the errors of the first lines of the file, as many as a report lists."""
    return tuple(sorted(errors, key=lambda error: error.row)[:MAX_LISTED_ERRORS])


def cut(value: str | None) -> str | None:
    """Return the value as a report shows it: short, and null when there is none."""
    return value[:MAX_VALUE_CHARACTERS] if value else None


def row_error(kind: Kind, row: Mapping[str, object], column: str, error: str) -> RowError:
    """Return the error of one row of text, which has the internal names and `row_number`."""

    def cell(name: str) -> str | None:
        value = row.get(name)
        return str(value) if value else None

    return RowError(
        row=int(str(row[ROW_NUMBER])),
        column=column.removeprefix("extra_"),
        error=error,
        value=cut(cell(column)),
        item_id=None if kind is Kind.USERS else cut((cell("item_id") or "").strip()),
        user_id=None if id_column(kind) != "user_id" and kind is Kind.ITEMS else cut((cell("user_id") or "").strip()),
    )


def _parsed_frame(
    text: pl.DataFrame, kind: Kind, rules: Sequence[ValidationRule], types: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[ValidationRule, ...]]:
    """Return cleaned text and parsed values of the listed columns, and the rules that can fail in this file."""
    present = set(text.columns)
    listed = [spec for spec in columns(kind) if spec.name in present]
    series: list[pl.Series] = []
    for spec in listed:
        cleaned, values = clean_and_parse(text[spec.name], spec.value_type, types)
        series += [cleaned.alias(spec.name), values.alias(parsed(spec.name))]
    frame = text.with_columns(series)
    # Rules of absent columns that may be needed all the same.
    absent = [spec for spec in columns(kind) if spec.name in ("rating", "title") and spec.name not in present]
    for spec in absent:
        frame = frame.with_columns(
            pl.lit(None, dtype=pl.String).alias(spec.name), pl.lit(None, dtype=spec.dtype).alias(parsed(spec.name))
        )
    if DELETED not in present:
        frame = frame.with_columns(pl.lit(False).alias(parsed(DELETED)))
    # A rule takes milliseconds even where there is nothing to find, and there may be hundreds of these columns.
    longest = next(text.select(cs.starts_with("extra_").str.len_bytes().max()).iter_rows(named=True), {})
    extras = [extra_column_rule(name) for name, length in longest.items() if (length or 0) > MAX_TEXT_BYTES]
    return frame, (*(rule for rule in rules if rule.column in frame.columns), *extras)


def _typed(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    schema = accepted_schema(kind)
    listed = [
        pl.col(parsed(spec.name)).alias(spec.name)
        if parsed(spec.name) in frame.columns
        else pl.lit(None, dtype=schema[spec.name]).alias(spec.name)
        for spec in columns(kind)
    ]
    extras = [clean_text(frame[name]) for name in frame.columns if name.startswith("extra_")]
    typed = frame.select(*listed, *extras, ROW_NUMBER)
    typed = typed.with_columns(pl.col(DELETED).fill_null(False))
    return typed.with_columns(pl.col("available").fill_null(True)) if kind is Kind.ITEMS else typed


def _reasons(bits: pl.Series, rules: Sequence[ValidationRule]) -> pl.Series:
    """Spell out each combination of broken rules once; there are few, however many rows."""
    combinations = bits.unique().to_list()
    sentences = ["; ".join(f"{_shown(r.column)} {r.error}" for r in _broken(bit, rules)) for bit in combinations]
    return bits.replace_strict(combinations, sentences, return_dtype=pl.String)


def _broken(bits: int, rules: Sequence[ValidationRule]) -> list[ValidationRule]:
    return [rule for i, rule in enumerate(rules) if bits >> i & 1]


def _shown(column: str) -> str:
    return column.removeprefix("extra_")


def _listed_errors(
    text: pl.DataFrame, bits: pl.Series, rules: Sequence[ValidationRule], kind: Kind
) -> tuple[RowError, ...]:
    head = text.head(MAX_LISTED_ERRORS)
    return tuple(
        row_error(kind, row, rule.column, rule.error)
        for row, bit in zip(head.iter_rows(named=True), bits.head(MAX_LISTED_ERRORS), strict=True)
        for rule in _broken(bit, rules)
    )[:MAX_LISTED_ERRORS]


def _rejected(text: pl.DataFrame, *, reasons: pl.Series) -> pl.DataFrame:
    return text.select(pl.col(ROW_NUMBER).alias(REJECTED_ROW), reasons.alias(REJECTED_REASON), pl.exclude(ROW_NUMBER))


def _no_rejected(text: pl.DataFrame) -> pl.DataFrame:
    return _rejected(text.clear(), reasons=pl.Series([], dtype=pl.String))


def _ragged_reason(ragged: RaggedRow, width: int) -> str:
    if ragged.open_quote:
        return f"a quote is opened and never closed, so the row runs to line {ragged.last_line}, the last"
    reason = f"the row has {len(ragged.fields)} fields and the header has {width}"
    if ragged.last_line > ragged.row:
        reason += f"; it runs to line {ragged.last_line}: look for a quote that is not closed"
    return reason


def _ragged_frame(rows: Sequence[RaggedRow], names: Sequence[str]) -> pl.DataFrame:
    """Return ragged rows with their fields from the left, as many as there are headers."""
    padded = [(*row.fields, *[""] * len(names))[: len(names)] for row in rows]
    cells = {name: [row[i] for row in padded] for i, name in enumerate(names)}
    reasons = [_ragged_reason(row, len(names)) for row in rows]
    ours: dict[str, list[int] | list[str]] = {REJECTED_ROW: [row.row for row in rows], REJECTED_REASON: reasons}
    schema = {REJECTED_ROW: pl.Int64, REJECTED_REASON: pl.String, **dict.fromkeys(names, pl.String)}
    return pl.DataFrame({**ours, **cells}, schema=schema)
