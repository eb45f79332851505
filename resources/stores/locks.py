"""Locks of one tenant among all processes that work on the same lake: those of this machine, by a file, and those of
other machines, by the control DB where it is on PostgreSQL. On SQLite one machine has the installation for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.databases.locks import DatabaseLock, LockTimeout, database_lock
from resources.storage.lake import Lake
from resources.storage.run_lock import tenant_run_lock
from resources.storage.tenant_lock import tenant_lock


class RunLock:
    """The run lock of a tenant while it is held."""

    def __init__(self, lock: DatabaseLock, tenant: TenantId) -> None:
        self._lock = lock
        self._tenant = tenant

    def keep(self) -> None:
        """Make sure that no other machine has the lock by now: the connection to the database may have ended.

        Raises:
            Conflict: another one has it.
        """
        try:
            self._lock.keep()
        except LockTimeout:
            raise Conflict(
                f"The connection to the control DB ended, and another run of tenant {self._tenant} has begun. "
                "This one stops, and the other one takes in the same data."
            ) from None


@contextmanager
def run_lock(
    db: ControlDb,
    home: Path,
    tenant: TenantId,
    *,
    wait_seconds: float,
    run_id: str = "",
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[RunLock]:
    """Hold the tenant's run lock: one run at a time, whoever started it and on whichever machine.

    Args:
        home: folder of the locks of this machine.
        wait_seconds: how long to wait for another run to end.
        run_id: the run that will hold the lock.
        on_wait: told once, in words, when there is something to wait for.

    Raises:
        Conflict: the other run did not end in time.
    """
    began = time.monotonic()
    with tenant_run_lock(home, tenant, wait_seconds=wait_seconds, run_id=run_id, on_wait=on_wait):
        left = max(wait_seconds - (time.monotonic() - began), 0.0)
        lock = DatabaseLock(db.engine, f"run of {tenant}")

        def waits() -> None:
            if on_wait is not None:
                on_wait(f"Waiting for a run of tenant {tenant} on another machine to end.")

        try:
            lock.take(wait_seconds=left, on_wait=waits)
        except LockTimeout:
            raise Conflict(
                f"Another run of tenant {tenant} is still going on another machine; try again when it has ended."
            ) from None
        try:
            yield RunLock(lock, tenant)
        finally:
            lock.release()


@contextmanager
def purpose_lock(db: ControlDb, lake: Lake, tenant: TenantId, purpose: str) -> Iterator[None]:
    """Hold the tenant's lock for a purpose; wait for as long as it takes. It is free when its holder dies."""
    with tenant_lock(lake, tenant, purpose), database_lock(db.engine, f"{purpose} of {tenant}"):
        yield


def upload_lock(db: ControlDb, lake: Lake, tenant: TenantId) -> AbstractContextManager[None]:
    """Hold the lock of the tenant's uploads: one at a time decides what is new and stores it."""
    return purpose_lock(db, lake, tenant, "uploads")
