"""Signs of how a column is to be read, seen in single cells: counters that add up over the batches of a file.

What is counted depends on the text alone, never on a decision, so that the evidence of a file is the same however
often it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resources.uploads.contract.findings import MAX_EXAMPLES


class Sign(StrEnum):
    """What a cell can say about its column."""

    POINT = "point"
    """`19.99`: a point stands before the decimals."""
    COMMA = "comma"
    """`19,99`: a comma does."""
    POINT_OR_GROUPS = "point or groups"
    """`1.299`: the point stands before decimals, or between thousands."""
    COMMA_OR_GROUPS = "comma or groups"
    """`1,299`: likewise."""
    AMOUNT_OR_GROUPS = "amount or groups"
    """`1.299 EUR`: likewise, and no plain number."""
    DAY_FIRST = "day first"
    """`31/12/2024`."""
    MONTH_FIRST = "month first"
    """`12/31/2024`."""
    DAY_OR_MONTH = "day or month"
    """`03/04/2024`."""
    EXCEL_DAYS = "excel days"
    """`45443.58`: days since 1900, as spreadsheets count."""
    OTHER_TIME = "other time"
    """A time in any other form."""
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"
    CURRENCY = "currency"
    """`19.99 EUR`: the examples are the codes."""
    FORMULA = "formula"
    """`="00017"`: an id in a formula."""
    PLAIN_ID = "plain id"
    """An id that no spreadsheet has wrapped or rounded."""
    WHOLE_FLOAT = "whole float"
    """`17850.0`: a whole number as programs write numbers with decimals."""


MAX_TYPE_NAMES = 200
"""Names of interaction types that are counted one by one; a shop has a few."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How often a sign was seen, with its first different examples."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signs of every column (a name of the contract) that has any.

    `unknown_types` and `mapped_types` count the rows of names of interaction types that are not known, and that are
    not written as ours: some hundred names at most.
    """

    columns: Mapping[str, Mapping[Sign, Seen]] = field(default_factory=dict)
    unknown_types: Mapping[str, int] = field(default_factory=dict)
    mapped_types: Mapping[str, int] = field(default_factory=dict)

    def count(self, column: str, sign: Sign) -> int:
        """How often a sign was seen in a column."""
        return self.columns.get(column, {}).get(sign, _NEVER).count

    def examples(self, column: str, sign: Sign) -> tuple[str, ...]:
        """The first different examples of a sign in a column."""
        return self.columns.get(column, {}).get(sign, _NEVER).examples

    def total(self, sign: Sign) -> int:
        """How often a sign was seen in the file."""
        return sum(self.count(column, sign) for column in self.columns)


_NEVER = Seen()
NO_EVIDENCE = Evidence()


def add_evidence(evidence: Iterable[Evidence]) -> Evidence:
    """Add up the evidence of batches, in file order."""
    columns: dict[str, Mapping[Sign, Seen]] = {}
    unknown: dict[str, int] = {}
    mapped: dict[str, int] = {}
    for each in evidence:
        for column, signs in each.columns.items():
            columns[column] = added(columns.get(column, {}), signs)
        for names, more in ((unknown, each.unknown_types), (mapped, each.mapped_types)):
            for name, count in more.items():
                if name in names or len(names) < MAX_TYPE_NAMES:
                    names[name] = names.get(name, 0) + count
    return Evidence(columns, unknown, mapped)


def added(first: Mapping[Sign, Seen], second: Mapping[Sign, Seen]) -> dict[Sign, Seen]:
    """Add up the signs of two pieces of one column."""
    signs = dict(first)
    for sign, seen in second.items():
        before = signs.get(sign, _NEVER)
        examples = tuple(dict.fromkeys((*before.examples, *seen.examples)))[:MAX_EXAMPLES]
        signs[sign] = Seen(before.count + seen.count, examples)
    return signs
