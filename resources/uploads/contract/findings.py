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


_LEFT_EMPTY = "the cells are empty now, and the rows are kept"
_NOTES = {
    "empty_word": "Words such as NULL and N/A were read as empty cells.",
    "zero_time": "Dates of zeros were read as empty cells.",
    "formula_taken_off": "Formulas and apostrophes around values, as spreadsheets need them, were taken off.",
    "currency_taken_off": "Currencies beside amounts were taken off; a file without a column `currency` has one now.",
    "thousands_taken_off": "Signs between thousands were taken off.",
    "decimal_comma": "Commas before decimals were read as points.",
    "boolean_word": "Words for yes and no were read as true and false.",
    "time_form": "Times in other forms than ISO 8601 were read.",
    "excel_days": "Numbers of days, as spreadsheets count them, were read as times.",
    "type_mapped": "Names of interaction types were read as ours.",
    "type_ignored": "Rows were left out, because the tenant's settings map the name of their type onto `ignore`.",
    "id_cleaned": "Characters that nobody sees were taken off these ids, and letters in two parts were joined.",
    "id_unwrapped": 'The formulas (="…") or apostrophes that a spreadsheet puts around ids were taken off.',
    "id_whole_float": "Whole numbers with decimals, such as 17850.0, were read as their digits.",
    "id_emptied": "These words stand for nothing and were read as an empty cell.",
    "personal_columns": "These columns look like personal data. No model uses them, and they are kept as attributes "
    "until the user is erased: leave them out of the file.",
}
_WARNINGS = {
    "not_a_number": f"These are no numbers; {_LEFT_EMPTY}. Write numbers like 1234.5.",
    "ambiguous_number": "The sign may stand before decimals or between thousands, and no cell of the column says it: "
    f"{_LEFT_EMPTY}. Set `decimal` in the mapping of such files, or write numbers like 1234.5.",
    "number_range": f"These are ranges and no single numbers; {_LEFT_EMPTY}. Send one, such as the lowest price.",
    "point_assumed": "The point was read as one before decimals, though it may be one between thousands. "
    "If it is, set `decimal` to a comma in the mapping of such files, take the upload back and send it again.",
    "not_a_boolean": f"These say neither yes nor no; {_LEFT_EMPTY}. Write true or false.",
    "not_a_time": f"These are no times; {_LEFT_EMPTY}. Write times like 2024-05-31T14:05:00Z.",
    "ambiguous_date": f"The day may stand before the month or behind it, and no cell of the column says which; "
    f"{_LEFT_EMPTY}. Set `date_order` in the mapping of such files, or write dates like 2024-05-31.",
    "day_first_assumed": "Dates with points between day and month were read with the day first. If the month is, set "
    "`date_order` in the mapping of such files, take the upload back and send it again.",
    "both_date_orders": "Some dates have the day first and others the month, so dates that could be either were not "
    "read. Write dates like 2024-05-31.",
    "two_digit_year": f"The year has two digits; {_LEFT_EMPTY}. Write years with four.",
    "lost_digits": f"A program has rounded these and lost digits; {_LEFT_EMPTY}. Export the column as text.",
    "several_currencies": "Prices are in several currencies, and are compared as if they were in one. "
    "Send files in one currency each.",
    "unknown_type": "Rows whose interaction type is unknown were rejected. Map such names onto ours, or onto "
    "`ignore` to leave their rows out: `recsaas tenant set TENANT interaction_types.NAME=view`, or "
    "`interaction_types` in the settings of PATCH /api/v1/admin/tenants/{id}; then send the file again.",
    "id_form_kept": "These ids look as if a spreadsheet or a program had changed them, and others of the column do "
    "not, so they were kept as they are. The API reads such an id without its formula, apostrophe or decimals: export the "
    "column as text.",
    "id_doubtful": "This id may stand for everybody whom the shop does not know, who would be one customer. If it "
    "does, leave its rows out, or name it in the setting uploads.placeholder_ids.",
    "id_dominant": "This id has more than 5 % of the rows and ten times as many as the next. If it stands for "
    "everybody whom the shop does not know, leave its rows out, or name it in the setting uploads.placeholder_ids.",
    "id_email": "These ids are e-mail addresses, which are stored as they are, shown in reports and sent with every "
    "request. Send a number or a hash in their place, the same in files and events.",
}

FINDINGS: dict[str, FindingMeaning] = {
    **{code: FindingMeaning(Level.NOTE, message) for code, message in _NOTES.items()},
    **{code: FindingMeaning(Level.WARNING, message) for code, message in _WARNINGS.items()},
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
