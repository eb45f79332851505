"""Settings of tenants, as they were moments ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from bento_service.scheduling.threads import Lane
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant
from resources.tenants.settings import TenantSettings

SETTINGS_SECONDS = 3.0
"""How long settings are believed without asking the control DB, as long as an API key."""
_MOST_TENANTS = 2048
Result = TypeVar("Result")


class SettingsCache:
    """Settings by tenant, those read first dropped. Belongs to the event loop."""

    def __init__(self, db: ControlDb, lane: Lane, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._lane = lane
        self._clock = clock
        # A look-up takes a fraction of cachetools' `TTLCache`'s (ADR 17).
        self._kept: OrderedDict[TenantId, tuple[float, TenantSettings]] = OrderedDict()

    async def get(self, tenant: TenantId) -> TenantSettings:
        """Return the tenant's settings, as they were at most `SETTINGS_SECONDS` ago.

        Raises:
            TenantNotFound: there is no such tenant any more.
        """
        kept = self._kept.get(tenant)
        if kept is None or self._clock() - kept[0] >= SETTINGS_SECONDS:
            return await self.read(tenant)
        return kept[1]

    async def apply(self, tenant: TenantId, use: Callable[[TenantSettings], Result]) -> Result:
        """Return what `use` makes of the settings; what it refuses by older ones is tried by those of now.

        Raises:
            TenantNotFound: there is no such tenant any more; and whatever `use` raises.
        """
        try:
            return use(await self.get(tenant))
        except InvalidInput:
            return use(await self.read(tenant))

    async def read(self, tenant: TenantId) -> TenantSettings:
        """Return the settings as they are now, and keep them."""
        asked_at = self._clock()
        settings = (await self._lane.run(tenant.value, get_tenant, self._db, tenant)).settings
        self._kept[tenant] = (asked_at, settings)
        self._kept.move_to_end(tenant)
        if len(self._kept) > _MOST_TENANTS:
            self._kept.popitem(last=False)
        return settings
