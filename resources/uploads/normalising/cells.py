"""What normalising a cell, or a column of them, gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import polars as pl

from resources.uploads.contract.findings import Finding
from resources.uploads.normalising.evidence import Seen, Sign

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cell(Generic[T]):
    """One cell after normalising.

    `text` is what is left of it, None where it is empty. `value` is None where it is empty or cannot be read; `problem`
    then says why, as a key of `PROBLEMS`. `notes` are the codes of findings about what was taken off or mapped.
    """

    text: str | None
    value: T | None
    problem: str | None = None
    notes: tuple[str, ...] = ()
    signs: tuple[tuple[Sign, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column after normalising: cleaned text and values, one per row, null as in `Cell`.

    `problems` is null where every cell could be read, else a String per row. `signs` is the evidence of the column.
    """

    text: pl.Series
    values: pl.Series
    problems: pl.Series | None = None
    findings: tuple[Finding, ...] = ()
    signs: Mapping[Sign, Seen] = field(default_factory=dict)
