"""What accounts cost an answer, in processor time of one process: for `recsaas bench accounts`.

`python -m bento_service.benchmarking.accounts` reads from stdin, as JSON, who asks and how often, and writes the
processor time of a request of each way to stdout, in microseconds. The ways take turns, so that whatever else the
machine does is in all of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request

from bento_service.api.auth import Principal
from bento_service.api.recommending import recommendations
from bento_service.app import create_app
from bento_service.dependencies import Services
from bento_service.telemetry.logs import configure_logging
from resources.base.settings import Settings, load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.storage.lake import Lake

WITHOUT = "without"
_ALLOWED = "allowed"
"""What looks at the credential of a recommendation; `without` has another in its place."""
_RATE = 10_000_000.0
_PATH = "/api/v1/recommendations"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer the same request.

    Attributes:
        credential: that it comes with; None: whoever asks is known without looking.
        limited: requests a second are limited, of the tenant and of the key.
        metered: calls and items are counted, and written to the control DB.
    """

    name: str
    credential: str | None
    limited: bool = False
    metered: bool = False


def ways(given: dict[str, Any]) -> tuple[Way, ...]:
    """Return the ways that are measured, each with one thing more than the one before; `token` stands beside `key`."""
    key, token, planned = given["key"], given["token"], given["planned_key"]
    return (
        Way(WITHOUT, None),
        Way("key", key),
        Way("token", token),
        Way("key_limits", key, limited=True),
        Way("key_limits_metering", key, limited=True, metered=True),
        Way("key_limits_metering_quotas", planned, limited=True, metered=True),
        Way("token_limits_metering", token, limited=True, metered=True),
        Way("token_limits_metering_quotas", given["planned_token"], limited=True, metered=True),
    )


class Asker:
    """Asks the app for one way, without a server between."""

    def __init__(self, app: FastAPI, way: Way, users: list[str], tenant: str) -> None:
        self._app = app
        self._services: Services = app.state.services
        self._way = way
        self._tenant = TenantId(tenant)
        self._bodies = [json.dumps({"user_id": user, "count": 10}).encode() for user in users]
        self._allowed = getattr(recommendations, _ALLOWED)
        if not way.metered:
            for name in ("call", "recommended"):
                setattr(self._services.usage.counters, name, lambda *_: None)

    async def round(self, requests: int) -> float:
        """Return the processor time of a request, of all threads, in microseconds."""
        setattr(recommendations, _ALLOWED, self._allowed if self._way.credential is not None else self._known)
        if self._way.metered:
            self._services.usage.start()
        try:
            await self._ask(200)
            began = time.process_time()
            await self._ask(requests)
            return (time.process_time() - began) / requests * 1e6
        finally:
            if self._way.metered:
                await asyncio.to_thread(self._services.usage.stop)
                self._services.usage._stop.clear()
            setattr(recommendations, _ALLOWED, self._allowed)

    async def _known(self, request: Request, services: Services, *scopes: str) -> Principal:
        """Whoever asks, without a look at the credential or a limit; the turn of the event loop is part of neither."""
        state = request.scope["state"]
        state["tenant"], state["key_id"] = self._tenant.value, "bench"
        await services.turns.take(self._tenant.value)
        return Principal(self._tenant, frozenset(scopes), "bench")

    async def _ask(self, requests: int) -> None:
        headers = [(b"content-type", b"application/json")]
        if self._way.credential is not None:
            headers.append((b"authorization", f"Bearer {self._way.credential}".encode()))
        for number in range(requests):
            await self._answer(self._bodies[number % len(self._bodies)], headers)

    async def _answer(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": _PATH,
            "raw_path": _PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._app(scope, receive, send)
        if status != 200:
            raise SystemExit(f"{self._way.name} was answered with {status}")


def main() -> None:
    """Measure every way in turn, and write the figures."""
    given = json.load(sys.stdin)
    settings = load_settings()
    configure_logging("ERROR")
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    sys.stdout.write(json.dumps(asyncio.run(_measure(given, settings, db, lake))) + "\n")


async def _measure(given: dict[str, Any], settings: Settings, db: ControlDb, lake: Lake) -> dict[str, list[float]]:
    askers = {}
    for way in ways(given):
        rate = _RATE if way.limited else 0.0
        own = settings.model_copy(update={"rate_limit": rate, "key_rate_limit": rate, "log_level": "ERROR"})
        app = create_app(own, db, lake, lambda: datetime.now(UTC))
        askers[way.name] = Asker(app, way, given["users"], given["tenant"])
    figures: dict[str, list[float]] = {name: [] for name in askers}
    for turn in range(given["rounds"]):
        names = list(askers)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            figures[name].append(await askers[name].round(given["requests"]))
    return figures


if __name__ == "__main__":
    main()
