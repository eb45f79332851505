"""What the plans of tenants allow, and what is used of it, as this worker knows it without asking for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.access.counters import MonthlyCounter, Taken
from bento_service.access.redis import SharedStore
from bento_service.http.errors import Busy
from bento_service.scheduling.threads import Threads
from bento_service.usage.metering import Metering
from resources.base.errors import TenantNotFound
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.plans.allowances import Allowance, allowance_of, allowances_of
from resources.plans.model import MONTHLY, Meter
from resources.plans.month import Month
from resources.plans.use import MeterUse, monthly_figures, use_of
from resources.plans.warnings import note_shares
from resources.usage.current import Usage, usages_of

PLAN_SECONDS = 3.0
"""How long a plan is believed without asking the control DB, as long as an API key."""
_READ_AGAIN_SECONDS = 2.0
_EARLIER_SECONDS = 600.0
_LOOK_SECONDS = 60.0
"""How often what is stored is looked at for warnings; monthly meters are every time."""
_HEADER = b"x-quota-warning"
ACCOUNT = tuple(
    f"/api/v1/{name}"
    for name in (
        *("plan", "usage", "invoices", "me", "auth", "members", "invites", "ownership", "api-keys", "webhooks"),
        *("audit", "admin", "tenant", "users", "erasures"),
    )
)
"""How the routes begin that answer whatever is used up: they show it, change the plan, or keep what the law asks."""
_log = structlog.get_logger("recsaas.plans")


@dataclass(frozen=True, slots=True)
class PlanState:
    """Where a tenant stands.

    Attributes:
        rate: requests a second; None: what the installation allows.
        calls, events: that are counted against a limit; None without one, or where more is billed.
        headers: `X-Quota-Warning`, as ASGI wants it; empty below 80 % of every limit.
        limited: whether there is any limit.
    """

    allowance: Allowance
    rate: float | None
    calls: MonthlyCounter | None
    events: MonthlyCounter | None
    headers: tuple[tuple[bytes, bytes], ...]
    limited: bool


class PlanStates:
    """PlanStates by tenant. All that were asked for of late are read together, so that many tenants cost few reads.

    Belongs to the event loop. While the control DB is away the last ones hold on.
    """

    def __init__(
        self, db: ControlDb, threads: Threads, usage: Metering, now: Clock, store: SharedStore | None = None
    ) -> None:
        self._db = db
        self._store = store
        self._threads = threads
        self._usage = usage
        self._now = now
        self.clock = monotonic
        self._known: dict[str, PlanState] = {}
        self._counters: dict[tuple[str, Meter, Month], MonthlyCounter] = {}
        """To the end of the month, longer than what is known: what is leased is not lost when nobody asks for a while,
        and what is given back late still counts."""
        self._asked: set[str] = set()
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._unwarned: dict[str, tuple[Allowance, Usage | None]] = {}
        self._warning: asyncio.Task[None] | None = None
        self._earlier: dict[str, tuple[date, float, Usage]] = {}
        self._looks: dict[str, tuple[float, tuple[MeterUse, ...]]] = {}
        self._told: set[tuple[str, str, str, int, int]] = set()

    def fresh(self, tenant: str) -> PlanState | None:
        """Return a plan that is at most `PLAN_SECONDS` old, without asking."""
        known = self._known.get(tenant)
        if known is None:
            return None
        self._asked.add(tenant)
        age = self.clock() - self._read_at
        if age >= _READ_AGAIN_SECONDS:
            if age >= PLAN_SECONDS:
                return None
            if self._reading is None:
                self._begin()
        return known

    async def find(self, tenant: str) -> PlanState:
        """Return the tenant's plan, as it was at most `PLAN_SECONDS` ago.

        Raises:
            TenantNotFound: there is no such tenant any more.
            Busy: too many look-ups wait.
        """
        if (plan := self.fresh(tenant)) is not None:
            return plan
        self._asked.add(tenant)
        if tenant in self._known:
            await asyncio.shield(self._reading or self._begin())
        else:
            await self._read({tenant})
        found = self._known.get(tenant)
        if found is None:
            raise TenantNotFound(f"There is no tenant {tenant}; it was erased a moment ago.")
        return found

    async def count_call(self, state: dict[str, Any], method: str, path: str, count: int = 1) -> None:
        """Count calls of a request against the limit of the month; those that the account needs are never refused.

        Raises:
            QuotaExceeded, QuotaUsedUp: they would go beyond the limit.
        """
        plan: PlanState | None = state.get("plan")
        if plan is None or plan.calls is None or method == "DELETE" or path.startswith(ACCOUNT):
            return
        taken = await plan.calls.take(count, self._store, self._now())
        state["quota"] = (*state.get("quota", ()), taken)

    async def count_events(self, state: dict[str, Any], count: int) -> Taken | None:
        """Count events against the limit of the month; return what takes those back that are not stored.

        Raises:
            QuotaExceeded, QuotaUsedUp: they would go beyond the limit.
        """
        plan: PlanState | None = state.get("plan")
        if plan is None or plan.events is None or not count:
            return None
        return await plan.events.take(count, self._store, self._now())

    def _begin(self) -> asyncio.Task[None]:
        self._reading = asyncio.create_task(self._read_again())
        return self._reading

    async def _read_again(self) -> None:
        """Read all that were asked for since the last time, and forget the others."""
        asked, self._asked = self._asked, set()
        try:
            await self._read(asked)
            self._known = {name: self._known[name] for name in self._known if name in asked | self._asked}
            self._read_at = self.clock()
        except (SQLAlchemyError, Busy) as error:
            self._asked |= asked
            self._read_at = self.clock()  # they hold on: whoever asks shall not wait for what does not come
            _log.warning("plans_not_read", kind=type(error).__name__)
        finally:
            self._reading = None

    async def _read(self, tenants: Collection[str]) -> None:
        now, at = self._now(), self.clock()
        if not self._known:
            self._read_at = at
        allowances, usages = await self._threads.keys.run("", self._look_up, tuple(tenants), now, at)
        month = Month.at(now)
        self._counters = {key: each for key, each in self._counters.items() if key[2] == month}
        for name in tenants:
            if name in allowances:
                self._known[name] = self._state_of(allowances[name], usages.get(name), month)
            else:
                self._known.pop(name, None)
        self._unwarned |= {name: (each, usages.get(name)) for name, each in allowances.items() if each.limited}
        if self._unwarned and self._warning is None:
            self._warning = asyncio.create_task(self._warn_all())

    def _look_up(
        self, tenants: Collection[str], now: datetime, at: float
    ) -> tuple[dict[str, Allowance], dict[str, Usage]]:
        """Ask the control DB; the days before today are asked for once in a while, as they change no more."""
        today, first = now.date(), Month.at(now).first_day
        with self._db.read() as session:
            allowances = allowances_of(session, tenants, now=now)
            counted = [name for name in allowances if MONTHLY.intersection(allowances[name].limited)]
            if not counted:
                return allowances, {}
            old = [name for name in counted if not self._has_earlier(name, today, at)]
            if old and first < today:
                earlier = usages_of(session, old, since=first, until=today - timedelta(days=1))
            else:
                earlier = {}
            self._earlier |= {name: (today, at, earlier.get(name, Usage())) for name in old}
            newest = usages_of(session, counted, since=today, until=today)
        return allowances, {name: self._earlier[name][2] + newest.get(name, Usage()) for name in counted}

    def _has_earlier(self, name: str, today: date, at: float) -> bool:
        day, read_at, _ = self._earlier.get(name, (date.min, 0.0, Usage()))
        return day == today and at - read_at < _EARLIER_SECONDS

    def _state_of(self, allowance: Allowance, usage: Usage | None, month: Month) -> PlanState:
        calls = events = None
        if usage is not None:
            waiting = self._usage.not_written(allowance.tenant)
            calls = self._counter(allowance, "calls", usage.calls, waiting.calls, month)
            events = self._counter(allowance, "events", usage.events, waiting.events, month)
        rate = allowance.limits.requests_per_second
        limited = bool(allowance.limited) or rate is not None
        return PlanState(allowance, rate, calls, events, self._headers(allowance, usage), limited)

    def _counter(
        self, allowance: Allowance, meter: Meter, written: int, waiting: int, month: Month
    ) -> MonthlyCounter | None:
        amount = allowance.limits.of(meter)
        if amount is None or allowance.at_limit(meter) == "bill":
            return None
        key = (allowance.tenant.value, meter, month)
        found = self._counters.get(key)
        if found is None:
            found = MonthlyCounter(allowance, meter, month, amount=amount, written=written, since=waiting)
            self._counters[key] = found
        else:
            found.read_again(allowance, amount=amount, written=written, since=waiting)
        return found

    def _headers(self, allowance: Allowance, usage: Usage | None) -> tuple[tuple[bytes, bytes], ...]:
        uses = (*_monthly(allowance, usage), *self._looks.get(allowance.tenant.value, (0.0, ()))[1])
        said = [f"{use.meter} {use.share} %" for use in uses if use.share is not None]
        return ((_HEADER, ", ".join(said).encode()),) if said else ()

    async def _warn_all(self) -> None:
        """Warn of all that was read, one lot after the other; no answer waits for it."""
        try:
            while self._unwarned:
                read, self._unwarned = self._unwarned, {}
                await self._warn(read)
        finally:
            self._warning = None

    async def _warn(self, read: Mapping[str, tuple[Allowance, Usage | None]]) -> None:
        """Warn of limits that are newly reached, and look at what is stored once in a while; in a thread of its own."""
        now, at = self._now(), self.clock()
        work: list[Allowance] = []
        for name, (allowance, usage) in read.items():
            looked = self._looks.get(name)
            due = looked is None or at - looked[0] >= _LOOK_SECONDS
            new = {self._mark(use, name, now) for use in _monthly(allowance, usage) if use.share} - self._told
            if due or new:
                work.append(allowance)
        if not work:
            return
        try:
            found = await self._threads.writes.run("", self._note, work, now)
        except (SQLAlchemyError, Busy) as error:
            _log.warning("quota_not_warned", kind=type(error).__name__)
            return
        for name, uses in found.items():
            self._looks[name] = (at, tuple(use for use in uses if use.meter not in MONTHLY))
            self._told |= {self._mark(use, name, now) for use in uses if use.share is not None}
        if len(self._told) > 100_000:  # of months that are over
            self._told.clear()

    def _note(self, allowances: Collection[Allowance], now: datetime) -> dict[str, tuple[MeterUse, ...]]:
        found: dict[str, tuple[MeterUse, ...]] = {}
        for allowance in allowances:
            with self._db.read() as session:
                uses = use_of(session, allowance, now=now)
            found[allowance.tenant.value] = uses
            new = [use for use in uses if use.share and self._mark(use, allowance.tenant.value, now) not in self._told]
            if not new:
                continue
            with suppress(TenantNotFound), self._db.write() as session:  # it may have gone in this moment
                note_shares(session, allowance_of(session, allowance.tenant, now=now), new, now=now)
        return found

    @staticmethod
    def _mark(use: MeterUse, tenant: str, now: datetime) -> tuple[str, str, str, int, int]:
        return (tenant, Month.at(now).name, use.meter, use.share or 0, use.amount or 0)


def _monthly(allowance: Allowance, usage: Usage | None) -> list[MeterUse]:
    if usage is None:
        return []
    return [MeterUse(meter, used, allowance.limits.of(meter)) for meter, used in monthly_figures(usage).items()]
