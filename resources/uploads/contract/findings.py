"""What is noticed while a file is read and costs no row: what was taken off or mapped, and what needs a look.

A column that is clean makes no finding, so findings cost next to nothing where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MAX_EXAMPLES = 5
"""Examples of a finding that a report lists."""


class Level(StrEnum):
    """`note`: how something was read; `warning`: somebody should look at it."""

    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class FindingMeaning:
    """A kind of finding: how much it matters, and a sentence that says what it is and what to do."""

    level: Level
    message: str


FINDINGS: dict[str, FindingMeaning] = {}
"""Every code of a finding and what it means; docs/data.md lists them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noticed in `count` cells or rows of a column of the contract (None: of the file), with first examples.

    `code` is a key of `FINDINGS`.
    """

    code: str
    column: str | None
    count: int
    examples: tuple[str, ...] = ()


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Add up findings of one code and column, in the order of their first ones."""
    merged: dict[tuple[str, str | None], Finding] = {}
    for each in findings:
        known = merged.get((each.code, each.column))
        if known is None:
            merged[each.code, each.column] = Finding(each.code, each.column, each.count, each.examples[:MAX_EXAMPLES])
            continue
        examples = tuple(dict.fromkeys((*known.examples, *each.examples)))[:MAX_EXAMPLES]
        merged[each.code, each.column] = Finding(each.code, each.column, known.count + each.count, examples)
    return tuple(merged.values())
