"""How much one tenant, one API key and all together may ask: requests per second, and requests at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import ceil
from time import monotonic
from typing import NamedTuple

from bento_service.errors import Busy, RateLimited
from bento_service.shared_store import SharedStore
from resources.settings import Settings
from resources.tenant import TenantId

_MOST_BUCKETS = 20_000
_LEASES_A_SECOND = 20
# A bucket that all workers take from: KEYS[1]; rate, capacity, wanted, now in ms. Returns tokens taken and left.
_TAKE = """
local said = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local tokens = tonumber(said[1] or capacity)
tokens = math.min(capacity, tokens + math.max(0, now - tonumber(said[2] or now)) * rate)
local taken = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - taken), 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 10)
return {taken, math.floor(tokens - taken)}
"""


class Allowance(NamedTuple):
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
    """Tokens that come back at `rate` a second, up to a second's worth, and at least one."""

    __slots__ = ("_at", "_capacity", "_rate", "tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self.tokens = self._capacity
        self._at = now

    def refill(self, now: float) -> None:
        """Bring the tokens up to date."""
        self.tokens = min(self._capacity, self.tokens + max(0.0, now - self._at) * self._rate)
        self._at = now

    @property
    def seconds_until_one(self) -> float:
        """How long until a request is let through."""
        return max(0.0, (1.0 - self.tokens) / self._rate)

    @property
    def seconds_until_full(self) -> float:
        """How long until there are as many tokens as there can be."""
        return (self._capacity - self.tokens) / self._rate


class RateLimit:
    """So many requests a second for each name. With a shared store all workers together, else each has its share.

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
        self._share = rate / workers
        self._store = store
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._leases: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def take(self, name: str) -> Allowance:
        """Count one request of `name`.

        Raises:
            RateLimited: it is one too many.
        """
        if self._store is not None and not self._store.resting:
            allowance = await self._take_shared(name, self._store)
            if allowance is not None:
                return allowance
        return self._take_own(name)

    def _take_own(self, name: str) -> Allowance:
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._share, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
            bucket.refill(now)
        if bucket.tokens < 1:
            raise self._refusal(ceil(bucket.seconds_until_one))
        bucket.tokens -= 1
        return Allowance(ceil(self._rate), int(bucket.tokens), ceil(bucket.seconds_until_full))

    async def _take_shared(self, name: str, store: SharedStore) -> Allowance | None:
        """Take a leased token, or lease some; `None` when the store does not answer."""
        left, until = self._leases.get(name, (0, 0.0))
        if left > 0 and self._clock() < until:
            self._leases[name] = (left - 1, until)
            return Allowance(ceil(self._rate), left - 1, 1)
        wanted = max(1, int(self._rate / _LEASES_A_SECOND))
        capacity = max(1.0, self._rate)
        answer = await store.ask(
            lambda client: client.eval(_TAKE, 1, store.name("limit", self._what, name), self._rate, capacity, wanted)
        )
        if answer is None:
            return None
        taken, remaining = (int(number) for number in answer)
        if not taken:
            raise self._refusal(ceil(1 / self._rate))
        kept, until = self._leases.pop(name, (0, 0.0))
        kept = kept if self._clock() < until else 0
        self._leases[name] = (kept + taken - 1, self._clock() + 1.0)
        if len(self._leases) > _MOST_BUCKETS:
            self._leases.popitem(last=False)
        return Allowance(ceil(self._rate), remaining + taken - 1, ceil((capacity - remaining) / self._rate))

    def _refusal(self, seconds: int) -> RateLimited:
        wait = max(1, seconds)
        return RateLimited(
            f"This {self._what} may send {self._rate:g} requests a second. Wait {wait} s and send the request again.",
            retry_after=wait,
            headers=Allowance(ceil(self._rate), 0, wait).headers,
        )


class Limits:
    """All limits of a worker; those on requests a second only where they are set."""

    def __init__(
        self, *, tenants: RateLimit | None = None, keys: RateLimit | None = None, concurrency: Concurrency
    ) -> None:
        self.concurrency = concurrency
        self._tenants = tenants
        self._keys = keys

    @classmethod
    def of(cls, settings: Settings, store: SharedStore | None) -> Limits:
        """Return the limits of the settings."""
        tenants, keys = (
            RateLimit(what, rate, workers=settings.service_workers, store=store) if rate else None
            for what, rate in (("tenant", settings.rate_limit), ("API key", settings.key_rate_limit))
        )
        return cls(tenants=tenants, keys=keys, concurrency=Concurrency(settings.max_concurrency))

    async def admit(self, tenant: TenantId, key_id: str) -> Sequence[tuple[bytes, bytes]]:
        """Count a request; return the headers that say how many more there may be, none where there is no limit.

        Raises:
            RateLimited: it is one too many.
        """
        allowances = []
        if self._keys is not None:
            allowances.append(await self._keys.take(key_id))
        if self._tenants is not None:
            allowances.append(await self._tenants.take(tenant.value))
        return min(allowances, key=lambda each: each.remaining).headers if allowances else ()


class Concurrency:
    """Requests in flight in this worker: at most `most` together, and half as many of one tenant."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most // 2)
        self._total = 0
        self._of: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        """How many there are now."""
        return self._total

    def enter(self) -> bool:
        """Count one more; tell whether there was room. Only one that was let in leaves again."""
        if self._total >= self._most:
            return False
        self._total += 1
        return True

    def leave(self) -> None:
        """Count one less."""
        self._total -= 1

    def hold(self, tenant: str) -> None:
        """Count a request as the tenant's.

        Raises:
            Busy: the tenant holds half of the worker already.
        """
        held = self._of.get(tenant, 0)
        if held >= self._most_of_one:
            raise Busy(
                f"This tenant has {held} requests in flight, the most that one tenant may have. "
                "Wait for their answers, and send the request again."
            )
        self._of[tenant] = held + 1

    def let_go(self, tenant: str) -> None:
        """Count one less of the tenant's."""
        left = self._of[tenant] - 1
        if left:
            self._of[tenant] = left
        else:
            del self._of[tenant]
