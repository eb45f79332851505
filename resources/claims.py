"""Working on a claimed job: the claim is renewed meanwhile, and ends by itself soon after its process dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from resources.errors import ConfigurationError, NotReady

LEASE = timedelta(seconds=10)
"""How long a claim outlives the process that held it."""
RENEW_SECONDS = 2.0
RETRY_AFTER = timedelta(seconds=30)
"""How long a job rests after an outage."""
MAX_ATTEMPTS = 3
"""A job that ended three processes is not tried again, or it would take the service down for ever."""
OUTAGES = (OSError, OperationalError, PoolTimeout, NotReady, ConfigurationError)
"""What passes by itself or by the operator's hand, and is no fault of the job."""

Clock = Callable[[], datetime]


@contextmanager
def kept_claim(keep: Callable[[], bool], *, every: float, name: str) -> Iterator[threading.Event]:
    """Call `keep` every so many seconds, in a thread of its own: work has long stretches in which it cannot.

    The event is set once `keep` has said that the claim is another one's now.
    """
    lost, over = threading.Event(), threading.Event()

    def run() -> None:
        while not over.wait(every):
            try:
                kept = keep()
            except SQLAlchemyError:  # away for a moment; the claim may survive it
                continue
            if not kept:
                lost.set()
                return

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()
