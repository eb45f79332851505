"""Which release a tenant is answered from now."""

from __future__ import annotations

from resources.base.errors import NoRelease
from resources.base.tenant import TenantId
from resources.release.store import ReleaseStore


def live_version(store: ReleaseStore, tenant: TenantId) -> str:
    """The live release's version.

    Raises:
        NoRelease: nothing is live yet.
    """
    version = store.current()
    if version is None:
        raise NoRelease(
            f"Tenant {tenant} has no release yet. Upload interactions (and items) and wait for the pipeline to finish, "
            f"or make one: recsaas run {tenant}"
        )
    return version
