"""Passwords: which are refused, and that hashes are argon2id with the parameters that are written down."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from resources.base.errors import InvalidInput
from resources.people.passwords import (
    MEMORY_KIB,
    TIME_COST,
    common_passwords,
    hash_password,
    renewed_hash,
    verify_password,
)

EMAIL = "jane@example.com"
GOOD = "plain window sofa 9"


def test_a_password_is_stored_as_argon2id() -> None:
    hashed = hash_password(GOOD, email=EMAIL)
    found = extract_parameters(hashed)
    assert (found.type, found.memory_cost, found.time_cost) == (Type.ID, MEMORY_KIB, TIME_COST)
    assert verify_password(hashed, GOOD)
    assert not verify_password(hashed, GOOD + "0")
    assert not verify_password(None, GOOD)
    assert not verify_password(None, "the password of nobody")
    assert not verify_password("no hash at all", GOOD)
    assert renewed_hash(hashed, GOOD) is None
    assert len(hashed) <= 255


def test_a_hash_of_other_parameters_is_renewed() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    renewed = renewed_hash(old, GOOD)
    assert renewed is not None and extract_parameters(renewed).memory_cost == MEMORY_KIB
    assert verify_password(renewed, GOOD)


def test_letters_in_two_parts_are_one_password() -> None:
    assert verify_password(hash_password("grüne Lampe im Flur", email=EMAIL), "gru\u0308ne Lampe im Flur")


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("eleven char", "12 to 200"),
        ("long and dull " * 15, "12 to 200"),
        ("jane@example.com", "name"),
        ("Not-JANE-again-9", "name"),
        ("password2024!", "tried first"),
        ("qwerty123qwerty", "tried first"),
        ("monkeymonkey", "tried first"),
        ("123456789012", "tried first"),
        ("abcdefghijkl", "tried first"),
        ("aaaaaaaaaaaa", "tried first"),
        ("111122223333", "tried first"),
        ("1q2w3e4r5t6y7u8i9o", "tried first"),
        ("!!!liverpool!!!", "tried first"),
    ],
)
def test_passwords_that_are_refused(password: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        hash_password(password, email=EMAIL)
    assert refused.value.details[0].field == "password"
    assert password not in refused.value.message


@pytest.mark.parametrize(
    "password", [GOOD, "correct horse battery", "Tr0ub4dor&3xyzq", "鍵のかかった青い扉と古い傘", "x" * 6 + "yz 84/ab!"]
)
def test_passwords_that_are_taken(password: str) -> None:
    assert verify_password(hash_password(password, email=EMAIL), password)


def test_the_list_has_what_it_says() -> None:
    entries = common_passwords()
    assert len(entries) > 5_000
    assert sum(len(each) >= 12 for each in entries) > 300
    assert all(each == each.casefold().strip() for each in entries)
