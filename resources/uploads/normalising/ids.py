"""Ids in files: what surrounds them is taken off."""

from __future__ import annotations

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.decisions import ColumnDecision
from resources.uploads.normalising.texts import clean_text


def read_ids(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision, placeholders: frozenset[str]) -> ReadColumn:
    """Read a column of ids (String). `placeholders` are the tenant's own words for nobody."""
    cleaned = clean_text(text)
    return ReadColumn(cleaned, cleaned)
