"""How much one tenant, one API key and all together may ask: requests per second, and requests at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import ceil
from time import monotonic
from typing import Any, NamedTuple

from bento_service.access.plan_states import PlanState
from bento_service.access.redis import SharedStore
from bento_service.http.errors import RateLimited
from bento_service.scheduling.concurrency import Concurrency
from resources.base.settings import Settings

_MOST_BUCKETS = 20_000
_MOST_RATES = 256
_LEASES_A_SECOND = 20
_ALONE_SECONDS = 10.0
_STRANGER_SECONDS = 4.0
_REFUSALS_A_SECOND = 20.0
_REFUSAL_SECONDS = 1.0
_REFUSAL_APART_SECONDS = 0.02
_MOST_REFUSAL_SECONDS = 4.0
# A bucket that all workers take from: KEYS[1]; rate, capacity, wanted, least. Returns tokens taken, none if there are
# fewer than `least`, and tokens left.
_TAKE = """
local said = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, capacity, wanted, least = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local tokens = tonumber(said[1] or capacity)
tokens = math.min(capacity, tokens + math.max(0, now - tonumber(said[2] or now)) * rate)
local taken = math.min(wanted, math.floor(tokens))
if taken < least then taken = 0 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - taken), 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 10)
return {taken, math.floor(tokens - taken)}
"""


class RateLeft(NamedTuple):
    """What the `X-RateLimit-…` headers say: requests a second, how many are left now, seconds until all are."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, as ASGI wants them."""
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset),
        ]


class Bucket:
    """Tokens that come back at `rate` a second, up to `seconds` worth of them, and at least one."""

    __slots__ = ("_at", "_rate", "capacity", "tokens")

    def __init__(self, rate: float, now: float, *, seconds: float = 1.0) -> None:
        self._rate = rate
        self.capacity = max(1.0, rate * seconds)
        self.tokens = self.capacity
        self._at = now

    def refill(self, now: float) -> None:
        """Bring the tokens up to date."""
        self.tokens = min(self.capacity, self.tokens + max(0.0, now - self._at) * self._rate)
        self._at = now

    def seconds_until(self, tokens: float) -> float:
        """How long until there are so many."""
        return max(0.0, (tokens - self.tokens) / self._rate)


class Buckets:
    """A bucket for each name, those not used for longest dropped: a full one is as good as none."""

    def __init__(self, rate: float, *, seconds: float = 1.0, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._seconds = seconds
        self._clock = clock
        # Looked up for every request, in a third of cachetools' time (ADR 17).
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, name: str) -> Bucket:
        """Return the bucket of a name, brought up to date."""
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, now, seconds=self._seconds)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.refill(now)
        return bucket


