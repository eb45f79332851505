"""Counting against a monthly limit before the work: in the shared store for all workers together, or in each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bento_service.access.redis import SharedStore
from resources.base.errors import RecsaasError
from resources.plans.allowances import Allowance
from resources.plans.checks import refusal
from resources.plans.model import Meter
from resources.plans.month import Month

_LEASE = 20
_KEPT_SECONDS = 24 * 3600
# A count that all workers add to: KEYS[1]; written, amount, least, wanted, seconds to keep it. What is written in the
# control DB is never more than what was counted, so the larger one is right: a store that was emptied is filled again.
# The less is left, the less is leased, in the end one by one, so that the limit is exact.
_COUNT = """
local count = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
local room = tonumber(ARGV[2]) - count
local least = tonumber(ARGV[3])
local taken = math.min(tonumber(ARGV[4]), math.max(least, math.floor(room / 1000)))
if least > room then taken = 0 end
redis.call('SET', KEYS[1], string.format('%.0f', count + taken), 'EX', ARGV[5])
return {taken, string.format('%.0f', count)}
"""


@dataclass(slots=True)
class MonthlyCounter:
    """One monthly meter of one tenant, as this worker knows it: one for the whole month, read anew time and again.

    Attributes:
        amount: the limit.
        written: of the month, in the control DB when it was last read.
        since: counted by this worker and not in `written`.
        leased: taken from the shared store, and not yet used.
        readings: how often `written` was read anew.
    """

    allowance: Allowance
    meter: Meter
    month: Month
    amount: int
    written: int
    since: int
    leased: int = 0
    readings: int = 0

    def read_again(self, allowance: Allowance, *, amount: int, written: int, since: int) -> None:
        """Go on from what the control DB has now; what is leased stays."""
        self.allowance, self.amount, self.written, self.since = allowance, amount, written, since
        self.readings += 1

    async def take(self, count: int, store: SharedStore | None, now: datetime) -> Taken:
        """Count so many more, all or none, and return what gives them back.

        Raises:
            QuotaExceeded, QuotaUsedUp: they would go beyond the limit.
        """
        if self.leased >= count:
            self.leased -= count
            return Taken(self, count)
        if store is not None and not store.resting and await self._take_shared(count, store, now):
            return Taken(self, count)
        if self.written + self.since + count > self.amount:
            raise self._refusal(self.written + self.since, count, now)
        self.since += count
        return Taken(self, count, self.readings)

    async def _take_shared(self, count: int, store: SharedStore, now: datetime) -> bool:
        """Ask the store; False when it does not answer."""
        name = store.name("quota", self.allowance.tenant.value, self.meter, self.month.name)
        written, kept = self.written, self.month.seconds_left(now) + _KEPT_SECONDS
        wanted = max(count, _LEASE)
        answer = await store.ask(lambda client: client.eval(_COUNT, 1, name, written, self.amount, count, wanted, kept))
        if answer is None:
            return False
        taken, counted = int(answer[0]), int(answer[1])
        if not taken:
            raise self._refusal(counted, count, now)
        self.leased += taken - count
        return True

    def _refusal(self, used: int, count: int, now: datetime) -> RecsaasError:
        return refusal(self.allowance, self.meter, used, count, now=now)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was counted before the work. `reading`: None where it came from the shared store."""

    counter: MonthlyCounter
    count: int
    reading: int | None = None

    def give_back(self, count: int) -> None:
        """Count so many less: nothing came of them."""
        if self.reading is None:
            self.counter.leased += count
        elif self.reading == self.counter.readings:  # a later reading knows only of what was done
            self.counter.since -= count


def give_back(taken: Taken | None, count: int) -> None:
    """Count so many less, where anything is counted."""
    if taken is not None and count:
        taken.give_back(count)
