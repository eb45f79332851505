"""A column of text to values, whatever its type: the one way in for files and for items by JSON."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import ColumnSpec, Kind, ValueType
from resources.uploads.normalising.booleans import read_booleans
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.decisions import NO_DECISIONS, Decisions
from resources.uploads.normalising.ids import read_ids
from resources.uploads.normalising.numbers import read_numbers
from resources.uploads.normalising.texts import read_texts
from resources.uploads.normalising.times import read_times
from resources.uploads.normalising.type_names import TypeNames, read_type_names


@dataclass(frozen=True, slots=True)
class Reading:
    """How the columns of a file are read: what the tenant has set, and what the columns themselves decide.

    `strict` keeps to the letter of the contract. `placeholders` are the tenant's own words for nobody.
    """

    kind: Kind
    types: TypeNames
    placeholders: frozenset[str] = frozenset()
    strict: bool = False
    decisions: Decisions = NO_DECISIONS

    @classmethod
    def of(cls, kind: Kind, settings: TenantSettings, decisions: Decisions = NO_DECISIONS) -> Reading:
        """How a tenant's files of a kind are read."""
        return cls(
            kind=kind,
            types=TypeNames.of(settings),
            placeholders=frozenset(settings.uploads.placeholder_ids),
            strict=settings.uploads.strictness == "strict",
            decisions=decisions,
        )


def read_column(text: pl.Series, spec: ColumnSpec, reading: Reading) -> ReadColumn:
    """Read the cells (String) of a column of the contract."""
    decision, strict = reading.decisions.of(spec.name), reading.strict
    match spec.value_type:
        case ValueType.ID:
            return read_ids(text, spec, decision, reading.placeholders)
        case ValueType.TEXT:
            return read_texts(text, spec, strict=strict)
        case ValueType.NUMBER | ValueType.MONEY:
            return read_numbers(text, spec, decision, strict=strict)
        case ValueType.TIME:
            return read_times(text, spec, decision, strict=strict)
        case ValueType.BOOLEAN:
            return read_booleans(text, spec, strict=strict)
        case ValueType.INTERACTION_TYPE:
            return read_type_names(text, spec, reading.types, strict=strict)
