"""Ids have one form, which is the same however they come."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resources.base.ids import (
    checked_id,
    has_lost_digits,
    new_id,
    nobody_words,
    normalise_id,
    spelled,
    spellings,
    words_of_nobody,
)

NO_UUID = "00000000-0000-0000-0000-000000000000"
ODD = st.text(st.sampled_from("a1'=\"0. \u00a0\u200b\ufeff\u200d\u00ade\u0301é-E+/"), max_size=12)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('="00017"', "00017"),
        ("'00017", "00017"),
        (' ="00017" ', "00017"),
        ("17850.0", "17850"),
        ("0.00", "0"),
        ("cafe\u0301", "café"),
        ("u\u200b1", "u1"),
        ("\ufeffu1", "u1"),
        ("\u00a0u1\u3000", "u1"),
        ("so\u00adfa\u200e", "sofa"),
        ("a\u200d1", "a1"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
def test_an_id_has_one_form(text: str, form: str) -> None:
    assert normalise_id(text) == form
    assert checked_id(text) == form


@pytest.mark.parametrize(
    "text",
    ["00017", "SKU-1", "sku-1", "'s-hertogenbosch", "1.10", "00017.0", "1E5", "a=1", '="a"b"', "Zoë 🛒", "7 7", "x.0"],
)
def test_what_is_right_stays(text: str) -> None:
    assert normalise_id(text) == text


@given(st.one_of(ODD, st.text(max_size=20)))
@example('="\'="1""')
def test_the_form_of_a_form_is_itself(text: str) -> None:
    once = normalise_id(text)
    assert normalise_id(once) == once
    assert unicodedata.is_normalized("NFC", once)


@given(st.text(st.sampled_from("abc019é-_"), min_size=1, max_size=12))
def test_every_spelling_of_an_id_is_that_id(text: str) -> None:
    assert spelled(text)[0] == text
    assert {normalise_id(form) for form in spelled(text)} == {text}


@pytest.mark.parametrize("text", ["4.00638E+12", "4.0E+12", "1e+21", "1.785E7"])
def test_a_number_that_a_spreadsheet_has_rounded_is_no_new_id(text: str) -> None:
    assert has_lost_digits(text)
    with pytest.raises(ValueError, match="lost digits in a spreadsheet: format the column as text"):
        new_id(text)
    assert checked_id(text) == text  # who has stored it can read and erase it


@pytest.mark.parametrize("text", ["NULL", "null", "\\N", "undefined", "None", "NaN", "(not set)", NO_UUID])
def test_a_word_for_nobody_is_no_new_id(text: str) -> None:
    with pytest.raises(ValueError, match="stands for nobody"):
        new_id(f" {text} ")
    assert checked_id(text) == text


def test_a_tenant_has_words_of_its_own() -> None:
    assert words_of_nobody(("guest",)) == nobody_words() | spellings(("guest",))
    assert {"guest", "Guest", "GUEST"} <= words_of_nobody((" guest ",))
    assert "guest" not in nobody_words()


@pytest.mark.parametrize(
    ("text", "why"), [("\u200b", "blank"), ("a" * 257, "256 bytes"), ("a\0b", "control"), ("é" * 129, "bytes")]
)
def test_what_is_no_id(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_id(text)


def test_the_limit_is_that_of_the_form() -> None:
    assert checked_id("\u200b" * 200 + "a" * 256) == "a" * 256
