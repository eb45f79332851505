"""What of a stored change of an item can be used: an earlier version may have stored anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pydantic import JsonValue

from resources.control_db.items import ItemChange
from resources.uploads.contract.columns import DELETED, Kind, ValueType, columns

_ACTIONS = ("put", "patch", "delete")


def usable_changes(changes: Iterable[ItemChange]) -> tuple[ItemChange, ...]:
    """The changes without fields whose values no item may have; one that is no known action is not among them.

    A field that cannot be used counts as left out: a `put` has none of it, a `patch` leaves it as it was.
    """
    found = (_usable(change) for change in changes)
    return tuple(change for change in found if change is not None)


def count_unusable(changes: Iterable[ItemChange]) -> int:
    """How many changes can be used in part or not at all."""
    return sum(_usable(change) is not change for change in changes)


def _usable(change: ItemChange) -> ItemChange | None:
    """`change` itself when all of it can be used."""
    if change.action not in _ACTIONS:
        return None
    if not isinstance(change.fields, Mapping):
        return replace(change, fields={})
    fits = {name: value for name, value in change.fields.items() if name not in _FITS or _FITS[name](value)}
    return change if len(fits) == len(change.fields) else replace(change, fields=fits)


def _is_text(value: JsonValue) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: JsonValue) -> bool:
    if value is None:
        return True
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(number := float(value)) and number >= 0
    except OverflowError:
        return False


def _is_time(value: JsonValue) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_CHECKS: Mapping[ValueType, Callable[[JsonValue], bool]] = {
    ValueType.ID: _is_text,
    ValueType.TEXT: _is_text,
    ValueType.NUMBER: _is_number,
    ValueType.MONEY: _is_number,
    ValueType.TIME: _is_time,
    ValueType.BOOLEAN: lambda value: value is None or isinstance(value, bool),
}
_FITS = {spec.name: _CHECKS[spec.value_type] for spec in columns(Kind.ITEMS) if spec.name not in ("item_id", DELETED)}
