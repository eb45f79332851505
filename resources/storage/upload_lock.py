"""One upload of a tenant at a time decides what is new and stores it, on one machine."""

from __future__ import annotations

from contextlib import AbstractContextManager

from resources.base.tenant import TenantId
from resources.storage.lake import Lake
from resources.storage.tenant_lock import tenant_lock


def upload_lock(lake: Lake, tenant: TenantId) -> AbstractContextManager[None]:
    """Hold the lock of the tenant's uploads."""
    return tenant_lock(lake, tenant, "uploads")
