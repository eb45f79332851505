"""The ranker over the release that a tenant is answered from now."""

from __future__ import annotations

from resources.base.tenant import TenantId
from resources.ranker.ranker import Ranker
from resources.release.load import load_release
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake


def live_ranker(lake: Lake, tenant: TenantId) -> Ranker:
    """The ranker over the tenant's live release.

    Raises:
        NoRelease: nothing is live yet.
        ReleaseNotFound, CorruptRelease: it cannot be read, or was replaced in this moment.
    """
    store = ReleaseStore(lake.tenant(tenant))
    directory = store.directory(store.live_version())
    return Ranker(load_release(directory, cache=store.cache, marks=store.marks))
