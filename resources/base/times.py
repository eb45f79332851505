"""The clock that the parts of a program share, and times that somebody sends, as UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present time in UTC; tests hand in one of their own."""


def in_utc(value: datetime) -> datetime:
    """Return the time in UTC; without an offset it is UTC already.

    Raises:
        ValueError: in UTC it is before the year 1 or after the year 9999, as `0001-01-01T00:00:00+14:00` is.
    """
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is not between the years 1 and 9999 in UTC") from error
