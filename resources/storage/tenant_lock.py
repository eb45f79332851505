"""Locks of one tenant on one machine, each for a purpose."""

from __future__ import annotations

from contextlib import AbstractContextManager

from resources.base.tenant import TenantId
from resources.storage.file_lock import file_lock
from resources.storage.lake import Lake


def tenant_lock(lake: Lake, tenant: TenantId, purpose: str) -> AbstractContextManager[None]:
    """Hold the tenant's lock; wait for as long as it takes. The operating system frees it when the process dies."""
    return file_lock(lake.scratch / "locks" / f"{tenant}-{purpose}.lock")
