"""Text for people: blanks around it are dropped, words that mean nothing are empty, letters are composed (NFC)."""

from __future__ import annotations

import re
import unicodedata

import polars as pl

from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding
from resources.uploads.contract.words import empty_words
from resources.uploads.normalising.cells import Cell, ReadColumn

_WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space as polars strips it; Python's has four control characters more."""
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""Characters without a width: at the edges of a text they are left from what it was copied from."""
_EDGES = _WHITE + _INVISIBLE
_STEPS = re.compile(rf"[{re.escape(_WHITE)}]*[>›»→][>›»→{re.escape(_WHITE)}]*")
_STEP = r"[>›»→]"
CATEGORY_SEPARATOR = " > "
"""Between the levels of a category, however a file separates them."""


def clean_text(text: pl.Series) -> pl.Series:
    """Remove surrounding blanks; text with nothing left becomes null."""
    stripped = text.str.strip_chars()
    has_nothing = stripped == ""
    return stripped.set(has_nothing, None) if has_nothing.any() else stripped


def empty_to_null(text: pl.Series, values: pl.Series) -> pl.Series:
    """Make cells without any text null; none is where every cell has a value."""
    if not values.null_count():
        return text
    has_nothing = text.str.len_bytes() == 0
    return text.set(has_nothing, None) if has_nothing.any() else text


def normalise_text(text: str, spec: ColumnSpec) -> Cell[str]:
    """Read a text for people; the value is None where it is empty."""
    kept = unicodedata.normalize("NFC", text.strip(_EDGES))
    if spec.name == "category":
        kept = normalise_category(kept)
    if kept in empty_words(spec):
        return Cell(notes=("empty_word",))
    return Cell(kept or None)


def normalise_category(text: str) -> str:
    """Return the path of a category with ` > ` between its levels: `Clothing>T-shirts` is `Clothing > T-shirts`."""
    if not re.search(_STEP, text):
        return text
    return CATEGORY_SEPARATOR.join(level for level in _STEPS.split(text) if level)


def read_texts(text: pl.Series, spec: ColumnSpec, *, strict: bool) -> ReadColumn:
    """Read a column of text (String)."""
    cleaned = clean_text(text)
    if strict:
        return ReadColumn(cleaned, cleaned)
    wide = cleaned.str.len_bytes() != cleaned.str.len_chars()
    if wide.any():
        composed = cleaned.filter(wide).str.strip_chars(_EDGES).str.normalize("NFC")
        cleaned = cleaned.scatter(wide.arg_true(), composed.set(composed == "", None))
    if spec.name == "category":
        paths = cleaned.str.contains(_STEP)
        if paths.any():
            found = cleaned.filter(paths)
            ways = found.unique(maintain_order=True)
            levels = pl.Series([normalise_category(way) or None for way in ways], dtype=pl.String)
            cleaned = cleaned.scatter(paths.arg_true(), found.replace_strict(ways, levels, return_dtype=pl.String))
    nothing = cleaned.is_in(list(empty_words(spec)))
    if not nothing.any():
        return ReadColumn(cleaned, cleaned)
    words = cleaned.filter(nothing)
    examples = tuple(words.unique(maintain_order=True).head(MAX_EXAMPLES))
    cleaned = cleaned.set(nothing, None)
    return ReadColumn(cleaned, cleaned, findings=(Finding("empty_word", spec.name, len(words), examples),))
