from __future__ import annotations

from bento_service.auth import KEY_TTL_SECONDS, KeyCache
from resources.control_db.api_keys import list_api_keys, revoke_api_key
from tests.unit.bento_service.shop import NOW, Shop


def test_a_revoked_key_stops_within_five_seconds(blue: Shop) -> None:
    now = 100.0
    cache = KeyCache(blue.db, clock=lambda: now)
    assert cache.cached(blue.key) is None
    assert cache.look_up(blue.key) is not None
    (key,) = list_api_keys(blue.db, blue.tenant)
    revoke_api_key(blue.db, blue.tenant, key.id, now=NOW)
    now += KEY_TTL_SECONDS - 0.01
    assert cache.cached(blue.key) is not None
    now += 0.01
    assert cache.cached(blue.key) is None
    assert cache.look_up(blue.key) is None
    assert KEY_TTL_SECONDS < 5


def test_wrong_keys_are_not_remembered(blue: Shop) -> None:
    cache = KeyCache(blue.db)
    for n in range(5):
        assert cache.look_up(f"sk_live_{n}") is None
    assert not cache._keys
