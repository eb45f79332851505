"""Locks of files: one holder on one machine, process or thread. The operating system frees a lock when its holder dies.

`flock` and not the library filelock, which asks again every 50 ms instead of waiting in the kernel: where four
processes take turns of 10 ms, the longest wait is 35 ms here and 873 ms there (ADR 17).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def file_lock(file: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing; wait for as long as it takes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def try_lock(handle: IO[Any], *, shared: bool = False) -> bool:
    """Take the lock of an open file if nobody holds it, and tell whether it was taken; it is free again when closed.

    A `shared` lock shuts out those who want it for themselves, and no one who only looks whether it is free.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
