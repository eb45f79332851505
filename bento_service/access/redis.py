"""Redis or Valkey, which workers share things through. Without it everything works, each worker for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from bento_service.telemetry.metrics import Metrics
from resources.base.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

REST_SECONDS = 5.0
"""How long a store that failed is not asked: answers must not wait for it one by one."""
_TIMEOUT_SECONDS = 0.25
_log = structlog.get_logger("recsaas.shared_store")
Result = TypeVar("Result")


class SharedStore:
    """One connection pool. A store that does not answer is left alone for `REST_SECONDS`, logged once and counted.

    Args:
        installation: names the control DB and the lake. Two installations may use one store, and have tenants of the
            same name.

    Raises:
        ConfigurationError: the URL is not one, or the client is not installed.
    """

    def __init__(
        self, url: str, metrics: Metrics, *, installation: str = "", clock: Callable[[], float] = monotonic
    ) -> None:
        try:
            from redis.asyncio import Redis
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "RECSAAS_REDIS_URL needs the client, which is not installed. Install it: pip install redis"
            ) from error
        try:
            self.client: Redis = Redis.from_url(
                url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
            )
        except ValueError as error:
            raise ConfigurationError(f"RECSAAS_REDIS_URL: {error}. Example: redis://host:6379/0") from error
        self._prefix = f"recsaas:{hashlib.sha256(installation.encode()).hexdigest()[:16]}"
        self._metrics = metrics
        self._clock = clock
        self._failed_at: float | None = None

    @property
    def resting(self) -> bool:
        """Whether the store failed a moment ago."""
        return self._failed_at is not None and self._clock() - self._failed_at < REST_SECONDS

    def name(self, *parts: str) -> str:
        """Return the name of something that this installation keeps in the store."""
        return ":".join((self._prefix, *parts))

    async def ask(self, command: Callable[[Redis], Awaitable[Result]]) -> Result | None:
        """Run `command`; `None` when the store does not answer."""
        from redis.exceptions import RedisError

        if self.resting:
            return None
        try:
            result = await command(self.client)
        except (RedisError, OSError) as error:
            if self._failed_at is None:
                _log.warning("shared_store_unavailable", kind=type(error).__name__)
            self._failed_at = self._clock()
            self._metrics.shared_store_error()
            return None
        if self._failed_at is not None:
            self._failed_at = None
            _log.info("shared_store_available")
        return result

    async def close(self) -> None:
        """Close the connections."""
        closing: Any = self.client.aclose()
        await closing
