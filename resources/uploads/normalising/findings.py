"""What a report says of how cells were read: every code with its meaning, and the findings of a whole file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from resources.uploads.contract.findings import Finding
from resources.uploads.contract.report import ColumnReading
from resources.uploads.normalising.decisions import Decisions, date_order, decimal_of_file
from resources.uploads.normalising.evidence import Evidence, Sign

MAX_LISTED_NAMES = 20
"""Names of interaction types that a finding lists, the most frequent first."""


def findings_of(evidence: Evidence, decisions: Decisions) -> tuple[Finding, ...]:
    """Return what only all rows of a file say about its columns, once it was read by these decisions."""
    found: list[Finding] = []
    for column in evidence.columns:
        found += _of_column(evidence, column, decisions)
    for code, names in (("unknown_type", evidence.unknown_types), ("type_mapped", evidence.mapped_types)):
        if names:
            often = sorted(names.items(), key=lambda each: -each[1])[:MAX_LISTED_NAMES]
            listed = tuple(f"{name} ({count:,})" for name, count in often)
            found.append(Finding(code, "interaction_type", sum(names.values()), listed))
    return tuple(found)


def _of_column(evidence: Evidence, column: str, decisions: Decisions) -> Iterator[Finding]:
    decision = decisions.of(column)
    doubtful = evidence.count(column, Sign.POINT_OR_GROUPS) - evidence.count(column, Sign.AMOUNT_OR_GROUPS)
    if doubtful > 0 and decision.decimal is None and decimal_of_file(evidence, column) is None:
        yield Finding("point_assumed", column, doubtful, evidence.examples(column, Sign.POINT_OR_GROUPS))
    both = (Sign.DAY_FIRST, Sign.MONTH_FIRST)
    if all(evidence.count(column, sign) for sign in both):
        examples = [example for sign in both for example in evidence.examples(column, sign)[:2]]
        yield Finding("both_date_orders", column, sum(evidence.count(column, sign) for sign in both), tuple(examples))
    currencies = evidence.examples(column, Sign.CURRENCY)
    if len(currencies) > 1:
        yield Finding("several_currencies", column, evidence.count(column, Sign.CURRENCY), currencies)


_UNITS = (Sign.SECONDS, Sign.MILLISECONDS, Sign.MICROSECONDS, Sign.NANOSECONDS)


def column_readings(
    headers: Sequence[str], names: Sequence[str], evidence: Evidence, decisions: Decisions
) -> tuple[ColumnReading, ...]:
    """Say how each column of a file was read; `names` are ours of the file's `headers`."""
    return tuple(
        ColumnReading(
            header=header,
            column=None if name.startswith("extra_") else name,
            unit=_unit(evidence, name),
            date_order=decisions.of(name).date_order or date_order(evidence, name),
            decimal=_decimal(evidence, name, decisions),
        )
        for header, name in zip(headers, names, strict=True)
    )


def _unit(evidence: Evidence, column: str) -> str | None:
    """The units of the column's epochs, the most frequent one first."""
    counts = {sign.value: evidence.count(column, sign) for sign in _UNITS}
    units = sorted((unit for unit, count in counts.items() if count), key=lambda unit: -counts[unit])
    return " and ".join(units) or None


def _decimal(evidence: Evidence, column: str, decisions: Decisions) -> str | None:
    """The sign before decimals, where there was something to decide: not in a column of plain numbers."""
    if not any(evidence.count(column, sign) for sign in (Sign.COMMA, Sign.COMMA_OR_GROUPS, Sign.POINT_OR_GROUPS)):
        return None
    return decisions.of(column).decimal or decimal_of_file(evidence, column)
