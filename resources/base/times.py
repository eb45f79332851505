"""Times that somebody sends: as UTC, which not every time with an offset has."""

from __future__ import annotations

from datetime import UTC, datetime


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
