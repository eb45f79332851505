"""The name that somebody may have meant: `userId` for `user_id`, `valdate_only` for `validate_only`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SHOWN = 30
_LONGEST = 80
_LETTERS_OR_DIGITS = re.compile(r"[^\W_]+")


def nearest_name(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `given`, or `None` where none is like it.

    Case, blanks, `-`, `_` and camel case do not count; a part of a name (`user` of `user_id`) finds it when no other
    name has this part.
    """
    by_form = {_form(name): name for name in known}
    form = _form(given[:_LONGEST])
    if form in by_form:
        return by_form[form]
    near = difflib.get_close_matches(form, by_form, n=1, cutoff=0.75)
    if near:
        return by_form[near[0]]
    with_it = [name for name in by_form.values() if form and form in name.split("_")]
    return with_it[0] if len(with_it) == 1 else None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all there are."""
    names = sorted(known)
    near = nearest_name(given, names)
    if near is not None:
        return f"did you mean {near}?"
    if not names:
        return "there are none here"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"known are: {', '.join(names[:_SHOWN])}{more}"


def _form(name: str) -> str:
    return "".join(_LETTERS_OR_DIGITS.findall(name)).casefold()
