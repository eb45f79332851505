"""Locks of one tenant on one machine, each for a purpose."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from resources.base.tenant import TenantId
from resources.storage.lake import Lake


@contextmanager
def tenant_lock(lake: Lake, tenant: TenantId, purpose: str) -> Iterator[None]:
    """Hold the tenant's lock; wait for as long as it takes. The operating system frees it when the process dies."""
    file = lake.scratch / "locks" / f"{tenant}-{purpose}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
