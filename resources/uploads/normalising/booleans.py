"""Yes and no in the words of shops."""

from __future__ import annotations

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.texts import clean_text

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_booleans(text: pl.Series, spec: ColumnSpec) -> ReadColumn:
    """Read a column of booleans (String)."""
    cleaned = clean_text(text)
    values = cleaned.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    return ReadColumn(cleaned, values)
