"""Ids in files: the form that `resources.base.ids` gives a single one, by the column where a column has to decide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from resources.base.ids import (
    BLANKS,
    INVISIBLE,
    has_lost_digits,
    is_whole_float,
    is_wrapped,
    nobody_words,
    normalise_id,
    shape_problem,
    spelled,
    without_quotes,
    words_of_nobody,
)
from resources.uploads.contract.columns import ColumnSpec
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.decisions import ColumnDecision
from resources.uploads.normalising.evidence import Seen, Sign

CONTROL_CHARACTER, LOST_DIGITS, NOBODY = "control_character", "lost_digits", "placeholder"
"""Problems of an id."""

# What a single pass over a column finds: anything that is not plain, unbroken ASCII, or has one of the odd forms.
_ODD_FORM = r"^['=]|^-?\d+\.0+$|^-?\d(?:\.\d+)?[eE]\+?\d{1,3}$"
_ODD = rf"[^!-~]|{_ODD_FORM}"
_UNSEEN = rf"[{INVISIBLE}\x{{200c}}\x{{200d}}]"
_NUMBERS = r"^\s*-?\d+\s*$|^-?\d(?:\.\d+)?[eE]\+?\d{1,3}$"
_PLAIN_BLANKS = "\t\n\r "
_WRAPPED = r"^\s*(?:=\"[^\"]*\"|'[^']*\d.*)\s*$"
_WHOLE = r"^\s*(?:-?[1-9]\d*|0)\.0+\s*$"
_ALONE = ColumnDecision(unwrap_formulas=True, whole_floats=True)
_SAMPLE = 64
"""Cells of a batch without any odd one that say whether its ids are numbers."""


def read_ids(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision, placeholders: frozenset[str]) -> ReadColumn:
    """Read a column of ids (String). `placeholders` are the tenant's own words for nobody, of users only.

    A word for nobody is a problem in a required column, and in any other it is an empty cell: a session or an event
    that every visitor seems to share is none.
    """
    cleaned, problems, findings = text, None, list[Finding]()
    odd = (text.str.contains(_ODD) | (text == "")).fill_null(False)
    if not odd.any():
        signs = _plain_ids(text.head(_SAMPLE))
    else:
        cells = _Cells(text.filter(odd), spec.name, decision)
        cleaned = text.clone().scatter(odd.arg_true(), cells.cleaned)  # it changes its series
        findings, signs = cells.findings(), cells.signs(text)
        if cells.problems is not None:
            problems = _nulls(text).scatter(odd.arg_true(), cells.problems)
    words = words_of_nobody(tuple(sorted(placeholders))) if spec.name == "user_id" else nobody_words()
    nobody = cleaned.is_in(list(words)).fill_null(False)
    if nobody.any():
        if spec.required:
            problems = (_nulls(text) if problems is None else problems).set(nobody, NOBODY)
        else:
            examples = tuple(cleaned.filter(nobody).unique(maintain_order=True).head(MAX_EXAMPLES))
            findings.append(Finding("id_emptied", spec.name, int(nobody.sum()), examples))
            cleaned = cleaned.set(nobody, None)
    values = cleaned if problems is None else cleaned.set(problems.is_not_null(), None)
    return ReadColumn(cleaned, values, problems, findings=tuple(findings), signs=signs)


def in_one_form(rows: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    """Rows that an earlier version accepted, with the ids of these columns as they would be read now."""
    looked = [
        expression.alias(f"{name}:{what}")
        for name in names
        for what, expression in (
            ("odd", pl.col(name).str.contains(_ODD).any()),
            ("wrapped", pl.col(name).str.contains(_WRAPPED).any()),
            ("whole", pl.col(name).str.contains(_WHOLE).any()),
            ("agrees", pl.col(name).str.contains(rf"{_WRAPPED}|{_WHOLE}|{_NUMBERS}").all()),
        )
    ]
    found = rows.select(looked).collect(engine="streaming").row(0, named=True)
    changed = []
    for name in names:
        if found[f"{name}:odd"]:
            agrees = bool(found[f"{name}:agrees"])
            decision = ColumnDecision(
                unwrap_formulas=agrees and bool(found[f"{name}:wrapped"]),
                whole_floats=agrees and bool(found[f"{name}:whole"]),
            )
            changed.append(_read_as(name, decision))
    return rows.with_columns(changed) if changed else rows


def each_in_one_form(rows: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    """Rows whose ids in these columns came one by one, as events do, as they would be read now."""
    return rows.with_columns(_read_as(name, _ALONE) for name in names)


def is_id(cell: pl.Expr, text: str) -> pl.Expr:
    """Whether a cell is a normalised id, in any form in which an earlier version or a file has it."""
    seen = cell.cast(pl.String).str.replace_all(f"[{INVISIBLE}]", "").str.strip_chars(BLANKS)
    if not text.isascii():
        seen = seen.str.normalize("NFC")
    return seen.is_in(list(spelled(text))).fill_null(False)


class _Cells:
    """The odd cells of a column: different ones are looked at once."""

    def __init__(self, text: pl.Series, column: str, decision: ColumnDecision) -> None:
        self._text, self._column, self._decision = text, column, decision
        suspect = text.filter(_suspect(text)).unique(maintain_order=True).to_list()
        tidied = {cell: normalise_id(cell, unwrap=False, whole_floats=False) for cell in suspect}
        self._wrapped = {cell for cell in suspect if is_wrapped(tidied[cell])}
        self._whole = {cell for cell in suspect if is_whole_float(without_quotes(tidied[cell]))}
        self._unseen = {cell for cell in suspect if tidied[cell] != cell.strip(_PLAIN_BLANKS)}
        unwrap, whole = decision.unwrap_formulas, decision.whole_floats
        ids = {cell: normalise_id(each, unwrap=unwrap, whole_floats=whole) for cell, each in tidied.items()}
        self.cleaned = text.replace(suspect, [ids[cell] or None for cell in suspect]) if suspect else text
        found = {cell: problem for cell, each in ids.items() if (problem := _problem(each))}
        self.problems = (
            text.replace_strict(list(found), list(found.values()), default=None, return_dtype=pl.String)
            if found
            else None
        )

    def findings(self) -> list[Finding]:
        """What was taken off, and what was not because the column does not agree."""
        unwrap, whole = self._decision.unwrap_formulas, self._decision.whole_floats
        counted = {
            "id_cleaned": self._unseen,
            "id_unwrapped": self._wrapped if unwrap else set(),
            "id_whole_float": self._whole if whole else set(),
            "id_form_kept": (set() if unwrap else self._wrapped) | (set() if whole else self._whole),
        }
        return [
            Finding(code, self._column, seen.count, seen.examples)
            for code, cells in counted.items()
            if (seen := self._seen(cells)).count
        ]

    def signs(self, column: pl.Series) -> dict[Sign, Seen]:
        """The evidence of the whole column."""
        counted = {Sign.FORMULA: self._wrapped, Sign.WHOLE_FLOAT: self._whole}
        found = {sign: self._seen(cells) for sign, cells in counted.items() if cells}
        if not found:
            return _plain_ids(column.head(_SAMPLE))
        rest = column.filter(~column.is_in([*self._wrapped, *self._whole]))
        return {**found, **_plain_ids(rest)}

    def _seen(self, cells: set[str]) -> Seen:
        if not cells:
            return Seen()
        theirs = self._text.filter(self._text.is_in(list(cells)))
        return Seen(theirs.len(), tuple(theirs.unique(maintain_order=True).head(MAX_EXAMPLES)))


def _suspect(text: pl.Series) -> pl.Series:
    """Cells that are not an id in its one form already (Boolean, one per cell)."""
    looked = text.str.contains(rf"{_ODD_FORM}|{_UNSEEN}|\p{{Cc}}|^$") | (text.str.strip_chars(BLANKS) != text)
    return looked if text.str.contains(r"^[\x00-\x7f]*$").all() else looked | (text.str.normalize("NFC") != text)


def _plain_ids(text: pl.Series) -> dict[Sign, Seen]:
    """Ids that are no numbers, so that the column has more than what a spreadsheet or a program has spoilt."""
    neutral = text.str.contains(_NUMBERS) | text.str.strip_chars(BLANKS).is_in(["", *nobody_words()])
    plain = text.filter(~neutral)
    return {Sign.PLAIN_ID: Seen(plain.len(), tuple(plain.head(MAX_EXAMPLES)))} if plain.len() else {}


def _problem(text: str) -> str | None:
    if not text:
        return None  # an empty cell, which a rule of its own is about
    if has_lost_digits(text):
        return LOST_DIGITS
    return CONTROL_CHARACTER if (shape_problem(text) or "").endswith("control characters") else None


def _nulls(text: pl.Series) -> pl.Series:
    return pl.Series(text.name, [None], dtype=pl.String).new_from_index(0, text.len())


def _read_as(name: str, decision: ColumnDecision) -> pl.Expr:
    read = partial(_one_form, decision=decision)
    return pl.col(name).map_batches(read, return_dtype=pl.String, is_elementwise=True)


def _one_form(column: pl.Series, *, decision: ColumnDecision) -> pl.Series:
    odd = column.str.contains(_ODD).fill_null(False)
    if not odd.any():
        return column
    cells = column.filter(odd)
    suspect = cells.filter(_suspect(cells)).unique().to_list()
    unwrap, whole = decision.unwrap_formulas, decision.whole_floats
    ids = [normalise_id(cell, unwrap=unwrap, whole_floats=whole) or cell for cell in suspect]
    return column.replace(suspect, ids) if suspect else column
