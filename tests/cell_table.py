"""The tables in docs/data.md: `python -m tests.cell_table` writes them anew.

What a cell is read as comes from the normalisers themselves, and what a report may say from the codes of findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from resources.base.ids import (
    doubtful_words,
    has_lost_digits,
    is_whole_float,
    is_wrapped,
    nobody_words,
    normalise_id,
)
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import ColumnSpec, Kind, columns
from resources.uploads.contract.findings import FINDINGS, FindingLevel
from resources.uploads.contract.words import (
    CERTAINLY_EMPTY,
    EMPTY_IF_NO_TEXT,
    EMPTY_IF_OPTIONAL,
    ZERO_TIMES,
    boolean_words,
)
from resources.uploads.normalising.booleans import normalise_boolean
from resources.uploads.normalising.cells import Cell
from resources.uploads.normalising.decisions import ColumnDecision
from resources.uploads.normalising.numbers import normalise_number
from resources.uploads.normalising.texts import normalise_text
from resources.uploads.normalising.times import normalise_time
from resources.uploads.normalising.type_names import SYNONYMS, TypeNames, normalise_type_name
from resources.uploads.parsing.validation import PROBLEMS
from tests.contract_table import rule_table

PAGE = Path("docs/data.md")
BEGIN, END = "<!-- cells -->\n", "<!-- /cells -->\n"
_SPECS = {(kind, spec.name): spec for kind in Kind for spec in columns(kind)}
_COMMA = ColumnDecision(decimal=",")
_POINT = ColumnDecision(decimal=".")
_DAY = ColumnDecision(date_order="day_first")
_MONTH = ColumnDecision(date_order="month_first")
_EXCEL = ColumnDecision(excel_days=True)

_PLAIN_NUMBERS = (
    "1234.5",
    ".5",
    "1e3",
    "1,299.00",
    "1.299,00",
    "1 299,00",
    "1'299.00",
    "1,23,456.00",
    "19,99",
    "0,299",
)
_MORE_NUMBERS = ("(5)", "5-", "٣٫٥", "10-20", "from 10", "15%", "4/5", "1.299", "1,299")
_AMOUNTS = ("$19.99", "19.99 EUR", "€ 1.299,00", "19,- kr", "$1.299")
_TIMES = (
    *("2024-05-31T14:05:06.5+02:00", "2024-05-31", "2024-5-3 9:05", "2024/05/31", "20240531", "20240531140506"),
    *("20240531T140506Z", "2024-05-31 14:05 GMT", "2024-05-31 14:05:06 EST", "2024-05-31 14:05+02"),
    *("31/05/2024 14:05", "05/31/2024 2:05 PM", "31.05.2024", "03.04.2024", "03/04/2024", "31/05/24"),
    *("May 31, 2024", "31-May-2024", "Fri, 31 May 2024 14:05:06 +0200", "1717164306", "1717164306.5", "1717164306500"),
    *("1717164306500000", "1717164306500000000", "1.7171643E9", "1.71716E+12", "0000-00-00 00:00:00", "45443.58"),
)
_TYPES = ("Add-To-Cart", "addToCart", "PURCHASE", "Order Completed", "remove_from_cart")
_IDS = (
    *("00017", "SKU-1", '="00017"', "'00017", "17850.0", "4.00638E+12", "cafe\u0301", "u\u200b1", "NULL", "(not set)"),
    *("guest", "0"),
)
_COLUMN = "where all cells are so or numbers"
_BOOLEANS = ("t", "N", "on", "ja", "non", "in stock", "SoldOut", "maybe")


def cell_tables() -> str:
    """Return the tables of what cells are read as, of words, and of what a report may say, as Markdown."""
    return "\n".join([_examples(), _words(), _problems(), _findings()])


def page_with_tables(text: str) -> str:
    """Return the page `text` with the tables that are made of the code."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}{cell_tables()}{END}{after}"
    for kind in Kind:
        table = re.compile(rf"(?<=\n## {kind.value}\n\n)(?:\|.*\n)+")
        text = table.sub(rule_table(kind).replace("\\", r"\\"), text, count=1)
    return text


