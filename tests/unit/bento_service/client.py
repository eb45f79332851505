"""A blocking client of an ASGI app, on one event loop for the whole test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI


class Client:
    """Sends requests to the app; starlette's own test client wants a package that we do not have."""

    def __init__(self, http: httpx.AsyncClient, portal: BlockingPortal) -> None:
        self._http = http
        self._portal = portal

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._portal.call(partial(self._http.request, method, url, **options))

    def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call something on the app's event loop."""
        return self._portal.call(function)

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)


@contextmanager
def client_of(app: FastAPI) -> Iterator[Client]:
    """Open a client, and close it again, with the connections that answers were made by."""
    with start_blocking_portal() as portal:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
        yield Client(http, portal)
        portal.call(http.aclose)
    app.state.services.contexts.close()
