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


_NOTE, _WARNING = Level.NOTE, Level.WARNING
FINDINGS: dict[str, FindingMeaning] = {
    "id_cleaned": FindingMeaning(
        _NOTE, "Characters that nobody sees were taken off these ids, and letters in two parts were joined."
    ),
    "id_unwrapped": FindingMeaning(
        _NOTE, 'The formulas (="…") or apostrophes that a spreadsheet puts around ids were taken off.'
    ),
    "id_whole_float": FindingMeaning(_NOTE, "Whole numbers with decimals, such as 17850.0, were read as their digits."),
    "id_form_kept": FindingMeaning(
        _WARNING,
        "These ids look as if a spreadsheet or a program had changed them, and others of the column do not, so they "
        "were kept as they are. The API reads such an id without its formula, apostrophe or decimals: export the "
        "column as text.",
    ),
    "id_emptied": FindingMeaning(_NOTE, "These words stand for nothing and were read as an empty cell."),
    "id_doubtful": FindingMeaning(
        _WARNING,
        "This id may stand for everybody whom the shop does not know, who would be one customer. If it does, leave its "
        "rows out, or name it in the setting uploads.placeholder_ids.",
    ),
    "id_dominant": FindingMeaning(
        _WARNING,
        "This id has more than 5 % of the rows and ten times as many as the next. If it stands for everybody whom the "
        "shop does not know, leave its rows out, or name it in the setting uploads.placeholder_ids.",
    ),
    "id_email": FindingMeaning(
        _WARNING,
        "These ids are e-mail addresses, which are stored as they are, shown in reports and sent with every request. "
        "Send a number or a hash in their place, the same in files and events.",
    ),
}
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