def _examples() -> str:  # fmt: skip
    types = TypeNames.of(TenantSettings())
    price, available = _SPECS[Kind.ITEMS, "price"], _SPECS[Kind.ITEMS, "available"]
    category, title = _SPECS[Kind.ITEMS, "category"], _SPECS[Kind.ITEMS, "title"]
    rows: list[tuple[str, str, Cell[Any]]] = []
    rows += [("number", _code(text), normalise_number(text)) for text in (*_PLAIN_NUMBERS, *_MORE_NUMBERS)]
    rows += [
        (f"number, {why}", _code(text), normalise_number(text, decision))
        for text in ("1.299", "1,299")
        for why, decision in (("decimal commas elsewhere", _COMMA), ("decimal points elsewhere", _POINT))
    ]
    rows += [(price.value_type.value, _code(text), normalise_number(text, money=True)) for text in _AMOUNTS]
    rows += [("time", _code(text), normalise_time(text)) for text in _TIMES]
    rows += [
        ("time, a day above 12 elsewhere", _code("03/04/2024"), normalise_time("03/04/2024", _DAY)),
        ("time, a month behind its day elsewhere", _code("03/04/2024"), normalise_time("03/04/2024", _MONTH)),
        ("time, nothing but such numbers", _code("45443.58"), normalise_time("45443.58", _EXCEL)),
    ]
    rows += [(f"id, {_COLUMN}" if is_odd_form(text) else "id", _code(text), _id(text)) for text in _IDS]
    rows += [("boolean `available`", _code(text), normalise_boolean(text, available)) for text in _BOOLEANS]
    rows += [("interaction type", _code(text), normalise_type_name(text, types)) for text in _TYPES]
    rows += [("category", _code(text), normalise_text(text, category)) for text in ("Shoes>Boots", "Shoes » Boots »")]
    rows += [("text, required", _code(text), normalise_text(text, title)) for text in ("Nil", "None")]
    rows += [("text, optional", _code(text), normalise_text(text, category)) for text in ("nil", "N/A")]
    shown = ((kind, cell, _shown(read)) for kind, cell, read in rows)
    return _table(("type", "cell", "is read as"), shown)


def _words() -> str:
    yes, no = _by_value(_SPECS[Kind.INTERACTIONS, "deleted"])
    stock, none = (
        words - base for words, base in zip(_by_value(_SPECS[Kind.ITEMS, "available"]), (yes, no), strict=True)
    )
    rows = [
        ("empty in any text", _list(CERTAINLY_EMPTY)),
        ("also empty in an optional text", _list(EMPTY_IF_OPTIONAL - CERTAINLY_EMPTY)),
        ("empty as a number, time, boolean or type, in any case", _list(EMPTY_IF_NO_TEXT)),
        ("empty as a time, with any time of zeros", _list(ZERO_TIMES)),
        ("nobody: an empty session or event, and a reason in any other id", _list(_once(nobody_words()))),
        ("perhaps nobody: a warning", _list(_once(doubtful_words()))),
        ("true, in any case", _list(yes)),
        ("false, in any case", _list(no)),
        ("`available`: true; blanks, `-` and `_` do not count", _list(stock)),
        ("`available`: false", _list(none)),
    ]
    rows += [(f"interaction type `{name}`", _list((name, *words))) for name, words in SYNONYMS.items()]
    return _table(("words", "which"), rows)


def _problems() -> str:
    return _table(("what is wrong with a cell", "reason"), ((f"`{code}`", error) for code, error in PROBLEMS.items()))


def _findings() -> str:
    rows = [
        (f"`{code}`", "warning" if meaning.level is FindingLevel.WARNING else "note", meaning.message)
        for code, meaning in FINDINGS.items()
    ]
    return _table(("code", "in", "what the report says"), rows)


def _by_value(spec: ColumnSpec) -> tuple[frozenset[str], frozenset[str]]:
    words = boolean_words(spec)
    return frozenset(w for w, value in words.items() if value), frozenset(w for w, value in words.items() if not value)


def _once(words: frozenset[str]) -> set[str]:
    """Each word in one of the ways in which programs write it."""
    return {word.lower() for word in words}


def _id(text: str) -> Cell[str]:
    form = normalise_id(text)
    problem = "lost_digits" if has_lost_digits(form) else "placeholder" if form in nobody_words() else None
    return Cell(None if problem else form, problem)


def is_odd_form(text: str) -> bool:
    """Whether a column decides how an id is read."""
    return is_wrapped(text) or is_whole_float(text)


def _shown(cell: Cell[Any]) -> str:
    if cell.problem is not None:
        return f"not read: {cell.problem}"
    if cell.value is None:
        return "empty"
    value = cell.value.isoformat().replace("+00:00", "Z") if isinstance(cell.value, datetime) else cell.value
    shown = f"{value:.15g}" if isinstance(value, float) else str(value)
    return _code(shown.lower() if isinstance(value, bool) else shown) + (
        f" and the currency {_code(cell.currency)}" if cell.currency else ""
    )


def _code(text: str) -> str:
    return f"`{text}`"


def _list(words: Iterable[str]) -> str:
    return ", ".join(
        _code(word) for word in sorted(words, key=lambda word: (not word[0].isascii(), word.lower(), word))
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
