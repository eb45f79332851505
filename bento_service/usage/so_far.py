"""What tenants have used today and this month, as a worker that answers them knows it without asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from threading import Lock
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.usage.amounts import Amounts, Counted
from resources.usage.current import Usage, usage_from_amounts, usages_of

_ASKED_SECONDS = 60.0
"""A tenant that nobody has asked about for so long is looked up no more."""
_EARLIER_SECONDS = 600.0
_MOST = 10_000
_log = structlog.get_logger("recsaas.usage")


@dataclass(frozen=True, slots=True)
class _Known:
    day: date
    today: Usage
    earlier: Usage


class UsageSoFar:
    """Sums of tenants that are asked about, read anew each time that this worker writes counts."""

    def __init__(self, db: ControlDb, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, float] = {}
        self._earlier_read = (date.min, -_EARLIER_SECONDS)
        self._lock = Lock()

    def today(self, tenant: TenantId, more: Mapping[Counted, Amounts]) -> Usage:
        """What the tenant has used today, `more` included, which is not written yet."""
        day = self._clock().date()
        known = self._find(tenant, day)
        return (known.today if known is not None else Usage()) + _of(tenant, day, more)

    def this_month(self, tenant: TenantId, more: Mapping[Counted, Amounts]) -> Usage:
        """The same since the first of the month."""
        day = self._clock().date()
        known = self._find(tenant, day)
        return (known.today + known.earlier if known is not None else Usage()) + _of(tenant, day, more)

    def refresh(self) -> None:
        """Read the sums of tenants that were asked about in the last minute; an outage leaves those that there are."""
        with self._lock:
            since = monotonic() - _ASKED_SECONDS
            self._asked = {name: at for name, at in self._asked.items() if at >= since}
            asked = tuple(self._asked)
        if not asked:
            self._known = {}
            return
        day = self._clock().date()
        read_day, read_at = self._earlier_read
        missing = [name for name in asked if name not in self._known]
        anew = asked if read_day != day or monotonic() - read_at >= _EARLIER_SECONDS else tuple(missing)
        try:
            with self._db.read() as session:
                today = usages_of(session, asked, since=day, until=day)
                earlier = usages_of(session, anew, since=day.replace(day=1), until=day - timedelta(days=1))
        except SQLAlchemyError as error:
            _log.warning("usage_not_read", kind=type(error).__name__)
            return
        if len(anew) == len(asked):
            self._earlier_read = (day, monotonic())
        kept = {name: known.earlier for name, known in self._known.items() if name not in anew}
        self._known = {
            name: _Known(day, today.get(name, Usage()), kept[name] if name in kept else earlier.get(name, Usage()))
            for name in asked
        }

    def _find(self, tenant: TenantId, day: date) -> _Known | None:
        with self._lock:
            if tenant.value in self._asked or len(self._asked) < _MOST:
                self._asked[tenant.value] = monotonic()
        known = self._known.get(tenant.value)
        return known if known is not None and known.day == day else None


def _of(tenant: TenantId, day: date, more: Mapping[Counted, Amounts]) -> Usage:
    found = Usage()
    for key, amounts in more.items():
        if key.tenant == tenant.value and key.day == day:
            found += usage_from_amounts(amounts, key.status)
    return found
