"""Around every request: its id, one log line, its duration in the metrics, and an answer whatever happens."""

from __future__ import annotations

import re
import uuid
from time import perf_counter

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento_service.errors import internal_error
from bento_service.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
UNMATCHED = "unmatched"
_log = structlog.get_logger("recsaas.http")


class RequestMiddleware:
    """Plain ASGI, because Starlette's `BaseHTTPMiddleware` costs a task and a queue per request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        scope.pop("route", None)  # BentoML's own, that of the mount
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["started"] = started
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:  # the edge: whatever it is, the client gets an answer and the log the traceback
                _log.exception("unhandled")
                if status:
                    raise  # half an answer is out: only cutting the connection tells the client
                await internal_error(request_id)(scope, receive, send_with_id)
            finally:
                self._note(scope, status or 500, perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        tenant = scope["state"].get("tenant")
        self._metrics.request(method=scope["method"], route=route, status=status, seconds=seconds, tenant=tenant)
        _log.info(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            tenant=tenant,
        )


def _request_id(scope: Scope) -> str:
    """Return the client's request id when it has a harmless form, else a new one."""
    wanted = REQUEST_ID_HEADER.lower().encode()
    for name, value in scope["headers"]:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else uuid.uuid4().hex
    return uuid.uuid4().hex
