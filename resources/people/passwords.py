"""Passwords: which are good enough, and how they are stored."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from resources.base.errors import FieldProblem, InvalidInput

LEAST_CHARACTERS = 12
MOST_CHARACTERS = 200
TIME_COST = 2
MEMORY_KIB = 46 * 1024
PARALLELISM = 1
"""argon2id with 46 MiB and two passes took 76 ms on a core of 2025. RFC 9106 names 64 MiB and three passes where memory
is short, OWASP 46 MiB and one pass as the least; one lane, because each of the few threads has one core."""
_LEAST_OF_NAME = 4
"""Characters that the name in an address must have for a password to be refused for holding it."""
_SEQUENCES = (
    *("0123456789", "9876543210", "qwertyuiop"),
    *("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba"),  # pragma: allowlist secret
)


def hash_password(password: str, *, email: str) -> str:
    """Return the hash to store of a new password; it takes some 80 ms and `MEMORY_KIB` of memory.

    Raises:
        InvalidInput: the password is too short, too long, common, or holds the name in the address.
    """
    return _hasher().hash(checked_password(password, email=email))


def checked_password(password: str, *, email: str) -> str:
    """Return a new password in the one form that is hashed.

    Raises:
        InvalidInput: it is too short, too long, common, or holds the name in the address.
    """
    password = _one_form(password)
    problem = _problem(password, email)
    if problem is not None:
        raise InvalidInput(f"The password {problem}.", details=(FieldProblem("password", problem),))
    return password


def verify_password(password_hash: str | None, password: str) -> bool:
    """Tell whether this is the password; without a hash it takes the same time, and the answer is no."""
    try:
        return _hasher().verify(password_hash or _of_nobody(), _one_form(password)) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def same_password(one: str, other: str) -> bool:
    """Tell whether two texts are one password."""
    return _one_form(one) == _one_form(other)


def renewed_hash(password_hash: str, password: str) -> str | None:
    """Return a hash of today's parameters for a password that was verified; None where the stored one has them."""
    return _hasher().hash(_one_form(password)) if _hasher().check_needs_rehash(password_hash) else None


def _one_form(password: str) -> str:
    """Return the password as it is hashed: keyboards write one letter in several ways, and nobody sees which."""
    return unicodedata.normalize("NFKC", password[: MOST_CHARACTERS * 4])


def _problem(password: str, email: str) -> str | None:
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        return f"must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters"
    folded = password.casefold()
    name = email.partition("@")[0]
    if folded == email or (len(name) >= _LEAST_OF_NAME and name in folded):
        return "must not hold the name of the e-mail address"
    if _is_common(folded):
        return "is one of those that are tried first; take another, such as four words that do not belong together"
    return None


def _is_common(folded: str) -> bool:
    """Tell whether a password is on the list, or a listed word, a piece or a sequence, with digits around."""
    letters = "".join(each for each in folded if each.isalpha())
    core = _piece(folded.strip("0123456789!?.,#$*-_+@ "))
    pieces = {folded, core, _piece(folded), letters if len(letters) >= LEAST_CHARACTERS // 2 else folded}
    short = len(set(folded)) < 5
    runs = any(_piece(folded) in sequence * 3 for sequence in _SEQUENCES)
    return short or runs or not core or len(core) < 4 or not pieces.isdisjoint(common_passwords())


def _piece(text: str) -> str:
    """Return the shortest text that gives this one when it is repeated: `abc` for `abcabcabc`, and for `abcabcab`."""
    lengths = (n for n in range(1, len(text) // 2 + 1) if text == (text[:n] * len(text))[: len(text)])
    return text[: next(lengths, len(text))]


@cache
def common_passwords() -> frozenset[str]:
    """Return the list that is shipped: entries of 12 characters and more, and words that longer ones are made of."""
    text = files("resources.people").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("# "))


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)


@cache
def _of_nobody() -> str:
    """The hash that is compared with where there is none, so that nobody learns from the time that it takes."""
    return _hasher().hash("the password of nobody")
