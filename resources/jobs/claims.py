"""Working on a claimed job: its claim is renewed meanwhile, and ends by itself soon after the process dies.

A job that breaks its process is tried a few times and no more. A slow machine, an outage and a claim that ran out while
its process lives are no fault of the job: they delay it, and never end it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import psutil  # type: ignore[import-untyped]
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from resources.base.errors import ConfigurationError, NotReady

LEASE = timedelta(seconds=10)
"""How long a claim outlives the process that held it."""
RENEW_SECONDS = 2.0
FIRST_REST = timedelta(seconds=3)
"""How long a job rests when an outage or an error has put it back; twice as long every further time."""
LONGEST_REST = timedelta(minutes=5)
MAX_ATTEMPTS = 3
"""A job that ended three processes is not tried again, or it would take the service down for ever."""
OUTAGES = (OSError, OperationalError, PoolTimeout, NotReady, ConfigurationError)
"""Errors that pass by themselves or by the operator's hand, and are no fault of the job."""

_CLOCK_SECONDS = 60
"""How far the start of a process may seem to move when the clock is set."""


def claimant_name() -> str:
    """Return a new name for a claimant in this process, by which others on this machine can tell whether it lives.

    Another one at every call: a process must not take the claim of its dead predecessor for its own.
    """
    return f"{_machine()}:{os.getpid()}:{psutil.Process().create_time():.0f}:{secrets.token_hex(4)}"


def lives_here(claimant: str) -> bool:
    """Whether the process of this name is alive on this machine, be it stopped or slow. Of others nothing is known."""
    machine, pid, began, *_ = (*claimant.split(":"), "", "", "")
    if machine != _machine() or not (pid.isdecimal() and began.isdecimal()):
        return False
    try:
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - int(began)) < _CLOCK_SECONDS  # numbers of processes come again
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def rest_after(rests: int) -> timedelta:
    """How long a job rests that has rested so often before."""
    return min(FIRST_REST * (1 << min(rests, 16)), LONGEST_REST)


@contextmanager
def kept_claim(
    keep: Callable[[], bool], *, every: float, name: str, lost: threading.Event | None = None
) -> Iterator[threading.Event]:
    """Call `keep` every so many seconds, in a thread of its own: work has long stretches in which it cannot.

    The event, `lost` if it is given, is set once `keep` has said that the claim is another one's now.
    """
    lost, over = lost or threading.Event(), threading.Event()

    def run() -> None:
        while not over.wait(every):
            try:
                kept = keep()
            except (SQLAlchemyError, *OUTAGES):  # away for a moment; the claim may survive it
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


def write_outcome(work: Callable[[], Mapping[str, Any] | None]) -> None:
    """For a child that works on a claimed job: write what came of it to standard output, as JSON.

    An outage is an outcome as well: an error in its place would look as if the job had broken the child.
    """
    try:
        outcome = work()
    except OUTAGES as error:
        outcome = {"outage": f"{type(error).__name__}: {error}"[:2000]}
    sys.stdout.write(json.dumps(outcome))


def read_outcome(outcome: dict[str, Any] | None) -> dict[str, Any] | None:
    """For its parent: return what the child wrote.

    Raises:
        NotReady: there was an outage, and the job is to rest.
    """
    if outcome is not None and "outage" in outcome:
        raise NotReady(f"An outage interrupted the work: {outcome['outage']}")
    return outcome


@cache
def _machine() -> str:
    return socket.gethostname().replace(":", "-")[:24]
