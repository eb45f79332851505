"""What a whole column says about its cells, decided from the evidence of all of them and the tenant's mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from resources.tenants.settings import FileMapping
from resources.uploads.normalising.evidence import Evidence, Sign

DecimalSign = Literal[".", ","]
DateOrder = Literal["day_first", "month_first"]
_Word = TypeVar("_Word")


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """How the cells of a column are read that could mean two things; the defaults decide nothing.

    `excel_days`: numbers such as 45443.58 are days as spreadsheets count them. `currency`: amounts come with a
    currency, which is kept beside them. `unwrap_formulas` and `whole_floats` are of ids: `="00017"` is 00017, and
    17850.0 is 17850.
    """

    decimal: DecimalSign | None = None
    date_order: DateOrder | None = None
    excel_days: bool = False
    currency: bool = False
    unwrap_formulas: bool = False
    whole_floats: bool = False


UNDECIDED = ColumnDecision()


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of a file by column of the contract; a column that is not there has the decision `others`.

    What no cell of the file depends on is not decided, so a file is read again only where it matters.
    """

    columns: Mapping[str, ColumnDecision] = field(default_factory=dict)
    others: ColumnDecision = UNDECIDED

    def of(self, column: str) -> ColumnDecision:
        """The decision of a column."""
        return self.columns.get(column, self.others)


NO_DECISIONS = Decisions()


def decide_columns(evidence: Evidence, mapping: FileMapping | None = None) -> Decisions:
    """Decide from the evidence of some rows, or of all; what the mapping says goes before it."""
    said = UNDECIDED
    if mapping is not None:
        said = ColumnDecision(decimal=mapping.decimal, date_order=mapping.date_order)
    found = {column: _decide(evidence, column, said) for column in evidence.columns}
    return Decisions({column: decision for column, decision in found.items() if decision != said}, others=said)


def _decide(evidence: Evidence, column: str, said: ColumnDecision) -> ColumnDecision:
    def seen(*signs: Sign) -> bool:
        return any(evidence.count(column, sign) for sign in signs)

    decimal = decimal_of_file(evidence, column)
    # a point that may group, in a plain number, is one before decimals where nothing is decided
    matters = seen(Sign.COMMA_OR_GROUPS, Sign.AMOUNT_OR_GROUPS) or (decimal == "," and seen(Sign.POINT_OR_GROUPS))
    return ColumnDecision(
        decimal=said.decimal or (decimal if matters else None),
        date_order=said.date_order or (date_order(evidence, column) if seen(Sign.DAY_OR_MONTH) else None),
        excel_days=seen(Sign.EXCEL_DAYS) and not seen(Sign.OTHER_TIME),
        currency=seen(Sign.CURRENCY),
        unwrap_formulas=seen(Sign.FORMULA) and not seen(Sign.PLAIN_ID),
        whole_floats=seen(Sign.WHOLE_FLOAT) and not seen(Sign.PLAIN_ID),
    )


def decimal_sign(evidence: Evidence, column: str) -> DecimalSign | None:
    """The sign before decimals that the cells of a column prove; None for no proof, or for both."""
    return _either(evidence.count(column, Sign.POINT), evidence.count(column, Sign.COMMA), ".", ",")


def date_order(evidence: Evidence, column: str) -> DateOrder | None:
    """The order of day and month that the cells of a column prove; None for no proof, or for both."""
    first, second = evidence.count(column, Sign.DAY_FIRST), evidence.count(column, Sign.MONTH_FIRST)
    return _either(first, second, "day_first", "month_first")


def decimal_of_file(evidence: Evidence, column: str) -> DecimalSign | None:
    """The sign that a column proves, or where it proves nothing at all, what the other columns of the file do."""
    if evidence.count(column, Sign.POINT) or evidence.count(column, Sign.COMMA):
        return decimal_sign(evidence, column)
    return _either(evidence.total(Sign.POINT), evidence.total(Sign.COMMA), ".", ",")


def _either(first: int, second: int, one: _Word, other: _Word) -> _Word | None:
    if bool(first) == bool(second):
        return None
    return one if first else other
