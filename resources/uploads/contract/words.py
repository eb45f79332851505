"""Words that people and programs write for nothing, yes and no. Every list is shown in docs/data.md."""

from __future__ import annotations

from resources.uploads.contract.columns import ColumnSpec, ValueType

CERTAINLY_EMPTY = frozenset(
    {"NULL", "null", r"\N", "(null)", "<null>", "[null]", "N/A", "n/a", "#N/A", "NaN", "nan", "None", "<NA>", "NaT"}
    | {"#NULL!", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NV"}
)
"""What programs write for no value, as they write it: nothing is called so, not even where a value is required."""

EMPTY_IF_OPTIONAL = CERTAINLY_EMPTY | {"none", "NONE", "nil", "undefined", "-", "--", "–", "—"}
"""Also what people write; a product may be called Nil or –, but an optional text that says so is empty."""

EMPTY_IF_NO_TEXT = frozenset(
    {word.lower() for word in EMPTY_IF_OPTIONAL} | {"na", "n.a.", "k.a.", "null", "empty", "not set", "(not set)"}
)
"""In lower case: numbers, times and booleans are none of these, whatever the case."""

ZERO_TIMES = frozenset(
    {"0", "0.0", "00000000", "00000000000000", "0000-00-00", "0000/00/00", "00.00.0000", "00/00/0000"}
)
"""What databases write for no date; a time of day of nothing but zeros may follow."""

_YES = frozenset(
    {"true", "t", "yes", "y", "on", "1", "1.0", "wahr", "ja", "j", "oui", "vrai", "si", "sí", "verdadero"}
    | {"sim", "verdadeiro", "vero", "tak", "ano", "igen", "да", "kyllä", "evet", "はい", "是"}
)
_NO = frozenset(
    {"false", "f", "no", "n", "off", "0", "0.0", "falsch", "nein", "non", "faux", "falso", "não", "nao"}
    | {"nie", "ne", "nem", "нет", "ei", "hayır", "いいえ", "否"}
)
_IN_STOCK = frozenset({"instock", "available", "enabled", "active", "published", "visible", "auflager", "verfügbar"})
_OUT_OF_STOCK = frozenset(
    {"outofstock", "soldout", "unavailable", "notavailable", "disabled", "inactive", "unpublished", "hidden"}
    | {"draft", "archived", "discontinued", "ausverkauft", "nichtverfügbar"}
)


def empty_words(spec: ColumnSpec) -> frozenset[str]:
    """Return the words that mean an empty cell in a column of text; they are compared as they stand."""
    return CERTAINLY_EMPTY if spec.required else EMPTY_IF_OPTIONAL


def means_nothing(word: str) -> bool:
    """Tell whether a cell of a number, a time or a boolean is empty."""
    return word.lower() in EMPTY_IF_NO_TEXT


def boolean_words(spec: ColumnSpec) -> dict[str, bool]:
    """Return the words of a column of booleans, in lower case; those about stock have no blanks, `-` and `_`."""
    assert spec.value_type is ValueType.BOOLEAN
    words = dict.fromkeys(_YES, True) | dict.fromkeys(_NO, False)
    if spec.name == "available":
        words |= dict.fromkeys(_IN_STOCK, True) | dict.fromkeys(_OUT_OF_STOCK, False)
    return words
