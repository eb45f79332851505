"""Yes and no in the words of shops."""

from __future__ import annotations

import re
from functools import partial

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.contract.words import boolean_words, means_nothing
from resources.uploads.normalising.cells import MAX_CELL_CHARACTERS, Cell, ReadColumn, read_cells
from resources.uploads.normalising.texts import clean_text, empty_to_null

_PIECES = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,3})?")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def normalise_boolean(text: str, spec: ColumnSpec) -> Cell[bool]:
    """Read yes or no; whether an item is available may also be said by words about stock, or by the pieces in it."""
    word = text.strip().lower()
    if not word:
        return Cell()
    if means_nothing(word):
        return Cell(notes=("empty_word",))
    if len(word) > MAX_CELL_CHARACTERS:
        return Cell(problem="not_a_boolean")
    words = boolean_words(spec)
    value = words.get(word)
    if value is None:
        value = words.get("".join(c for c in word if c not in " -_\u00a0"))
    if value is None and spec.name == "available" and _PIECES.fullmatch(word):
        value = float(word) > 0
    if value is None:
        return Cell(problem="not_a_boolean")
    return Cell(value, notes=() if word in _BOOLEANS else ("boolean_word",))


def read_booleans(text: pl.Series, spec: ColumnSpec, *, strict: bool) -> ReadColumn:
    """Read a column of booleans (String)."""
    if strict:
        cleaned = clean_text(text)
        return ReadColumn(cleaned, _plain(cleaned))
    values = _plain(text)
    text = empty_to_null(text, values)
    odd = values.is_null() & text.is_not_null()
    if not odd.any():
        return ReadColumn(text, values)
    return read_cells(text, values, odd, partial(normalise_boolean, spec=spec), spec.name)


def _plain(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
