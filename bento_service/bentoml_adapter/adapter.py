"""Where our app and BentoML do not fit by themselves. Knows nothing of BentoML but its habits (1.4.39)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import bentoml._internal.utils.analytics.usage_stats as usage_stats
import uvicorn.config
import yaml  # type: ignore[import-untyped]
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento_service.http.path_ids import without_slashes_at_the_end
from bento_service.server.front import Front
from bento_service.server.guarded_protocol import guarded
from resources.base.errors import ConfigurationError
from resources.base.settings import Settings

BENTOML_PATHS = frozenset({"/livez", "/healthz", "/readyz", "/schema.json", "/recommend", "/similar"})
"""Paths that BentoML answers itself: its probes, and the endpoints of its own clients with their schema."""
_KEY_BYTES = 64 * 1024
"""A body that may hold the key is read before anybody knows whose it is, so it has to be small."""
_KEY_SECONDS = 10
_CARRIED = ("type", "asgi", "http_version", "scheme", "client", "server", "extensions")


class MountedApp:
    """The app under BentoML.

    BentoML hands a Starlette app only the paths it has routes for, and answers the others itself, in another shape; a
    plain callable gets them all. The app is set at startup, in the worker that serves.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    def start(self, app: ASGIApp) -> None:
        """Answer with `app` from now on."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            raise ConfigurationError("The service has not started; run it with `python -m bento_service.serve`.")
        await self._app(scope, receive, send)


def guard_connections(settings: Settings) -> None:
    """Put the front before every server that `bentoml serve` starts in this process: BentoML lets nobody choose.

    It has to be called while the service is imported: BentoML makes uvicorn's configuration after that.
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = guarded(Front.of(settings))  # type: ignore[assignment]


class StraightToApp:
    """Middleware that hands every request but BentoML's own to the app at once.

    What lies between, a context per request, an exception handler and a router with one route, does nothing for our
    app and costs more than the whole of its own middleware.
    """

    def __init__(self, app: ASGIApp, mounted: ASGIApp) -> None:
        self._bentoml = app
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope = without_slashes_at_the_end(scope)
            if scope["path"] not in BENTOML_PATHS:
                await self._mounted(scope, receive, send)
                return
        await self._bentoml(scope, receive, send)


async def forwarded(app: ASGIApp, request: Request, path: str) -> Response:
    """Answer a request of a BentoML client with what `POST path` of the app answers, error or not.

    So there is one check of credentials, one of the body, one set of limits, and one shape of errors. A client that
    cannot set a header may send its API key in a body of at most 64 KiB, as `api_key`.
    """
    headers = [*request.scope["headers"]]
    receive: Receive = request.receive
    if "authorization" not in request.headers:
        body, key = _without_key(await _body(request))
        receive = _received(body, request.receive)
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        if key is not None:
            headers.append((b"authorization", b"Bearer " + key))
    scope: dict[str, Any] = {name: request.scope[name] for name in _CARRIED if name in request.scope}
    scope |= {"method": "POST", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b""}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app({**scope, "headers": headers}, receive, send)
    response = Response(b"".join(message.get("body", b"") for message in sent[1:]), status_code=sent[0]["status"])
    response.raw_headers = [*sent[0]["headers"]]
    return response


async def _body(request: Request) -> bytes:
    """Read a body that may hold the key; one that is too large or too slow is left, and so nobody is asking."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > _KEY_BYTES:
        return b""
    body = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_KEY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _KEY_BYTES:
                    return b""
    return body


def _received(body: bytes, receive: Receive) -> Receive:
    """Return a channel on which `body` arrives whole; after that it tells when the client goes away."""
    waiting = [body]

    async def next_message() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return next_message


def _without_key(body: bytes) -> tuple[bytes, bytes | None]:
    """Take `api_key` out of a JSON object; whatever else the body is, the route will say what is wrong with it."""
    if b'"api_key"' not in body:
        return body, None
    try:
        fields = json.loads(body)
        key = fields.pop("api_key") if isinstance(fields, dict) else None
    except (ValueError, KeyError, RecursionError):
        return body, None
    return json.dumps(fields).encode(), key.encode(errors="replace") if isinstance(key, str) else None


def forget_tracking() -> None:
    """Have BentoML look again whether it may report its use: `bentoml serve` looks before it imports us."""
    usage_stats.do_not_track.cache_clear()


class NoTimeout(float):
    """A timeout that BentoML (1.4.39) leaves out: its configuration refuses "none", its server tests for truth.

    Its timeout would cut long uploads, answer in another shape, and hold a timer for every request until it has run
    out. Slow bodies are given up by our own (`json_body.py`).
    """

    def __bool__(self) -> bool:
        return False


# `bentoml build` writes the configuration down.
yaml.SafeDumper.add_representer(NoTimeout, yaml.SafeDumper.represent_float)
