"""Steps that make columns of the contract out of columns of a file, on batches of text.

What a step makes is a column of its own wherever it can be, so that a rejected row keeps its cells as they were sent; a
step does nothing in a file that has the column already, such as the download of the rejected rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

_INTEGER_PART = r"^\s*(-?\d+)(?:[.,]\d+)?\s*$"


class ColumnStep(Protocol):
    """One step; `column` is what it makes, `needs` the internal names that it reads."""

    @property
    def column(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    def expression(self) -> pl.Expr:
        """Return the text of the column."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text in every row."""

    column: str
    text: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def expression(self) -> pl.Expr:
        """Return the text."""
        return pl.lit(self.text)


@dataclass(frozen=True, slots=True)
class FirstFilled:
    """The first cell with text of some columns, such as an item's group and else the item itself."""

    column: str
    needs: tuple[str, ...]

    def expression(self) -> pl.Expr:
        """Return the first text, and an empty one where there is none."""
        return pl.coalesce(_filled(name) for name in self.needs).fill_null("")


@dataclass(frozen=True, slots=True)
class InStock:
    """Whether any pieces are in stock: true above 0, false else; text that is no number stays as it is."""

    column: str
    needs: tuple[str]

    def expression(self) -> pl.Expr:
        """Return true, false, or the text."""
        text = pl.col(self.needs[0])
        pieces = text.str.extract(_INTEGER_PART, 1).cast(pl.Float64, strict=False)
        return pl.when(pieces > 0).then(pl.lit("true")).when(pieces <= 0).then(pl.lit("false")).otherwise(text)


@dataclass(frozen=True, slots=True)
class Negated:
    """The opposite of a column of true and false, such as whether an item is hidden; other text stays as it is."""

    column: str
    needs: tuple[str]

    def expression(self) -> pl.Expr:
        """Return true where the column says false."""
        text = pl.col(self.needs[0])
        plain = text.str.strip_chars().str.to_lowercase()
        return (
            pl.when(plain.is_in(["true", "1", "yes", "t", "y"]))
            .then(pl.lit("false"))
            .when(plain.is_in(["false", "0", "no", "f", "n"]))
            .then(pl.lit("true"))
            .otherwise(text)
        )


@dataclass(frozen=True, slots=True)
class FirstOfList:
    """The first entry of a list in a cell, such as the first of several categories."""

    column: str
    needs: tuple[str]
    separator: str

    def expression(self) -> pl.Expr:
        """Return the first entry without blanks around it."""
        return pl.col(self.needs[0]).str.split(self.separator).list.first().str.strip_chars().fill_null("")


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags with our separator, the vertical bar, from a list with another one; our own is left alone."""

    column: str
    needs: tuple[str]
    separator: str

    def expression(self) -> pl.Expr:
        """Return the tags without blanks around each."""
        text = pl.col(self.needs[0])
        entries = text.str.split(self.separator).list.eval(pl.element().str.strip_chars())
        return pl.when(text.str.contains("|", literal=True)).then(text).otherwise(entries.list.join("|")).fill_null("")


def complete(frame: pl.DataFrame, steps: Sequence[ColumnStep]) -> pl.DataFrame:
    """Return a batch of text with the columns that the steps make, in their order."""
    for step in steps:
        frame = frame.with_columns(step.expression().alias(step.column))
    return frame


def _filled(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text)
