"""What is noticed while a file is read and costs no row: what was taken off or mapped, and what needs a look.

A column that is clean makes no finding, so findings cost next to nothing where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MAX_EXAMPLES = 5
"""Examples of a finding that a report lists."""


class FindingLevel(StrEnum):
    """`note`: how something was read; `warning`: somebody should look at it."""

    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class FindingMeaning:
    """A kind of finding: how much it matters, and a sentence that says what it is and what to do."""

    level: FindingLevel
    message: str


_LEFT_EMPTY = "the cells are empty now, and the rows are kept"
_NOTES = {
    "other_separator": "The cells are separated by this sign instead of a comma.",
    "separator_line": "The first line names the separator, as spreadsheets write it; it was skipped.",
    "single_quotes": "The cells are in single quotes; they were taken off.",
    "lines_above_header": "These lines above the header were skipped.",
    "blank_rows": "Lines without any value were skipped; they count nowhere else.",
    "short_rows": "Rows that end before the last columns have no values there.",
    "trailing_separators": "Rows had more separators than the header, with nothing behind them.",
    "backslash_quotes": 'A quote within a cell was written as \\" and was read as a quote.',
    "curly_quotes": "The cells are in curly quotes; they were taken off.",
    "unnamed_columns": "Columns without a name, such as the index of a data frame, were left out.",
    "nested_columns": "Columns of lists of things, structures or bytes that are no text were left out.",
    "header_mapped": "The mapping says that this header is the column.",
    "header_read_as": "This header was read as the column. If it is another one, say so with a mapping.",
    "known_export": "The headers are those of a known export, and were read as such.",
    "default_type": "No column says the type of interaction: every row was taken as this.",
    "type_of_ratings": "No column says the type of interaction and there are ratings: every row was taken as one.",
    "stock_read": "Items with more than 0 pieces in this column are available.",
    "group_read": "Items with the same text in this column are variants of one item.",
    "variant_rows": "Rows of one item that say different things were taken as variants of it: one item, the lowest price.",
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
    "ids_unmatched": "These items are not in the catalogue, which has them under an id that differs only by case, "
    "leading zeros, blanks, decimals or a prefix. They can never be recommended: send the same ids in both files.",
    "read_as_windows_1252": "The file is not UTF-8 and was read as Windows-1252. Look at the words; if they are "
    "wrong, save the file as UTF-8, or set `encoding` in the mapping of such files.",
    "unescaped_quotes": "A quote within a quoted cell was not doubled; it was read as a letter of the cell. "
    "Double such quotes in the export.",
    "nul_bytes": "Bytes of zero, which are no text, were taken off. Look at the cells, and export them again.",
    "unnamed_values": "A column without a name has values further down; they were left out. "
    "Name the column, or look for a separator too many in these rows.",
    "further_columns": "The file has more columns than are kept; those beyond were left out.",
    "header_repeated": "The header is there more than once. A second column of ours fills empty cells of the "
    "first; another one gets a number behind its name.",
    "header_ambiguous": "Each of these headers could be the column, so none was read. Say which with a mapping.",
    "mapped_header_absent": "The mapping names this header and the file lacks it. Correct the mapping, or the file.",
    "mapped_column_unknown": "The mapping leads from this header to a column that there is not. Correct the mapping.",
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
    "not, so they were kept as they are. The API reads such an id without its formula, apostrophe or decimals: export "
    "the column as text.",
    "id_doubtful": "This id may stand for everybody whom the shop does not know, who would be one customer. If it "
    "does, leave its rows out, or name it in the setting uploads.placeholder_ids.",
    "id_dominant": "This id has more than 5 % of the rows and ten times as many as the next. If it stands for "
    "everybody whom the shop does not know, leave its rows out, or name it in the setting uploads.placeholder_ids.",
    "id_email": "These ids are e-mail addresses, which are stored as they are, shown in reports and sent with every "
    "request. Send a number or a hash in their place, the same in files and events.",
}

FINDINGS: dict[str, FindingMeaning] = {
    **{code: FindingMeaning(FindingLevel.NOTE, message) for code, message in _NOTES.items()},
    **{code: FindingMeaning(FindingLevel.WARNING, message) for code, message in _WARNINGS.items()},
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


class FindingLog:
    """Findings gathered while a file is read."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None], int] = {}
        self._examples: dict[tuple[str, str | None], list[str]] = {}

    def add(self, code: str, count: int = 1, *examples: str, column: str | None = None) -> None:
        """Count something that was noticed; a count of 0 is nothing."""
        if not count:
            return
        key = code, column
        self._counts[key] = self._counts.get(key, 0) + count
        shown = self._examples.setdefault(key, [])
        if len(shown) < MAX_EXAMPLES:
            shown += [example for example in examples if example not in shown]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All so far, added up."""
        return tuple(
            Finding(*key, count, tuple(self._examples[key][:MAX_EXAMPLES])) for key, count in self._counts.items()
        )