class RateLimit:
    """So much a second for each name. With a shared store all workers together, else each has its share.

    From the shared store a worker takes some tokens at a time, so that few requests wait for it.
    """

    def __init__(
        self,
        what: str,
        rate: float,
        *,
        workers: int = 1,
        store: SharedStore | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._what = what
        self._rate = rate
        self._store = store
        self._clock = clock
        self._buckets = Buckets(rate / workers, clock=lambda: self._clock())
        # As the buckets.
        self._leases: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def take(self, name: str, cost: int = 1, *, strict: bool = True) -> RateLeft:
        """Count a request of `name` that costs so much; one that costs more than there can be takes all there is.

        Without `strict` one too many is let through.

        Raises:
            RateLimited: it is one too many.
        """
        if self._store is not None and not self._store.resting:
            allowance = await self._take_shared(name, cost, self._store, strict=strict)
            if allowance is not None:
                return allowance
        return self._take_own(name, cost, strict=strict)

    def _take_own(self, name: str, cost: int, *, strict: bool) -> RateLeft:
        bucket = self._buckets.of(name)
        wanted = min(cost, bucket.capacity)
        if bucket.tokens < wanted:
            return self._over(ceil(bucket.seconds_until(wanted)), strict=strict)
        bucket.tokens -= wanted
        return RateLeft(ceil(self._rate), int(bucket.tokens), ceil(bucket.seconds_until(bucket.capacity)))

    async def _take_shared(self, name: str, cost: int, store: SharedStore, *, strict: bool) -> RateLeft | None:
        """Take leased tokens, or lease some; `None` when the store does not answer."""
        capacity = max(1.0, self._rate)
        cost = min(cost, int(capacity))
        left, until = self._leases.get(name, (0, 0.0))
        if left >= cost and self._clock() < until:
            self._leases[name] = (left - cost, until)
            return RateLeft(ceil(self._rate), left - cost, 1)
        wanted = max(cost, int(self._rate / _LEASES_A_SECOND))
        bucket = store.name("limit", self._what, name)
        answer = await store.ask(lambda client: client.eval(_TAKE, 1, bucket, self._rate, capacity, wanted, cost))
        if answer is None:
            return None
        taken, remaining = (int(number) for number in answer)
        if not taken:
            return self._over(ceil((cost - remaining) / self._rate), strict=strict)
        kept, until = self._leases.pop(name, (0, 0.0))
        kept = kept if self._clock() < until else 0
        self._leases[name] = (kept + taken - cost, self._clock() + 1.0)
        if len(self._leases) > _MOST_BUCKETS:
            self._leases.popitem(last=False)
        return RateLeft(ceil(self._rate), remaining + taken - cost, ceil((capacity - remaining) / self._rate))

    def _over(self, seconds: int, *, strict: bool) -> RateLeft:
        wait = max(1, seconds)
        none_left = RateLeft(ceil(self._rate), 0, wait)
        if not strict:
            return none_left
        raise RateLimited(
            f"This {self._what} may send {self._rate:g} requests a second. Wait {wait} s and send the request again.",
            retry_after=wait,
            headers=none_left.headers,
        )


class Company:
    """Whether a tenant is alone in this worker: nobody else has asked it for `_ALONE_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = ("", 0.0)
        self._other = 0.0  # when somebody else than the last one asked last

    def has(self, tenant: str) -> bool:
        """Note that the tenant asks; tell whether others do."""
        now = self._clock() + _ALONE_SECONDS  # so that 0.0 is long ago
        if tenant != self._last[0]:
            self._other = self._last[1]
        self._last = (tenant, now)
        return now - self._other < _ALONE_SECONDS


class Strangers:
    """Answers a second to an address that showed no valid key: failed authentications, pages without a login."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._buckets = Buckets(rate, seconds=_STRANGER_SECONDS, clock=clock) if rate else None

    def take(self, address: str, cost: int = 1) -> None:
        """Count an answer to an address that costs so much; one that costs more than there can be takes all there is.

        Raises:
            RateLimited: it is one too many.
        """
        if self._buckets is None:
            return
        bucket = self._buckets.of(address)
        wanted = min(cost, bucket.capacity)
        if bucket.tokens < wanted:
            raise RateLimited(
                f"Your address may send {self._rate:g} requests a second without a valid API key. Wait a second, and "
                "send the request again with the key of your tenant.",
                retry_after=max(1, ceil(bucket.seconds_until(wanted))),
                headers=(),
            )
        bucket.tokens -= wanted

    def give_back(self, address: str) -> None:
        """Count one less: the address did show a valid key."""
        if self._buckets is not None:
            bucket = self._buckets.of(address)
            bucket.tokens = min(bucket.capacity, bucket.tokens + 1)


class SlowRefusals:
    """Lets those who are refused again and again wait for the next refusal: refusing costs time, too.

    A client that goes on as soon as it is refused would otherwise keep the event loop busy with refusals alone. Those
    that wait go out one behind the other: sent together, they would come back together, and everybody else would
    wait for all of them.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets = Buckets(_REFUSALS_A_SECOND, clock=clock)
        self._last: OrderedDict[str, float] = OrderedDict()

    def seconds(self, name: str) -> float:
        """Return how long the next refusal of `name` waits: the first of a second not at all, those behind them do."""
        bucket = self._buckets.of(name)
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        now = self._clock()
        seconds = max(_REFUSAL_SECONDS, self._last.pop(name, 0.0) + _REFUSAL_APART_SECONDS - now)
        if seconds > _MOST_REFUSAL_SECONDS:  # the queue is full: the next ones go out between those that wait
            seconds = _REFUSAL_SECONDS
        self._last[name] = now + seconds
        if len(self._last) > _MOST_BUCKETS:
            self._last.popitem(last=False)
        return seconds


class PlanRates:
    """The limits of requests a second that plans set, one for each rate that there is."""

    def __init__(self, *, workers: int = 1, store: SharedStore | None = None) -> None:
        self._workers = workers
        self._store = store
        self._limits: dict[float, RateLimit] = {}

    def of(self, rate: float) -> RateLimit:
        """Return the limit of tenants that may send so many a second."""
        limit = self._limits.get(rate)
        if limit is None:
            if len(self._limits) >= _MOST_RATES:  # a full bucket is as good as none
                self._limits.clear()
            limit = self._limits[rate] = RateLimit("tenant", rate, workers=self._workers, store=self._store)
        return limit


class Limits:
    """All limits of a worker; those on requests a second only where they are set.

    `enforced`: whether the tenants' limit holds for a tenant that has the worker for itself, too. `plans`: the limits
    of tenants whose plan sets one, which always holds.
    """

    def __init__(
        self,
        *,
        tenants: RateLimit | None = None,
        keys: RateLimit | None = None,
        enforced: bool = True,
        plans: PlanRates | None = None,
        strangers: Strangers,
        concurrency: Concurrency,
    ) -> None:
        self.concurrency = concurrency
        self.strangers = strangers
        self.refusals = SlowRefusals()
        self._tenants = tenants
        self._keys = keys
        self._enforced = enforced
        self._company = Company()
        self._plans = plans or PlanRates()

    @classmethod
    def of(cls, settings: Settings, store: SharedStore | None) -> Limits:
        """Return the limits of the settings."""
        tenants, keys = (
            RateLimit(what, rate, workers=settings.service_workers, store=store) if rate else None
            for what, rate in (("tenant", settings.tenant_rate), ("API key", settings.key_rate_limit))
        )
        return cls(
            tenants=tenants,
            keys=keys,
            enforced=settings.rate_limit is not None,
            plans=PlanRates(workers=settings.service_workers, store=store),
            strangers=Strangers(settings.address_rate_limit),
            concurrency=Concurrency(settings.max_concurrency),
        )

    def count_stranger(self, state: dict[str, Any], address: str, cost: int = 1) -> None:
        """Count a request of an address without a valid key; `state` is the request's, and says so from then on.

        Raises:
            RateLimited: it is one too many.
        """
        state["stranger"] = True
        self.strangers.take(address, cost)

    async def count(self, state: dict[str, Any], cost: int) -> None:
        """Count a request, or a part of one; `state` is the request's, and holds the headers of its answer then.

        Raises:
            RateLimited: it is too much.
        """
        try:
            state["rate_limit"] = await self._admit(state, cost)
        except RateLimited as error:
            state["rate_limit"] = error.headers
            raise

    async def _admit(self, state: dict[str, Any], cost: int) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers that say how much more may be asked, none where there is no limit.

        What pages send is counted for their key, apart from what the tenant's servers send (`page_limit.py`).
        """
        tenant: str = state["tenant"]
        allowances = []
        if self._keys is not None:
            allowances.append(await self._keys.take(state["key_id"], cost))
        plan: PlanState | None = state.get("plan")
        if plan is not None and plan.rate is not None:
            self._company.has(tenant)
            allowances.append(await self._plans.of(plan.rate).take(state.get("counted_as", tenant), cost))
        elif self._tenants is not None:
            strict = self._company.has(tenant) or self._enforced
            allowances.append(await self._tenants.take(state.get("counted_as", tenant), cost, strict=strict))
        return min(allowances, key=lambda each: each.remaining).headers if allowances else ()
