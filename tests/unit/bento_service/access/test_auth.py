from __future__ import annotations

import asyncio

from bento_service.access.key_cache import KEY_TTL_SECONDS, KeyCache
from bento_service.scheduling.threads import Threads
from resources.control_db.api_keys import list_api_keys, revoke_api_key
from tests.unit.bento_service.shop import NOW, Shop


def test_a_revoked_key_stops_within_five_seconds(blue: Shop) -> None:
    now = 100.0
    cache = KeyCache(blue.db, Threads().keys, clock=lambda: now)

    async def ask() -> bool:
        return await cache.find(blue.key) is not None

    assert asyncio.run(ask())
    (key,) = list_api_keys(blue.db, blue.tenant)
    revoke_api_key(blue.db, blue.tenant, key.id, now=NOW)
    now += 1.0
    assert asyncio.run(ask())
    now += KEY_TTL_SECONDS - 1.0
    assert not asyncio.run(ask())
    assert KEY_TTL_SECONDS < 5


def test_a_key_in_use_is_looked_up_again_before_anybody_has_to_wait(blue: Shop) -> None:
    now = 100.0
    cache = KeyCache(blue.db, Threads().keys, clock=lambda: now)

    async def use() -> list[bool]:
        nonlocal now
        found = [await cache.find(blue.key) is not None]
        (key,) = list_api_keys(blue.db, blue.tenant)
        revoke_api_key(blue.db, blue.tenant, key.id, now=NOW)
        now += KEY_TTL_SECONDS - 0.5
        found += [await cache.find(blue.key) is not None for _ in range(3)]  # believed, and looked up beside it, once
        (looking,) = cache._looking.values()
        await looking
        return [*found, await cache.find(blue.key) is not None]

    assert asyncio.run(use()) == [True, True, True, True, False]


def test_wrong_keys_are_not_remembered(blue: Shop) -> None:
    cache = KeyCache(blue.db, Threads().keys)
    for n in range(5):
        assert cache.look_up(f"sk_live_{n}") is None
    assert not cache._keys
