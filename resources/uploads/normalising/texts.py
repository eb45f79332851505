"""Text for people: blanks around it are dropped, and words that mean nothing are empty."""

from __future__ import annotations

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.normalising.cells import ReadColumn


def clean_text(text: pl.Series) -> pl.Series:
    """Remove surrounding blanks; text with nothing left becomes null."""
    stripped = text.str.strip_chars()
    has_nothing = stripped == ""
    return stripped.set(has_nothing, None) if has_nothing.any() else stripped


def read_texts(text: pl.Series, spec: ColumnSpec) -> ReadColumn:
    """Read a column of text (String)."""
    cleaned = clean_text(text)
    return ReadColumn(cleaned, cleaned)
