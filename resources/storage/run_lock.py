"""One run at a time per tenant on one machine, whoever started it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.storage.file_lock import try_lock


@contextmanager
def tenant_run_lock(
    home: Path,
    tenant: TenantId,
    *,
    wait_seconds: float,
    run_id: str = "",
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the tenant's run lock; the operating system frees it when the process dies.

    The file names the run that holds it, and is empty again afterwards: a free lock that names a run is what a killed
    process leaves (see `dead_run`).

    Dagster's queue already keeps two queued runs of one tenant apart; this lock also covers runs that start
    beside the queue, such as `recsaas run`.

    Args:
        run_id: the run that will hold the lock.
        wait_seconds: how long to wait for another run to end.
        on_wait: told once, in words, when there is something to wait for.

    Raises:
        Conflict: the other run did not end in time.
    """
    file = _lock_file(home, tenant)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+") as handle:  # "w" would take away the name of the run that holds it
        deadline = time.monotonic() + wait_seconds
        told = False
        while not try_lock(handle):
            if time.monotonic() >= deadline:
                raise Conflict(f"Another run of tenant {tenant} is still going; try again when it has ended.")
            if not told and on_wait is not None:
                on_wait(f"Waiting for another run of tenant {tenant} to end.")
                told = True
            time.sleep(0.2)
        handle.truncate(0)
        handle.write(run_id)
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def dead_run(home: Path, tenant: TenantId) -> str | None:
    """Return the run whose process died while it held the tenant's lock, or None.

    The next run takes the lock over, and then it is no longer known here.
    """
    try:
        handle = open(_lock_file(home, tenant))  # noqa: SIM115 (closed below; only a missing file is expected)
    except FileNotFoundError:
        return None
    with handle:
        return handle.read() or None if try_lock(handle, shared=True) else None


def _lock_file(home: Path, tenant: TenantId) -> Path:
    return home / "locks" / f"{tenant}.lock"
