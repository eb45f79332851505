"""The guard before Dagster's web interface: it refuses requests that another web site may have made."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {
    "X-Frame-Options": "DENY",  # a page that shows this one in a frame could have its buttons clicked
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class UiGuard:
    """Lets through what a person or a script on purpose asks of the interface.

    Refused are host names that are not ours (a stranger's name may be pointed at this machine, and then its pages have
    our origin), whatever comes from another origin except following a link to a page, and GraphQL in a GET or in a
    form, which a page can send anywhere without asking.
    """

    def __init__(self, app: ASGIApp, *, bound_to: str, names: Collection[str] = ()) -> None:
        self._app = app
        self._anywhere = not _is_loopback(bound_to)
        self._names = frozenset(name.lower() for name in names) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=bytes(refusal.body).decode())(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(_name_of(host)):
            return PlainTextResponse(
                f"{host or 'No host name'} is not a name of this Dagster UI. If it shall be one, add it to "
                "RECSAAS_DAGSTER_NAMES.",
                status_code=421,
            )
        if _from_elsewhere(scope, headers, host):
            return PlainTextResponse("Another web site may not use this Dagster UI.", status_code=403)
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql"):
            return _graphql_refusal(scope["method"], headers)
        return None

    def _is_ours(self, name: str) -> bool:
        if name in self._names:
            return True
        # A number cannot be pointed at another machine as a name can.
        return _is_loopback(name) or (self._anywhere and _is_address(name))


def _from_elsewhere(scope: Scope, headers: Headers, host: str) -> bool:
    """Browsers name the origin of all that a page sends but links and pictures, and the relation in any case."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return True
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    follows_link = scope["type"] == "http" and scope["method"] in _SAFE and headers.get("sec-fetch-mode") == "navigate"
    return not follows_link


def _graphql_refusal(method: str, headers: Headers) -> PlainTextResponse | None:
    if method in _SAFE:
        # Dagster answers this one with its page for writing queries, and runs nothing.
        if method == "GET" and "text/html" in headers.get("accept", ""):
            return None
        return PlainTextResponse("Send GraphQL as POST.", status_code=405, headers={"Allow": "POST"})
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("Send GraphQL as application/json.", status_code=415)
    return None


def _name_of(host: str) -> str:
    """The name in a `Host` header, without the port; empty when there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers
