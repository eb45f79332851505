"""Which texts are tenant ids."""

import pytest

from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId


@pytest.mark.parametrize("text", ["a", "7", "blue-shop", "a--b", "x" * 63])
def test_slugs_are_taken_as_they_are(text: str) -> None:
    assert TenantId(text).value == str(TenantId.parse(text)) == text


def test_parse_drops_blanks_around() -> None:
    assert TenantId.parse("  blue-shop\n") == TenantId("blue-shop")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-a",
        "a-",
        "A",
        "ä",
        "a_b",
        "a.b",
        "..",
        "a/b",
        "../a",
        "a\\b",
        "a\0",
        "a\n",
        "x" * 64,
        "blue shop",
        "１",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="blue-shop") as caught:
        TenantId(text)
    assert caught.value.code == "invalid_request"


def test_a_message_never_repeats_an_endless_id() -> None:
    with pytest.raises(InvalidInput) as caught:
        TenantId("X" * 10_000)
    assert len(caught.value.message) < 300


def test_ids_sort_and_are_keys() -> None:
    assert sorted([TenantId("b"), TenantId("a")]) == [TenantId("a"), TenantId("b")]
    assert len({TenantId("a"), TenantId("a")}) == 1
