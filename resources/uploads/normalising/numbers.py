"""Numbers and money: what people and programs write around the digits is taken off, and nothing is guessed.

A sign that can only stand before decimals, or only between thousands, is read wherever it stands. `1.299` and `1,299`
could be either: there the column decides.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import replace
from functools import partial

import polars as pl

from resources.uploads.contract.columns import ColumnSpec, ValueType
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding, merge
from resources.uploads.contract.words import means_nothing
from resources.uploads.normalising.cells import MAX_CELL_CHARACTERS, Cell, ReadColumn, read_cells
from resources.uploads.normalising.currencies import split_currency
from resources.uploads.normalising.decisions import UNDECIDED, ColumnDecision
from resources.uploads.normalising.evidence import Seen, Sign, added
from resources.uploads.normalising.texts import clean_text, empty_to_null

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_POINT_OR_GROUPS = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"
_DOUBTFUL = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
_GROUPS = {
    ",": re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"),  # the second is of India
    ".": re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+"),
    " ": re.compile(r"[0-9]{1,3}(?: [0-9]{3})+"),
}
_FROM = r"(?:from:?|ab|starting at|à partir de|od|da|desde|up to|[<>]=?)"
_RANGE = re.compile(rf"[0-9][0-9.,]*\s*(?:-|–|—|to|bis|à|\.\.)\s*[0-9][0-9.,]*|{_FROM}\s*[0-9].*")
_SIGNS = str.maketrans(
    dict.fromkeys("\u00a0\u202f\u2009\u2007\u3000'’`´", " ") | {"−": "-", "\u066b": ".", "\u066c": " "}
)
_NO_DECIMALS = re.compile(r"(?<=[0-9])[.,](?:-{1,2}|–|—)$")
_OF_NUMBERS = frozenset("0123456789., ")
_FIRST_ROWS = 1000
_WRAPPED = re.compile(r'="(.*)"|\'(.*)')


def normalise_number(text: str, decision: ColumnDecision = UNDECIDED, *, money: bool = False) -> Cell[float]:
    """Read a number; with `money` a currency may stand before or behind it."""
    body = text.strip()
    if not body:
        return Cell()
    if means_nothing(body):
        return Cell(notes=("empty_word",))
    if len(body) > MAX_CELL_CHARACTERS:
        return Cell(problem="not_a_number")
    notes: tuple[str, ...] = ()
    if wrapped := _WRAPPED.fullmatch(body):
        body, notes = (wrapped[1] or wrapped[2] or "").strip(), ("formula_taken_off",)
    body = _in_ascii(body)
    if _RANGE.fullmatch(body.lower()):
        return Cell(problem="number_range")
    body, currency = split_currency(body) if money else (body, None)
    if currency is not None:
        notes += ("currency_taken_off",)
    negative, body = _sign_of(body)
    read = _read_digits(_NO_DECIMALS.sub("", body), decision, bare=currency is None)
    signs = read.signs if currency is None else (*read.signs, Sign.CURRENCY)
    if read.value is None:
        return Cell(problem=read.problem, signs=signs, currency=currency)
    value = -read.value if negative else read.value
    return Cell(value, notes=(*notes, *read.notes), signs=signs, currency=currency)


def read_numbers(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision, *, strict: bool) -> ReadColumn:
    """Read a column of numbers (String) as finite Float64."""
    if strict:
        cleaned = clean_text(text)
        return ReadColumn(cleaned, _plain(cleaned))
    values = _plain(text)
    text = empty_to_null(text, values)
    odd = values.is_null() & text.is_not_null()
    has_odd = bool(odd.any())
    signs = _signs_of_plain(text.filter(~odd) if has_odd else text, all_plain=not has_odd)
    findings: tuple[Finding, ...] = ()
    if decision.decimal == ",":
        values, findings = _with_grouped(text, values, spec.name)
    if not has_odd:
        return ReadColumn(text, values, findings=findings, signs=signs)
    normalise = partial(normalise_number, decision=decision, money=spec.value_type is ValueType.MONEY)
    read = read_cells(text, values, odd, normalise, spec.name)
    return replace(read, findings=merge((*findings, *read.findings)), signs=added(signs, read.signs))


def _plain(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    finite = number.is_finite()
    return number if finite.all() else number.set(~finite, None)


def _signs_of_plain(text: pl.Series, *, all_plain: bool) -> dict[Sign, Seen]:
    """What cells say that are numbers as they stand: nothing where no point is, one proof where there is one.

    A column whose first rows prove that a point stands before decimals costs no more than looking at those.
    """
    if all_plain and (proof := _proof(text.head(_FIRST_ROWS))) is not None:
        return {Sign.POINT: Seen(1, (proof,))}
    pointed = text.str.contains(".", literal=True)
    if not pointed.any():
        return {}
    text = text.filter(pointed)
    signs: dict[Sign, Seen] = {}
    if (proof := _proof(text)) is not None:
        signs[Sign.POINT] = Seen(1, (proof,))
    if proof is None or not all_plain:
        doubtful = text.filter(text.str.contains(_POINT_OR_GROUPS))
        if len(doubtful):
            examples = doubtful.unique(maintain_order=True).head(MAX_EXAMPLES)
            signs[Sign.POINT_OR_GROUPS] = Seen(len(doubtful), tuple(examples))
    return signs


def _proof(text: pl.Series) -> str | None:
    """Return the first cell whose point stands before decimals for sure."""
    sure = text.filter(text.str.contains(".", literal=True) & ~text.str.contains(_POINT_OR_GROUPS))
    return sure[0] if len(sure) else None


def _with_grouped(text: pl.Series, values: pl.Series, column: str) -> tuple[pl.Series, tuple[Finding, ...]]:
    """Read `1.299` as 1299, where the column has decimal commas."""
    grouped = text.str.contains(_POINT_OR_GROUPS).fill_null(value=False)
    if not grouped.any():
        return values, ()
    cells = text.filter(grouped)
    numbers = cells.str.replace(".", "", literal=True).cast(pl.Float64)
    examples = tuple(cells.unique(maintain_order=True).head(MAX_EXAMPLES))
    return values.scatter(grouped.arg_true(), numbers), (Finding("thousands_taken_off", column, len(cells), examples),)


def _in_ascii(text: str) -> str:
    """Digits of any script as ASCII, and one sign for each kind of blank, minus and apostrophe."""
    text = text.translate(_SIGNS)
    if text.isascii():
        return text
    return "".join(str(digit) if (digit := unicodedata.decimal(c, -1)) >= 0 else c for c in text)


def _sign_of(body: str) -> tuple[bool, str]:
    """Split off a minus, which accountants write as brackets and some programs behind the number."""
    if body.startswith("(") and body.endswith(")"):
        return True, body[1:-1].strip()
    if body.startswith("-"):
        return True, body[1:].lstrip()
    if body.endswith("-") and body[-2:-1].isdigit():
        return True, body[:-1]
    return False, body.removeprefix("+").lstrip()


def _read_digits(body: str, decision: ColumnDecision, *, bare: bool) -> Cell[float]:
    """Read digits with signs between them; `bare` when nothing was taken off that a plain number has not."""
    if _DOUBTFUL.fullmatch(body):
        return _doubtful(body, decision, bare=bare)
    if _PLAIN.fullmatch(body):
        value = float(body)
        if not math.isfinite(value):
            return Cell(problem="not_a_number")
        return Cell(value, signs=(Sign.POINT,) if "." in body else ())
    if not body.isascii() or not set(body) <= _OF_NUMBERS:
        return Cell(problem="not_a_number")
    decimal = _decimal_sign(body)
    whole, found, decimals = body.rpartition(decimal) if decimal else (body, "", "")
    if not found:
        whole, decimals = decimals, ""
    if not decimal:
        whole = body
    groups = {c for c in whole if not c.isdigit()}
    if (not decimals.isdigit() and decimals) or len(groups) > 1:
        return Cell(problem="not_a_number")
    group = next(iter(groups), "")
    if group and not _GROUPS[group].fullmatch(whole):
        return Cell(problem="not_a_number")
    digits = whole.replace(group, "") if group else whole
    if not digits and not decimals:
        return Cell(problem="not_a_number")
    comma = decimal == "," or group == "."
    point = decimal == "." or group == ","
    notes = (("thousands_taken_off",) if group else ()) + (("decimal_comma",) if decimal == "," else ())
    signs = ((Sign.COMMA,) if comma else ()) + ((Sign.POINT,) if point else ())
    return Cell(float(f"{digits or 0}.{decimals or 0}"), notes=notes, signs=signs)


def _decimal_sign(body: str) -> str:
    """Which of point and comma stands before the decimals, for sure; neither where both, or one, part thousands."""
    points, commas = body.count("."), body.count(",")
    if points and commas:
        return "." if body.rfind(".") > body.rfind(",") else ","
    if points == 1:
        return "."
    if commas == 1:
        return ","
    return ""


def _doubtful(body: str, decision: ColumnDecision, *, bare: bool) -> Cell[float]:
    """Read `1.299` or `1,299`: a plain one with a point has always been a number with decimals."""
    written = "." if "." in body else ","
    signs: tuple[Sign, ...] = (Sign.COMMA_OR_GROUPS,)
    if written == ".":
        signs = (Sign.POINT_OR_GROUPS,) if bare else (Sign.POINT_OR_GROUPS, Sign.AMOUNT_OR_GROUPS)
    decimal = decision.decimal or ("." if bare and written == "." else None)
    if decimal is None:
        return Cell(problem="ambiguous_number", signs=signs)
    if decimal == written:
        return Cell(float(body.replace(",", ".")), notes=("decimal_comma",) if written == "," else (), signs=signs)
    return Cell(float(body.replace(written, "")), notes=("thousands_taken_off",), signs=signs)
