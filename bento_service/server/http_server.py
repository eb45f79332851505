"""The HTTP server of a worker: the one place where uvicorn's settings are."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from bento_service.server.front import Front
from bento_service.server.guarded_protocol import guarded
from resources.base.settings import load_settings

BACKLOG = 2048
"""Connections that may wait until a worker takes them."""


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's settings for `app`; logging is ours (`logs.py`), and so is the line of a request."""
    return uvicorn.Config(
        app=app,
        http=guarded(Front.of(load_settings())),  # type: ignore[arg-type]  # it is only called
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the address of a client is read by `client_address.py`
    )


def serve(app: ASGIApp, listener: socket.socket, started: Callable[[], None]) -> None:
    """Answer the connections of `listener` with `app` until SIGTERM; `started` is called when it begins to.

    Raises:
        SystemExit: with code 3, when the app did not start; its log says why.
    """
    _Server(server_config(app), started).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app and listen."""
        await super().startup(sockets)
        self._tell()
