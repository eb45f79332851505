"""The month that monthly limits count in: of UTC, from its first day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Month:
    """A month of UTC; `ends_at` is when the next one begins."""

    starts_at: datetime
    ends_at: datetime

    @classmethod
    def at(cls, now: datetime) -> Month:
        """The month of a time."""
        starts = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(starts, (starts + timedelta(days=32)).replace(day=1))

    @property
    def name(self) -> str:
        """As people write it: `2026-10`."""
        return f"{self.starts_at:%Y-%m}"

    @property
    def first_day(self) -> date:
        """Its first day."""
        return self.starts_at.date()

    def seconds_left(self, now: datetime) -> int:
        """Seconds until it ends, at least one."""
        return max(1, int((self.ends_at - now).total_seconds()) + 1)

    def share_gone(self, now: datetime) -> float:
        """How much of it is over, 0 to 1."""
        return (now - self.starts_at) / (self.ends_at - self.starts_at)
