"""One run at a time per tenant on one machine, whoever started it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.errors import Conflict
from resources.tenant import TenantId


@contextmanager
def tenant_run_lock(
    home: Path, tenant: TenantId, *, wait_seconds: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the tenant's run lock; the operating system frees it when the process dies.

    Dagster's queue already keeps two queued runs of one tenant apart; this lock also covers runs that start
    beside the queue, such as `recsaas run`.

    Args:
        wait_seconds: how long to wait for another run to end.
        on_wait: told once, in words, when there is something to wait for.

    Raises:
        Conflict: the other run did not end in time.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{tenant}.lock", "w") as handle:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Conflict(
                        f"Another run of tenant {tenant} is still going; try again when it has ended."
                    ) from None
                if not told and on_wait is not None:
                    on_wait(f"Waiting for another run of tenant {tenant} to end.")
                    told = True
                time.sleep(0.2)
        yield
