"""CORS: the other origins whose pages may call the API; by default none."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_API = ("/api/", "/recommend/", "/events")
_SECONDS = 3600
_REQUEST_HEADERS = ("Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "X-Request-ID")
_ANSWER_HEADERS = ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID")


class ApiCors:
    """Answers browsers that ask for another origin, on API routes alone: a page of ours is of this origin.

    Cookies are never allowed along, since a credential is a header here.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
            max_age=_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with CORS headers where they belong."""
        api = scope["type"] == "http" and scope["path"].startswith(_API)
        await (self._cors if api else self._app)(scope, receive, send)


def origins_of(text: str) -> tuple[str, ...]:
    """Return the origins of `RECSAAS_CORS_ORIGINS`; a slash at the end is no part of an origin."""
    return tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
