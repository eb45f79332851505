"""Categories as paths: which separator a catalogue uses, and what is below a category."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.release.category_paths import CategoryPaths, fold, separator_of

TREE = ("Clothing > T-shirts", "Clothing > Shoes > Boots", "Clothing accessories", "Toys", "Toys > Café")


@pytest.mark.parametrize(
    ("texts", "separator"),
    [
        (TREE, ">"),
        (("Clothing>T-shirts",), ">"),
        (("Clothing|T-shirts", "Toys"), "|"),
        (("Clothing/T-shirts", "Clothing/Shoes"), "/"),
        (("Clothing / T-shirts", "Clothing"), "/"),
        (("Audio/Video", "Kitchen"), None),
        (("electronics.smartphone", "electronics.audio"), "."),
        (("No. 1", "No. 2"), None),
        (("Dr. A", "Dr. B", "C > D"), ">"),
        (("Home > Bath/Kitchen", "Home > Bath/Sauna", "Home"), ">"),
        (("a::b", "c"), "::"),
        (("> a", "b >"), None),
        ((), None),
    ],
)
def test_the_separator_is_that_of_the_catalogue(texts: tuple[str, ...], separator: str | None) -> None:
    assert separator_of(texts) == separator


def test_what_is_below_a_category() -> None:
    paths = CategoryPaths(TREE)
    assert paths.below("clothing ") == ["Clothing > T-shirts", "Clothing > Shoes > Boots"]
    assert paths.below("Clothing>shoes") == ["Clothing > Shoes > Boots"]
    assert paths.below("Toys") == ["Toys", "Toys > Café"]
    assert paths.below("TOYS > Cafe\u0301") == ["Toys > Café"]
    assert paths.below("Clothing accessories") == ["Clothing accessories"]
    for nothing in ("Shoes", "Cloth", "", " > ", "Toys > "):
        assert paths.below(nothing) == (["Toys", "Toys > Café"] if nothing == "Toys > " else ())


def test_without_paths_a_category_is_itself() -> None:
    paths = CategoryPaths(("Audio/Video", "Audio equipment", "audio/video"))
    assert (paths.separator, paths.below("Audio")) == (None, ())
    assert paths.below("AUDIO/VIDEO") == ["Audio/Video", "audio/video"]


@given(st.text(max_size=8))
def test_texts_are_compared_in_one_form(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3), max_size=8))
def test_below_is_the_beginning_of_the_path(paths: list[list[str]]) -> None:
    texts = [" > ".join(path) for path in paths]
    tree = CategoryPaths(texts, separator=">")
    for path in paths:
        for depth in range(1, len(path) + 1):
            under = [text for text, other in zip(texts, paths, strict=True) if other[:depth] == path[:depth]]
            assert list(tree.below(">".join(path[:depth]))) == under
