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


def _note(message: str) -> FindingMeaning:
    return FindingMeaning(Level.NOTE, message)


def _warning(message: str) -> FindingMeaning:
    return FindingMeaning(Level.WARNING, message)


FINDINGS: dict[str, FindingMeaning] = {
    "read_as_windows_1252": _warning(
        "The file is not UTF-8 and was read as Windows-1252; look at the words, and save the file as UTF-8, or set "
        "the mapping's encoding, if they are wrong."
    ),
    "other_separator": _note("The cells are separated by this sign instead of a comma."),
    "separator_line": _note("The first line names the separator, as spreadsheets write it; it was skipped."),
    "single_quotes": _note("The cells are in single quotes; they were taken off."),
    "lines_above_header": _note("These lines above the header were skipped."),
    "blank_rows": _note("Lines without any value were skipped; they count nowhere else."),
    "short_rows": _note("Rows that end before the last columns have no values there."),
    "trailing_separators": _note("Rows had more separators than the header, with nothing behind them."),
    "backslash_quotes": _note('A quote within a cell was written as \\" and was read as a quote.'),
    "unescaped_quotes": _warning(
        "A quote within a quoted cell was not doubled; it was read as a letter of the cell. Double it in the export."
    ),
    "curly_quotes": _note("The cells are in curly quotes; they were taken off."),
    "nul_bytes": _warning(
        "Bytes of zero, which are no text, were taken off. Look at the cells, and export them again."
    ),
    "unnamed_columns": _note("Columns without a name, such as the index of a data frame, were left out."),
    "unnamed_values": _warning(
        "A column without a name has values further down; they were left out. Name the column, or look for a separator "
        "too many in these rows."
    ),
    "further_columns": _warning("The file has more columns than are kept; those beyond were left out."),
    "nested_columns": _note("Columns of lists of things, structures or bytes that are no text were left out."),
    "header_mapped": FindingMeaning(Level.NOTE, "The mapping says that this header is the column."),
    "header_read_as": FindingMeaning(
        Level.NOTE, "This header was read as the column. If it is another one, say so with a mapping."
    ),
    "known_export": FindingMeaning(Level.NOTE, "The headers are those of a known export, and were read as such."),
    "default_type": FindingMeaning(Level.NOTE, "No column says the type of interaction: every row was taken as this."),
    "type_of_ratings": FindingMeaning(
        Level.NOTE, "No column says the type of interaction and there are ratings: every row was taken as one."
    ),
    "stock_read": FindingMeaning(Level.NOTE, "Items with more than 0 pieces in this column are available."),
    "group_read": FindingMeaning(Level.NOTE, "Items with the same text in this column are variants of one item."),
    "variant_rows": FindingMeaning(
        Level.NOTE, "Rows of one item that say different things were taken as its variants: one item, the lowest price."
    ),
    "header_repeated": FindingMeaning(
        Level.WARNING,
        "The header is there more than once. A second column of ours fills empty cells of the first; another one gets "
        "a number behind its name.",
    ),
    "header_ambiguous": FindingMeaning(
        Level.WARNING, "Each of these headers could be the column, so none was read. Say which with a mapping."
    ),
    "mapped_header_absent": FindingMeaning(
        Level.WARNING, "The mapping names this header and the file lacks it. Correct the mapping, or the file."
    ),
    "mapped_column_unknown": FindingMeaning(
        Level.WARNING, "The mapping leads from this header to a column that there is not. Correct the mapping."
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
