"""What a whole column says about its cells, decided from the evidence of all of them and the tenant's mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from resources.tenants.settings import FileMapping
from resources.uploads.normalising.evidence import Evidence, Seen, Sign

DecimalSign = Literal[".", ","]
DateOrder = Literal["day_first", "month_first"]


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
    """The decisions of a file by column of the contract; a column that is not there decides nothing.

    Two are equal when they read every cell of the file alike, so a file is read again only where it matters.
    """

    columns: Mapping[str, ColumnDecision] = field(default_factory=dict)

    def of(self, column: str) -> ColumnDecision:
        """The decision of a column."""
        return self.columns.get(column, UNDECIDED)


NO_DECISIONS = Decisions()


def decide(evidence: Evidence, mapping: FileMapping | None = None) -> Decisions:
    """Decide from the evidence of some rows, or of all; what the mapping says goes before it."""
    found = {name: decide_ids(signs) for name, signs in evidence.columns.items()}
    return Decisions({name: decision for name, decision in found.items() if decision != UNDECIDED})


def decide_ids(signs: Mapping[Sign, Seen]) -> ColumnDecision:
    """Decide on a column of ids: what spreadsheets and programs have put around them comes off when all cells agree.

    They do when each has such a form, or is a plain number.
    """
    if Sign.PLAIN_ID in signs:
        return UNDECIDED
    return ColumnDecision(unwrap_formulas=Sign.FORMULA in signs, whole_floats=Sign.WHOLE_FLOAT in signs)
