"""What normalising a cell, or a column of them, gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import polars as pl

from resources.uploads.contract.findings import MAX_EXAMPLES, Finding, merge
from resources.uploads.normalising.evidence import Seen, Sign, added

T = TypeVar("T")

MAX_CELL_CHARACTERS = 100
"""No number, time, boolean or name of a type is longer, so that nobody pays for looking."""


@dataclass(frozen=True, slots=True)
class Cell(Generic[T]):
    """One cell after normalising.

    `value` is None where the cell is empty or cannot be read; `problem` then says why, as a key of `PROBLEMS`. `notes`
    are the codes of findings about what was taken off or mapped, `signs` what the cell says about its column, and
    `currency` the code or sign that stood beside an amount.
    """

    value: T | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()
    signs: tuple[Sign, ...] = ()
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column after normalising: cleaned text and values, one per row.

    The text is null where the cell is empty, the value also where it cannot be read. `problems` is null where a cell
    could be read and None where all could be; `unread` says the same as findings. `signs` is the evidence of the
    column, `currency` what stood beside its amounts.
    `unknown_types` and `mapped_types` are those of `Evidence`.
    """

    text: pl.Series
    values: pl.Series
    problems: pl.Series | None = None
    findings: tuple[Finding, ...] = ()
    unread: tuple[Finding, ...] = ()
    signs: Mapping[Sign, Seen] = field(default_factory=dict)
    currency: pl.Series | None = None
    unknown_types: Mapping[str, int] = field(default_factory=dict)
    mapped_types: Mapping[str, int] = field(default_factory=dict)


class _Tally:
    """Counts by key, with the first examples of each."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, list[str]]] = {}

    def add(self, key: str, count: int, example: str) -> None:
        before, examples = self._seen.get(key, (0, []))
        if len(examples) < MAX_EXAMPLES and example not in examples:
            examples.append(example)
        self._seen[key] = (before + count, examples)

    def findings(self, column: str) -> tuple[Finding, ...]:
        return tuple(Finding(code, column, count, tuple(shown)) for code, (count, shown) in self._seen.items())

    def signs(self) -> dict[Sign, Seen]:
        return {Sign(key): Seen(count, tuple(shown)) for key, (count, shown) in self._seen.items()}


def read_cells(
    text: pl.Series, values: pl.Series, wanted: pl.Series, normalise: Callable[[str], Cell[T]], column: str
) -> ReadColumn:
    """Read the `wanted` cells (Boolean, one per row) one by one; the others have their `values`, null for empty ones.

    Every different cell is read once, so a column of a few words costs little however long it is.
    """
    rows = wanted.arg_true()
    odd = text.filter(wanted)
    counted = odd.alias("cell").to_frame().group_by("cell", maintain_order=True).len()
    found: list[T | None] = []
    problems: list[str | None] = []
    currencies: list[str | None] = []
    notes, unread, signs = _Tally(), _Tally(), _Tally()
    for raw, count in counted.iter_rows():
        cell = normalise(raw)
        found.append(cell.value)
        problems.append(cell.problem)
        currencies.append(cell.currency)
        for note in cell.notes:
            notes.add(note, count, raw.strip())
        for sign in cell.signs:
            signs.add(sign, count, cell.currency or "" if sign is Sign.CURRENCY else raw.strip())
        if cell.problem is not None:
            unread.add(cell.problem, count, raw.strip())
    known = counted["cell"]

    def spread(each: list[T | None] | list[str | None], dtype: pl.DataType) -> pl.Series:
        return odd.replace_strict(known, pl.Series(each, dtype=dtype, strict=False), return_dtype=dtype)

    here, why = spread(found, values.dtype), spread(problems, pl.String())
    empty = here.is_null() & why.is_null()
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
    return ReadColumn(
        text=placed(text, rows, odd.set(empty, None)),
        values=placed(values, rows, here),
        problems=placed(nothing, rows, why) if why.null_count() < len(why) else None,
        findings=notes.findings(column),
        unread=unread.findings(column),
        signs=signs.signs(),
        currency=placed(nothing, rows, spread(currencies, pl.String())) if any(currencies) else None,
    )


def together(first: ReadColumn, second: ReadColumn, rows: pl.Series, *, signs: Mapping[Sign, Seen]) -> ReadColumn:
    """Join two readings of one column, of which the second began with the first and read `rows` (Boolean)."""
    problems = first.problems
    if second.problems is not None:
        problems = second.problems if problems is None else problems.zip_with(~rows, second.problems)
    return ReadColumn(
        text=second.text,
        values=second.values,
        problems=problems,
        findings=merge((*first.findings, *second.findings)),
        unread=merge((*first.unread, *second.unread)),
        signs=added(added(signs, first.signs), second.signs),
    )


def placed(into: pl.Series, rows: pl.Series, values: pl.Series) -> pl.Series:
    """Return a series with these values on those rows."""
    return into.clone().scatter(rows, values)  # scatter changes its series
