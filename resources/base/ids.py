"""Ids that a shop chooses: one form of each, and what they must look like, wherever they enter."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

MAX_ID_BYTES = 256
"""UTF-8 bytes of an id of a user, an item, a session or an event, after normalising."""
BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""What counts as a blank around a value: the white space of Unicode."""
INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
"""Characters that nobody sees (soft hyphen, zero widths, marks of direction and of byte order), as in a pattern."""

_JOINERS = "\u200c\u200d"
# Between two letters of such a script, or two pictures, a joiner says something; anywhere else it is dirt.
_UNSEEN = re.compile(f"[{INVISIBLE}]|(?<![^\\x00-\\x7f])[{_JOINERS}]+|[{_JOINERS}]+(?![^\\x00-\\x7f])")
_FORMULA = re.compile(r'="([^"]*)"')
_APOSTROPHE = re.compile(r"'(?=[^']*\d)")
_WHOLE_FLOAT = re.compile(r"(-?[1-9]\d*|0)\.0+", re.ASCII)
_LOST_DIGITS = re.compile(r"-?\d(?:\.\d+[eE]\+?\d{1,3}|[eE]\+\d{1,3})", re.ASCII)

LOST_DIGITS = "has lost digits in a spreadsheet: format the column as text before the ids come in, and export again"
NOBODY = "stands for nobody: leave the row out, or send the shop's own id of this user or item"
_NOBODY_WORDS = (
    *("null", "(null)", "<null>", "\\n", "#null!", "none", "(none)", "nan", "nat", "<na>", "n/a", "#n/a"),
    *("undefined", "(undefined)", "(not set)", "not set", "[object object]", "00000000-0000-0000-0000-000000000000"),
)
_DOUBTFUL_WORDS = (
    *("guest", "anonymous", "anon", "unknown", "visitor", "unauthenticated", "not logged in", "na", "0", "-1"),
)


def normalise_id(text: str, *, unwrap: bool = True, whole_floats: bool = True) -> str:
    """Return the one form of an id; doing it again changes nothing. Leading zeros and case stay.

    Letters are in their composed form (NFC), blanks around it and characters that nobody sees are gone. Two forms are
    spreadsheets' and programs' own: `unwrap` takes `="00017"` and `'00017` as 00017, `whole_floats` takes `17850.0` as
    17850. Of a single value both are true; in a file the whole column has to agree.
    """
    if _is_plain(text):
        return text
    while (once := _normalised_once(text, unwrap, whole_floats)) != text:
        text = once
    return text


def checked_id(text: str) -> str:
    """Return the one form of an id that the data contract accepts: 1–256 bytes, no control characters.

    Raises:
        ValueError: it is not such an id.
    """
    if _is_plain(text) and len(text) <= MAX_ID_BYTES:
        return text
    text = normalise_id(text)
    if problem := shape_problem(text):
        raise ValueError(problem)
    return text


def new_id(text: str) -> str:
    """Return the one form of an id that is about to be stored; reading and erasing take `checked_id`.

    Raises:
        ValueError: it is no id, has lost digits, or stands for nobody.
    """
    text = checked_id(text)
    if has_lost_digits(text):
        raise ValueError(LOST_DIGITS)
    if text in nobody_words():
        raise ValueError(NOBODY)
    return text


def shape_problem(text: str) -> str | None:
    """Say what is wrong with the length or the characters of a normalised id; None when nothing is."""
    if not text:
        return "must not be blank"
    if len(text) * 4 > MAX_ID_BYTES and len(text.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        return f"must not be longer than {MAX_ID_BYTES} bytes"
    if text.isprintable():  # as nearly all are: no control characters, without looking at each one
        return None
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return "must not contain control characters"
    return None


def has_lost_digits(text: str) -> bool:
    """Whether a number was written in powers of ten, such as 4.00638E+12: what the id was cannot be known."""
    return ("E" in text or "e" in text) and _LOST_DIGITS.fullmatch(text) is not None


def is_wrapped(text: str) -> bool:
    """Whether a spreadsheet has put an id into a formula or behind an apostrophe."""
    return _FORMULA.fullmatch(text) is not None or _APOSTROPHE.match(text) is not None


def is_whole_float(text: str) -> bool:
    """Whether an id is a whole number with decimals that are all zero."""
    return _WHOLE_FLOAT.fullmatch(text) is not None


def without_quotes(text: str) -> str:
    """Return an id without the formula or the apostrophe that a spreadsheet has put around it."""
    if found := _FORMULA.fullmatch(text):
        return found[1]
    return text[1:] if _APOSTROPHE.match(text) else text


@cache
def nobody_words() -> frozenset[str]:
    """Words that programs write where they know nobody: an id that is one of them names no user and no item."""
    return spellings(_NOBODY_WORDS)


@lru_cache(maxsize=1024)
def words_of_nobody(own: tuple[str, ...]) -> frozenset[str]:
    """Those words, and a tenant's own for users."""
    return nobody_words() | spellings(tuple([normalise_id(word) for word in own]))


@cache
def doubtful_words() -> frozenset[str]:
    """Words that often stand for nobody, and may be an id all the same."""
    return spellings(_DOUBTFUL_WORDS)


def spellings(words: tuple[str, ...]) -> frozenset[str]:
    """Return the ways in which programs write these words: in small letters, in capitals, with capitals in front."""
    found = {word for each in words for word in (each, each.lower(), each.upper(), each.capitalize(), each.title())}
    if "nan" in found:
        found |= {"NaN", "NaT", "[object Object]"}
    return frozenset(found)


def spelled(text: str) -> tuple[str, ...]:
    """The forms of a normalised id, itself first, in which files and earlier versions write it most."""
    forms = [text, f'="{text}"', f"'{text}"]
    forms += [unicodedata.normalize("NFD", text)] if not text.isascii() else []
    forms += [f"{text}.0", f"{text}.00"] if _WHOLE_FLOAT.fullmatch(f"{text}.0") else []
    return tuple(dict.fromkeys(form for form in forms if normalise_id(form) == text))


def _is_plain(text: str) -> bool:
    """Whether an id is one that nothing has to be done with, as nearly all are; never when it is empty."""
    return (
        text.isascii()
        and text.isprintable()
        and text[:1] not in " ='"
        and ((last := text[-1]) not in '0 "' or (last == "0" and "." not in text))
    )


def _normalised_once(text: str, unwrap: bool, whole_floats: bool) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    text = text.strip(BLANKS)
    if unwrap:
        text = without_quotes(text)
    if whole_floats and (found := _WHOLE_FLOAT.fullmatch(text)):
        return found[1]
    return text
