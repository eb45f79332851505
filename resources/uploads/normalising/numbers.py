"""Numbers and money: what people and programs write around the digits is taken off."""

from __future__ import annotations

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.decisions import ColumnDecision
from resources.uploads.normalising.texts import clean_text


def read_numbers(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision) -> ReadColumn:
    """Read a column of numbers (String) as finite Float64."""
    values = _parse_numbers(text)
    if values.null_count() == 0:
        return ReadColumn(text, values)
    cleaned = clean_text(text)
    return ReadColumn(cleaned, _parse_numbers(cleaned))


def _parse_numbers(text: pl.Series) -> pl.Series:
    """Read finite numbers with a decimal point as Float64."""
    number = text.cast(pl.Float64, strict=False)
    finite = number.is_finite()
    return number if finite.all() else number.set(~finite, None)
