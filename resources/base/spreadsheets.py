"""Cells of CSV files that people open in a spreadsheet."""

from __future__ import annotations

import re

# Spreadsheets run a cell that starts so (OWASP, "CSV Injection"). A number may start with a sign.
FORMULA = "^'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""A cell that a spreadsheet would run, apostrophes before it or not: for `re`, and for Polars."""
NUMBER = r"^[+-]?[0-9]+(?:\.[0-9]+)?$"
"""A cell that is a number, and may begin as it does."""
_FORMULA, _NUMBER = re.compile(FORMULA), re.compile(NUMBER)


def safe_cell(text: str) -> str:
    """Return the text of a cell, with an apostrophe in front where a spreadsheet would run it."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text
