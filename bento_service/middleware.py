"""Around every request: its id, one log line, its duration in the metrics, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from random import Random, SystemRandom
from time import perf_counter

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento_service.access.limits import Limits
from bento_service.http.client_address import ClientAddress
from bento_service.http.costs import cost_of
from bento_service.http.errors import Busy, RateLimited, answer_to, answer_to_expected, internal_error
from bento_service.http.fast_routes import FastRoute, FastRoutes
from bento_service.http.path_ids import without_slashes_at_the_end
from bento_service.http.query import QueryNames
from bento_service.scheduling.turns import Turns
from bento_service.telemetry.logs import RequestLog, current_request
from bento_service.telemetry.metrics import Metrics, known_method
from bento_service.usage.counters import UsageCounters
from resources.usage.amounts import BILLED, status_class

REQUEST_ID_HEADER = "X-Request-ID"
UNMATCHED = "unmatched"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_HEADER = REQUEST_ID_HEADER.lower().encode()
# No answer is anything but what its content type says: a CSV or JSON that holds markup is no page.
_NOSNIFF = (b"x-content-type-options", b"nosniff")
# Whoever looks after a full worker must see that it lives, and how it is.
_ALWAYS = frozenset({"/health", "/metrics"})
WITH_KEY = ("/api/", "/recommend/", "/events", "/admin/")
"""How the routes begin that look at the key of whoever asks; all others answer anybody."""
OPEN = frozenset(
    {
        *("/api/v1/auth/signup", "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout"),
        *("/api/v1/auth/password/forgot", "/api/v1/auth/password/reset", "/api/v1/auth/forgot", "/api/v1/auth/reset"),
        "/api/v1/auth/verify",
    }
)
"""Those of them that nobody needs a key for: they are how one is got. What lies below them may need one."""
OPEN_BELOW = "/api/v1/invites/token/"
"""How the others begin that nobody needs a key for: the token in the path is what they look at."""
_REFUSALS = frozenset({429, 503})
_log = structlog.get_logger("recsaas.http")


@dataclass(frozen=True, slots=True)
class Routing:
    """What is known of the routes before one is looked for: their query parameters, and those without a framework."""

    query: QueryNames
    fast: FastRoutes


@dataclass(frozen=True, slots=True)
class Notes:
    """Where every answered request is noted."""

    metrics: Metrics
    log: RequestLog
    usage: UsageCounters


class RequestMiddleware:
    """Plain ASGI, because Starlette's `BaseHTTPMiddleware` costs a task and a queue per request."""

    def __init__(
        self,
        app: ASGIApp,
        notes: Notes,
        limits: Limits,
        turns: Turns,
        addresses: ClientAddress,
        routing: Routing,
    ) -> None:
        self._app = app
        self._metrics = notes.metrics
        self._usage = notes.usage
        self._limits = limits
        self._turns = turns
        self._addresses = addresses
        self._lines = notes.log
        self._query = routing.query
        self._fast = routing.fast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = _request_id(scope)
        method = scope["method"]
        scope = self._as_routed(scope, request_id, started)
        state = scope["state"]
        if method == "HEAD":
            send = _without_body(send)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status in _REFUSALS or "tenant" not in state:
                    await self._hold_back(scope, status, entered=entered)
                headers = [*message["headers"], (_HEADER, request_id.encode()), _NOSNIFF]
                headers.extend(state.get("rate_limit", ()))
                if (plan := state.get("plan")) is not None:
                    headers.extend(plan.headers)
                message = {**message, "headers": headers}
            await send(message)

        token = current_request.set(request_id)
        concurrency = self._limits.concurrency
        counted = scope["path"] not in _ALWAYS
        entered = counted and concurrency.enter()
        try:
            if counted and not entered:
                await answer_to(_FULL, request_id)(scope, receive, send_with_id)
            elif (fast := self._fast.get((scope["method"], scope["path"]))) is not None:
                scope["route"] = fast
                await _answer(fast, scope, receive, send_with_id)
            else:
                if not needs_key(scope["path"]):
                    await self._admit_stranger(scope)
                await self._app(scope, receive, send_with_id)
        except RateLimited as error:  # of a stranger: the app's own errors are answers by now
            await answer_to(error, request_id)(scope, receive, send_with_id)
        except Exception:  # the edge: whatever it is, the client gets an answer and the log the traceback
            _log.exception("unhandled")
            if status:
                raise  # half an answer is out: only cutting the connection tells the client
            await internal_error(request_id)(scope, receive, send_with_id)
        finally:
            current_request.reset(token)
            if entered:
                concurrency.leave()
            if (tenant := state.get("held")) is not None:
                concurrency.let_go(tenant)
            self._note(scope, method, status or 500, perf_counter() - started, request_id)

    def _as_routed(self, scope: Scope, request_id: str, started: float) -> Scope:
        """Return the request as routes are to see it: how it is written in the address does not matter to them."""
        scope = without_slashes_at_the_end(scope)
        scope.pop("route", None)  # BentoML's own, that of the mount
        scope.setdefault("state", {}).update(request_id=request_id, started=started)
        if scope["method"] == "HEAD":  # as GET in everything but the body; whoever serves has to know of it
            scope = {**scope, "method": "GET"}
        if scope["query_string"]:
            self._query.tidy(scope)
        return scope

    async def _admit_stranger(self, scope: Scope) -> None:
        """Count a request that needs no key for the address that it comes from, and wait for that address's turn.

        Raises:
            RateLimited: it is one too many.
        """
        address = self._addresses.of(scope)
        self._limits.count_stranger(scope["state"], address, cost_of(scope["method"], scope["path"]))
        await self._turns.take(address)

    async def _hold_back(self, scope: Scope, status: int, *, entered: bool) -> None:
        """Wait before a refusal goes to whoever was refused much of late; who waits takes nobody's place."""
        state = scope["state"]
        name = state.get("tenant") or self._addresses.of(scope)
        refused = status in _REFUSALS
        if not refused and "stranger" not in state:
            try:  # no route, no key, or what the router refuses by itself
                self._limits.count_stranger(state, name)
            except RateLimited:
                refused = True
        if not refused or not (seconds := self._limits.refusals.seconds(name)):
            return
        if entered:
            self._limits.concurrency.leave()
        try:
            await asyncio.sleep(seconds)
        finally:
            if entered:
                self._limits.concurrency.come_back()

    def _note(self, scope: Scope, method: str, status: int, seconds: float, request_id: str) -> None:
        method = known_method(method)
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        state = scope["state"]
        tenant = state.get("tenant")
        if tenant is not None:
            self._usage.call(tenant, state.get("key_id", ""), method, route, status, state.get("calls", 1))
            if status_class(status) not in BILLED:
                for taken in state.get("quota", ()):
                    taken.give_back(taken.count)
        self._metrics.request(method=method, route=route, status=status, seconds=seconds, tenant=tenant)
        self._lines.write(
            method=method, route=route, status=status, seconds=seconds, tenant=tenant, request_id=request_id
        )


def needs_key(path: str) -> bool:
    """Tell whether the route of a path looks at the key, and counts by it."""
    return path.startswith(WITH_KEY) and path not in OPEN and not path.startswith(OPEN_BELOW)


def _without_body(send: Send) -> Send:
    """Return what sends the head of an answer, and nothing of its body."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


async def _answer(fast: FastRoute, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive, send)
    try:
        response = await fast.endpoint(request)
    except Exception as error:
        expected = await answer_to_expected(request, error)
        if expected is None:
            raise
        response = expected
    await response(scope, receive, send)


_FULL = Busy("The service has as many requests in flight as it takes. Wait a second, and send the request again.")


def _request_id(scope: Scope) -> str:
    """Return the client's request id when it has a harmless form, else a new one."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else _new_id()
    return _new_id()


_random = Random(SystemRandom().getrandbits(128))  # an id has to be another one, and may be guessed


def _new_id() -> str:
    return f"{_random.getrandbits(128):032x}"
