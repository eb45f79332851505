"""The yardstick of `recsaas bench serve`: uvicorn and one FastAPI route that answers constant bytes.

`python -m bento_service.benchmarking.yardstick --port 9000 --workers 2 --bytes 3000`. No access log and no middleware:
it is what the stack costs by itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket

import uvicorn
from fastapi import FastAPI, Response


def constant_app(size: int) -> FastAPI:
    """Return an app that answers every POST with the same JSON string, `size` bytes long."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    body = b'"' + b"x" * (size - 2) + b'"'

    @app.post("/")
    async def answer() -> Response:
        return Response(body, media_type="application/json")

    return app


def _serve(listening: socket.socket, size: int) -> None:
    config = uvicorn.Config(constant_app(size), access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    """Serve until told to stop; the workers share one listening socket, as BentoML's do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=1000)
    asked = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", asked.port), backlog=2048)
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=_serve, args=(listening, asked.bytes), daemon=True) for _ in range(asked.workers - 1)]
    for other in others:
        other.start()
    try:
        _serve(listening, asked.bytes)
    finally:
        for other in others:
            other.terminate()


if __name__ == "__main__":
    main()
