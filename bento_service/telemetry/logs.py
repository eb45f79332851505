"""Structured logs: one JSON object per line. Keys, bodies and addresses with ids in them are never logged."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime

import structlog
import structlog.tracebacks
from structlog.typing import EventDict, WrappedLogger

current_request: ContextVar[str | None] = ContextVar("current_request", default=None)
"""Id of the request that is being answered; it is in every line that is logged meanwhile."""
FLUSH_SECONDS = 0.02


class _Output:
    """Standard output, where a disk that is full or a reader that is gone costs lines and never an answer."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stdout.flush()


_OUTPUT = _Output()


def configure_logging(level: str) -> None:
    """Write JSON lines to standard output from `level` upwards."""
    structlog.configure(
        processors=[
            _add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without local variables: they hold keys and bodies.
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(_OUTPUT),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


class RequestLog:
    """Writes the line of an answered request, in the form of all others but at a tenth of the cost.

    Lines go out together, within `FLUSH_SECONDS`: handing over each by itself takes as long as making it.
    """

    def __init__(self, level: str) -> None:
        self._wanted = logging.getLevelNamesMapping()[level] <= logging.INFO
        self._waiting = False

    def write(
        self, *, method: str, route: str, status: int, seconds: float, tenant: str | None, request_id: str
    ) -> None:
        """Write the line. The texts are known to need no escapes: a template, a slug, an id that was checked."""
        if not self._wanted:
            return
        whose = "null" if tenant is None else f'"{tenant}"'
        at = datetime.now(UTC).replace(tzinfo=None).isoformat()
        _OUTPUT.write(
            f'{{"method": "{method}", "route": "{route}", "status": {status}, "duration_ms": {seconds * 1000:.2f}, '
            f'"tenant": {whose}, "event": "request", "request_id": "{request_id}", "level": "info", '
            f'"timestamp": "{at}Z"}}\n'
        )
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._waiting = False
        _OUTPUT.flush()


def _add_request_id(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    request_id = current_request.get()
    if request_id is not None:
        line["request_id"] = request_id
    return line
