"""Changes of every tenant since its release, in memory: items and rules, read again after a change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from bento_service.scheduling.threads import Lane
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.recommendations.tenant_state import TenantState
from resources.release.load import LoadedRelease

_MOST_TENANTS = 2048


@dataclass(frozen=True, slots=True)
class _Kept:
    """A state, and of which release it is."""

    state: TenantState
    release: str


class TenantStates:
    """States by tenant, those loaded first dropped. Belongs to the event loop."""

    def __init__(self, db: ControlDb, lane: Lane) -> None:
        self._db = db
        self._lane = lane
        # A look-up takes a third of cachetools' (ADR 17).
        self._kept: OrderedDict[TenantId, _Kept] = OrderedDict()
        self._loading: dict[tuple[TenantId, str, int], asyncio.Task[TenantState]] = {}

    async def get(self, tenant: TenantId, release: LoadedRelease, version: int) -> TenantState:
        """Return the tenant's state on top of `release`; at least `version` of it, which was read for this answer."""
        kept = self._kept.get(tenant)
        if kept is not None and kept.state.version == version and kept.release == release.version:
            return kept.state
        state = await self._load(tenant, release, version, None if kept is None else kept.state)
        self._kept[tenant] = _Kept(state, release.version)
        self._kept.move_to_end(tenant)
        if len(self._kept) > _MOST_TENANTS:
            self._kept.popitem(last=False)
        return state

    async def _load(
        self, tenant: TenantId, release: LoadedRelease, version: int, before: TenantState | None
    ) -> TenantState:
        """Read the state, once for all who wait for this version of it."""
        if version == 0:
            return _UNCHANGED
        key = (tenant, release.version, version)
        loading = self._loading.get(key)
        if loading is None:
            reading = self._lane.run(tenant.value, TenantState.load, self._db, tenant, release, before=before)
            loading = asyncio.ensure_future(reading)
            self._loading[key] = loading
            loading.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(loading)


_UNCHANGED = TenantState()
