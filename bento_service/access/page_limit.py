"""How much may be asked with a browser key, which everybody can take out of the page that it stands in."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any

from bento_service.access.limits import Buckets, RateLeft
from bento_service.http.errors import RateLimited

_SECONDS = 4.0
"""So many seconds' worth may come at once: a page asks for several lists when it opens."""


class VisitorLimit:
    """Requests a second of one address with one browser key, for each worker; a rate of 0: any number."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._buckets = Buckets(rate, seconds=_SECONDS, clock=clock) if rate else None

    def count(self, state: dict[str, Any], address: str) -> None:
        """Count a request; `state` is the request's, whose limits are counted for the key from then on.

        So whoever takes the key uses up what pages may send, and nothing of what the tenant's own servers may.

        Raises:
            RateLimited: the address sends too much.
        """
        key_id = state["key_id"]
        state["counted_as"] = f"{state['tenant']}/{key_id}"
        if self._buckets is None:
            return
        bucket = self._buckets.of(f"{key_id} {address}")
        if bucket.tokens < 1:
            wait = max(1, ceil(bucket.seconds_until(1)))
            state["rate_limit"] = RateLeft(ceil(self._rate), 0, wait).headers
            raise RateLimited(
                f"Pages at one address may send {self._rate:g} requests a second. Wait {wait} s, and send the request "
                "again; programs other than browsers need a secret key.",
                retry_after=wait,
                headers=state["rate_limit"],
            )
        bucket.tokens -= 1
