from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bento_service.recommending.settings_cache import SETTINGS_SECONDS, SettingsCache
from bento_service.scheduling.threads import Threads
from resources.base.errors import InvalidInput, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import change_settings
from resources.tenants.settings import TenantSettings


def test_settings_are_read_again_after_a_while_and_before_anything_is_refused(
    db: ControlDb, shops: tuple[TenantId, TenantId]
) -> None:
    now = 0.0

    def own_name(settings: TenantSettings) -> str:
        if "kauf" not in settings.interaction_types:
            raise InvalidInput("kauf is not a type")
        return settings.interaction_types["kauf"]

    async def run() -> None:
        nonlocal now
        cache = SettingsCache(db, Threads().keys, clock=lambda: now)
        blue, green = shops
        with pytest.raises(InvalidInput):
            await cache.apply(blue, own_name)
        change_settings(db, blue, {"interaction_types": {"kauf": "purchase"}}, now=datetime.now(UTC))
        assert await cache.apply(blue, own_name) == "purchase"  # before its time, as it would be refused
        change_settings(db, blue, {"interaction_types": {"kauf": "view"}}, now=datetime.now(UTC))
        assert await cache.apply(blue, own_name) == "purchase"
        now = SETTINGS_SECONDS
        assert await cache.apply(blue, own_name) == "view"
        assert (await cache.get(green)).interaction_types == {}
        with pytest.raises(TenantNotFound):
            await cache.get(TenantId("nobody"))

    asyncio.run(run())
