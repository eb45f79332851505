"""The rules of the data contract, declared once and run by pandera."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors

from resources.base import ids as base_ids
from resources.base.ids import MAX_ID_BYTES
from resources.tenants.settings import TYPES_WITH_PIECES, FileMapping, TenantSettings
from resources.uploads.contract.columns import (
    DELETED,
    MAX_TEXT_BYTES,
    ColumnSpec,
    Kind,
    ValueType,
    columns,
)
from resources.uploads.normalising.ids import CONTROL_CHARACTER, LOST_DIGITS, NOBODY
from resources.uploads.normalising.type_names import TypeNames

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_READING = 2
"""Counts the ways in which cells were read: a row that an earlier one rejected may be read by this one. From 2 on,
which fingerprints begin with, ids have one form."""
FUTURE_ALLOWANCE = timedelta(hours=24)
ABSURD_ALLOWANCE = timedelta(days=366)
"""Beyond that a time is no late clock: its unit or form is another than it looks."""

_NUMBER_PROBLEMS = {
    "not_a_number": "is not a number: write it like 1234.5",
    "ambiguous_number": "could have decimals or thousands: write it like 1234.5, or say which sign stands before "
    "decimals (`decimal` in the mapping of such files)",
    "number_range": "is a range: write one number like 1234.5",
}
_PROBLEMS: dict[ValueType, dict[str, str]] = {
    ValueType.NUMBER: _NUMBER_PROBLEMS,
    ValueType.MONEY: _NUMBER_PROBLEMS,
    ValueType.TIME: {
        "not_a_time": "is not a time: write it like 2024-05-31T14:05:00Z, or as epoch seconds",
        "ambiguous_date": "could be day and month or month and day: write it like 2024-05-31, or say which comes first "
        "(`date_order` in the mapping of such files)",
        "two_digit_year": "has a year of two digits: write it like 2024-05-31",
        "lost_digits": "has lost digits in a spreadsheet or a program: export the column as text",
    },
    ValueType.BOOLEAN: {"not_a_boolean": "is not one of true, false, 1, 0, yes, no"},
}
"""Why a cell of a type cannot be read, by the problem that its normaliser names."""
PROBLEMS = {code: error for errors in _PROBLEMS.values() for code, error in errors.items()}
"""What is wrong with a cell, by the problem that its normaliser names."""


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """One thing a row must satisfy.

    `passes` is evaluated on a frame that holds the cleaned text of each column under its name and the parsed value
    under `parsed(name)`; there always is `parsed(DELETED)`. It never gives null. `error` says in plain words what is
    wrong when it gives false. With `of_problems` it looks at `problem(name)`, which is there when a cell has one.
    """

    column: str
    name: str
    error: str
    passes: pl.Expr
    of_problems: bool = False

    @property
    def code(self) -> str:
        """Key in the report's `errors_by_rule`."""
        return f"{self.column}.{self.name}"


def parsed(column: str) -> str:
    """Name of the parsed value of a column in the frame the rules see."""
    return f"{column}:parsed"


def problem(column: str) -> str:
    """Name of what the normaliser says is wrong with the cells of a column in the frame the rules see."""
    return f"{column}:problem"


def rules_for(kind: Kind, settings: TenantSettings, now: datetime) -> tuple[ValidationRule, ...]:
    """Return every rule of `kind`, in the order of its columns."""
    return tuple(rule for spec in columns(kind) for rule in _rules_of_column(kind, spec, settings, now))


def extra_column_rule(column: str) -> ValidationRule:
    """Return the only rule of an unlisted column: it must not be enormous."""
    return _at_most(column, MAX_TEXT_BYTES)


def failing_rows(frame: pl.DataFrame, rules: Sequence[ValidationRule]) -> dict[str, pl.Series]:
    """Return, for every rule that some row breaks, its code and which rows break it (Boolean, one per row).

    The frame must be eager: pandera checks only the schema of a lazy one, and bad rows would pass.
    """
    by_column: dict[str, list[pa.Check]] = {}
    for rule in rules:
        by_column.setdefault(rule.column, []).append(_check(rule))
    schema = pa.DataFrameSchema(
        {name: pa.Column(pl.String, checks=checks, nullable=True) for name, checks in by_column.items()}
    )
    try:
        # PANDERA_VALIDATION_ENABLED=false in the environment would let every bad row pass.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except SchemaErrors as found:
        return {error.check.name: ~error.check_output.to_series() for error in found.schema_errors}
    return {}


def takes_returns(settings: TenantSettings) -> bool:
    """Whether a quantity below 0 takes pieces back; for a strict tenant it is an error."""
    return settings.uploads.strictness != "strict"


def rules_fingerprint(kind: Kind, settings: TenantSettings) -> str:
    """Return a name for the tenant's settings that decide whether a row of `kind` is accepted, and what it means.

    With a mapping it has a second part behind a hyphen, see `mapping_fingerprint`.
    """
    uploads = settings.uploads
    mapping = uploads.mappings.get(kind.value)
    deciding: list[object] = [uploads.strictness, sorted(uploads.placeholder_ids)]
    if kind is Kind.INTERACTIONS:
        deciding += [sorted(TypeNames.of(settings).names.items()), settings.rating_min, settings.rating_max]
        deciding += ["returns"] if takes_returns(settings) else []
    rules = f"{_READING}:{_digest(deciding)}"
    if mapping is None or mapping == FileMapping():
        return rules
    return f"{rules}-{_digest(mapping.model_dump(mode='json'))}"


