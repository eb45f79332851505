"""CORS: the other origins whose pages may call the API: those of the setting, and those of browser keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_API = ("/api/", "/recommend/", "/events")
_SECONDS = 3600
_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
_REQUEST_HEADERS = ("Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "X-Request-ID")
_ANSWER_HEADERS = (
    *("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID"),
    "X-Recsaas-Sandbox",
)


class ApiCors:
    """Answers browsers that ask for another origin, on API routes alone: a page of ours is of this origin.

    Cookies are never allowed along, since a credential is a header here. A preflight carries no key: it is answered for
    every origin that some browser key is bound to, and the request that follows is refused when its key is not.

    Args:
        origins: of the setting; `*` is all.
        bound: whether some browser key is bound to an origin.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...], bound: Callable[[str], Awaitable[bool]]) -> None:
        self._app = app
        self._bound = bound
        self._named = frozenset(origins)
        self._cors = _cors(app, origins)
        self._for_pages = _cors(app, ("*",))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with CORS headers where they belong."""
        origin = _origin(scope) if scope["type"] == "http" else None
        if origin is None or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
        elif "*" in self._named or origin in self._named:
            await self._cors(scope, receive, send)
        elif await self._bound(origin):
            await self._for_pages(scope, receive, send)
        else:
            await (self._cors if self._named else self._app)(scope, receive, send)


def origins_of(text: str) -> tuple[str, ...]:
    """Return the origins of `RECSAAS_CORS_ORIGINS`; a slash at the end is no part of an origin."""
    return tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())


def _cors(app: ASGIApp, origins: tuple[str, ...]) -> CORSMiddleware:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_ANSWER_HEADERS,
        max_age=_SECONDS,
    )


def _origin(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"origin":
            origin: str = value.decode("latin-1")
            return origin
    return None
