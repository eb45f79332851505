"""The HTTP server of a worker: the one place where uvicorn's settings are."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 2048
"""Connections that may wait until a worker takes them."""


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's settings for `app`; logging is ours (`logs.py`), and so is the line of a request."""
    return uvicorn.Config(
        app=app,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
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
