"""Counts of this worker that are not written yet."""

from __future__ import annotations

from datetime import date
from threading import Lock

from bento_service.usage.operations import operation_of
from resources.base.tenant import TenantId
from resources.usage.amounts import Amounts, Counted, status_class, summed


class UsageCounters:
    """What requests have used since it was last taken. Any thread may count."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str, str, int], int] = {}
        self._items: dict[tuple[str, str, str], int] = {}
        self._lock = Lock()

    def call(self, tenant: str, key_id: str, method: str, route: str, status: int, count: int = 1) -> None:
        """Count a call that was answered; `route` is its template. One with several requests in it counts each."""
        key = (tenant, key_id, method, route, status)
        with self._lock:  # without it a count could go into what was taken in this moment
            self._calls[key] = self._calls.get(key, 0) + count

    def recommended(self, tenant: TenantId, key_id: str, operation: str, items: int) -> None:
        """Count items that an answer has shown."""
        key = (tenant.value, key_id, operation)
        with self._lock:
            self._items[key] = self._items.get(key, 0) + items

    def take(self, day: date) -> dict[Counted, Amounts]:
        """Return what was counted and begin anew. It is the usage of `day`: that of a second around midnight may be
        that of the day after."""
        with self._lock:
            calls, self._calls = self._calls, {}
            items, self._items = self._items, {}
        return _amounts(day, calls, items)

    def look(self, day: date) -> dict[Counted, Amounts]:
        """Return what was counted, and leave it here."""
        with self._lock:
            calls, items = dict(self._calls), dict(self._items)
        return _amounts(day, calls, items)


def _amounts(
    day: date, calls: dict[tuple[str, str, str, str, int], int], items: dict[tuple[str, str, str], int]
) -> dict[Counted, Amounts]:
    return summed(
        (
            (Counted(tenant, day, key_id, operation_of(method, route), status_class(status)), Amounts(calls=count))
            for (tenant, key_id, method, route, status), count in calls.items()
        ),
        (
            (Counted(tenant, day, key_id, operation, "2xx"), Amounts(recommended_items=count))
            for (tenant, key_id, operation), count in items.items()
        ),
    )