def mapping_fingerprint(fingerprint: str) -> str:
    """Return the part of a fingerprint of rules that names the mapping; empty without one."""
    return fingerprint.partition("-")[2]


def has_ids_in_one_form(fingerprint: str) -> bool:
    """Whether rows accepted by the rules of this fingerprint have their ids in the one form of each."""
    return ":" in fingerprint


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _check(rule: ValidationRule) -> pa.Check:
    def run(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.passes)

    return pa.Check(run, name=rule.code, error=rule.error, ignore_na=False)


def _rules_of_column(kind: Kind, spec: ColumnSpec, settings: TenantSettings, now: datetime) -> list[ValidationRule]:
    text, value, deletion = pl.col(spec.name), pl.col(parsed(spec.name)), _or_false(pl.col(parsed(DELETED)))
    rules: list[ValidationRule] = []

    def add(name: str, error: str, passes: pl.Expr) -> None:
        rules.append(ValidationRule(spec.name, name, error, passes))

    if spec.required:  # a row that is deleted needs what names it, and no description
        filled = text.is_not_null()
        add("empty", "is empty", filled | deletion if spec.value_type is ValueType.TEXT else filled)
    match spec.value_type:
        case ValueType.ID:
            rules.append(_at_most(spec.name, MAX_ID_BYTES))
            rules.extend(_id_rules(spec))
        case ValueType.TEXT:
            rules.append(_at_most(spec.name, spec.max_bytes))
        case _:
            rules += _unreadable(spec, settings)
    if kind is Kind.INTERACTIONS and spec.value_type is ValueType.TIME:
        late, absurd = _or_false(value > now + FUTURE_ALLOWANCE), _or_false(value > now + ABSURD_ALLOWANCE)
        if settings.uploads.strictness == "strict":
            add("in_the_future", "is more than 24 hours in the future", ~late)
        else:
            add("in_the_future", "is more than 24 hours in the future", ~late | absurd)
            add("absurd", "is more than a year in the future: is its unit or its form another one?", ~absurd)
        add("before_1990", "is before 1990", ~_or_false(value < EARLIEST))
    if spec.name == "rating":
        low, high = settings.rating_min, settings.rating_max
        is_rating = _or_false(pl.col(parsed("interaction_type")) == "rating")
        add("missing", "is empty, and a row of type rating needs it", ~(is_rating & text.is_null()) | deletion)
        add("out_of_range", f"is outside {low:g} to {high:g}", ~_or_false((value < low) | (value > high)))
    elif spec.name == "quantity" and takes_returns(settings):
        with_pieces = _or_false(pl.col(parsed("interaction_type")).is_in(TYPES_WITH_PIECES))
        error = f"is below 0, which takes pieces back, and only rows of {' and '.join(TYPES_WITH_PIECES)} may do that"
        add("negative", error, ~_or_false(value < 0) | with_pieces)
    elif spec.value_type in (ValueType.NUMBER, ValueType.MONEY):
        add("negative", "is below 0", ~_or_false(value < 0))
    return rules


def _unreadable(spec: ColumnSpec, settings: TenantSettings) -> Iterator[ValidationRule]:
    """The rules that a cell can be read, one for each reason why it cannot; an odd optional cell costs no row."""
    if spec.value_type is ValueType.INTERACTION_TYPE:
        accepted = ", ".join(TypeNames.of(settings).names)
        reasons = {"unknown": f"is not an interaction type this shop uses (accepted: {accepted})"}
    else:
        reasons = _PROBLEMS[spec.value_type]
    text, value = pl.col(spec.name), pl.col(parsed(spec.name))
    if settings.uploads.strictness == "strict":
        code, error = next(iter(reasons.items()))
        yield ValidationRule(spec.name, code, error, text.is_null() | value.is_not_null())
        return
    if spec.required or spec.name == DELETED:
        costs_nothing = pl.lit(value=False)
    elif spec.name == "rating":
        costs_nothing = ~_or_false(pl.col(parsed("interaction_type")) == "rating")
    else:
        return
    for code, error in reasons.items():
        fails = _or_false(pl.col(problem(spec.name)) == code)
        yield ValidationRule(spec.name, code, error, costs_nothing | ~fails, of_problems=True)


def _id_rules(spec: ColumnSpec) -> list[ValidationRule]:
    errors = {CONTROL_CHARACTER: "contains a control character", LOST_DIGITS: base_ids.LOST_DIGITS}
    if spec.required:  # elsewhere a word for nobody is an empty cell
        errors[NOBODY] = base_ids.NOBODY
    found = pl.col(problem(spec.name))
    return [
        ValidationRule(spec.name, name, error, ~_or_false(found == name), of_problems=True)
        for name, error in errors.items()
    ]


def _at_most(column: str, limit: int) -> ValidationRule:
    too_long = _or_false(pl.col(column).str.len_bytes() > limit)
    return ValidationRule(column, "too_long", f"is longer than {limit:,} bytes", ~too_long)


def _or_false(condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(False)
