"""What is counted, and of whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Literal

StatusClass = Literal["2xx", "3xx", "4xx", "refused", "5xx"]
"""How calls ended. `refused`: 401, 402, 403 and 429, before any work; neither those nor `5xx` are billed."""
BILLED: tuple[StatusClass, ...] = ("2xx", "3xx", "4xx")
"""Calls that are billed: those that were answered, be it that the request was wrong."""
NO_KEY = ""
"""The key of what no key or member has done: runs, files from the landing folder, and counts that were rolled up."""
_REFUSALS = frozenset({401, 402, 403, 429})


@dataclass(frozen=True, slots=True, order=True)
class Counted:
    """Whose amounts they are: one row of the table. `key_id` is a key's or a member's; see `NO_KEY`."""

    tenant: str
    day: date
    key_id: str
    operation: str
    status: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """What was used. `training_ms` is the time of runs, `cpu_ms` the processor time of their processes."""

    calls: int = 0
    recommended_items: int = 0
    events: int = 0
    uploaded_rows: int = 0
    training_ms: int = 0
    cpu_ms: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, name) + getattr(other, name) for name in AMOUNTS))

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in AMOUNTS)


AMOUNTS: tuple[str, ...] = tuple(field.name for field in fields(Amounts))
"""The names of the amounts, which are columns of the table."""


def status_class(status: int) -> StatusClass:
    """Return the class that a call with this HTTP status is counted in."""
    if status in _REFUSALS:
        return "refused"
    return "5xx" if status >= 500 else "4xx" if status >= 400 else "3xx" if status >= 300 else "2xx"


def summed(*parts: Iterable[tuple[Counted, Amounts]]) -> dict[Counted, Amounts]:
    """Add up the amounts of equal keys."""
    found: dict[Counted, Amounts] = {}
    for part in parts:
        for key, amounts in part:
            found[key] = found[key] + amounts if key in found else amounts
    return found


def without_keys(entries: Mapping[Counted, Amounts]) -> dict[Counted, Amounts]:
    """Return the amounts of whole tenants: those of single keys are added up."""
    return summed(
        (Counted(key.tenant, key.day, NO_KEY, key.operation, key.status), amounts) for key, amounts in entries.items()
    )
