"""The rules of the data contract, declared once and run by pandera."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrors

from resources.base import ids as base_ids
from resources.base.ids import MAX_ID_BYTES
from resources.tenants.settings import TenantSettings
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
FUTURE_ALLOWANCE = timedelta(hours=24)


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


def rules_fingerprint(kind: Kind, settings: TenantSettings) -> str:
    """Return a name for the tenant's settings that decide whether a row of `kind` is accepted."""
    deciding: list[object] = []
    if kind is Kind.INTERACTIONS:
        deciding = [sorted(TypeNames.of(settings).names.items()), settings.rating_min, settings.rating_max]
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]


def _check(rule: ValidationRule) -> pa.Check:
    def run(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.passes)

    return pa.Check(run, name=rule.code, error=rule.error, ignore_na=False)


def _rules_of_column(kind: Kind, spec: ColumnSpec, settings: TenantSettings, now: datetime) -> list[ValidationRule]:
    text, value, deletion = pl.col(spec.name), pl.col(parsed(spec.name)), _or_false(pl.col(parsed(DELETED)))
    rules: list[ValidationRule] = []

    def add(name: str, error: str, passes: pl.Expr) -> None:
        rules.append(ValidationRule(spec.name, name, error, passes))

    def unreadable(name: str, error: str) -> None:
        add(name, error, text.is_null() | value.is_not_null())

    if spec.required:  # a row that is deleted needs what names it, and no description
        filled = text.is_not_null()
        add("empty", "is empty", filled | deletion if spec.value_type is ValueType.TEXT else filled)
    match spec.value_type:
        case ValueType.ID:
            rules.append(_at_most(spec.name, MAX_ID_BYTES))
            rules.extend(_id_rules(spec.name))
        case ValueType.TEXT:
            rules.append(_at_most(spec.name, spec.max_bytes))
        case ValueType.NUMBER:
            unreadable("not_a_number", "is not a number: write it like 1234.5")
        case ValueType.BOOLEAN:
            unreadable("not_a_boolean", "is not one of true, false, 1, 0, yes, no")
        case ValueType.INTERACTION_TYPE:
            accepted = ", ".join(TypeNames.of(settings).names)
            unreadable("unknown", f"is not an interaction type this shop uses (accepted: {accepted})")
        case ValueType.TIME:
            unreadable("not_a_time", "is not a time: write it like 2024-05-31T14:05:00Z, or as epoch seconds")
            if kind is Kind.INTERACTIONS:
                add("in_the_future", "is more than 24 hours in the future", ~_or_false(value > now + FUTURE_ALLOWANCE))
                add("before_1990", "is before 1990", ~_or_false(value < EARLIEST))
    if spec.name == "rating":
        low, high = settings.rating_min, settings.rating_max
        is_rating = _or_false(pl.col(parsed("interaction_type")) == "rating")
        add("missing", "is empty, and a row of type rating needs it", ~(is_rating & text.is_null()) | deletion)
        add("out_of_range", f"is outside {low:g} to {high:g}", ~_or_false((value < low) | (value > high)))
    elif spec.value_type is ValueType.NUMBER:
        add("negative", "is below 0", ~_or_false(value < 0))
    return rules


def _id_rules(column: str) -> list[ValidationRule]:
    errors = {
        CONTROL_CHARACTER: "contains a control character",
        LOST_DIGITS: base_ids.LOST_DIGITS,
        NOBODY: base_ids.NOBODY,
    }
    found = pl.col(problem(column))
    return [
        ValidationRule(column, name, error, ~_or_false(found == name), of_problems=True)
        for name, error in errors.items()
    ]


def _at_most(column: str, limit: int) -> ValidationRule:
    too_long = _or_false(pl.col(column).str.len_bytes() > limit)
    return ValidationRule(column, "too_long", f"is longer than {limit:,} bytes", ~too_long)


def _or_false(condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(False)
