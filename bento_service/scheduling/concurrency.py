"""How many requests are in flight in this worker: of all tenants together, and of each."""

from __future__ import annotations

from bento_service.http.errors import Busy


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

    def come_back(self) -> None:
        """Count one that has left, and was let in before."""
        self._total += 1

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
