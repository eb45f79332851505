"""API keys: shown once, stored as a hash, bound to one tenant."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from resources.access.scopes import SCOPES
from resources.base.errors import InvalidInput, NotFound, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.api_keys import authenticate, create_api_key, list_api_keys, revoke_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import TenantRow

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]


def make(db: ControlDb, tenant: TenantId, now: datetime, *scopes: str) -> tuple[str, str]:
    key, secret = create_api_key(db, tenant, name="kasse", scopes=scopes or ("recommendations:read",), now=now)
    return key.id, secret


def test_a_key_opens_its_tenant_with_its_scopes(db: ControlDb, shops: Shops, now: datetime) -> None:
    scopes = ("uploads:write", "recommendations:read", "uploads:write")
    key, secret = create_api_key(db, shops[0], name="Käse", scopes=scopes, now=now)
    assert secret.startswith("sk_live_")
    assert key.prefix == secret[:14]
    assert key.scopes == {"uploads:write", "recommendations:read"}
    assert (key.tenant, key.name, key.created_at, key.revoked_at) == (shops[0], "Käse", now, None)
    assert authenticate(db, secret) == key


@pytest.mark.databases("sqlite")
def test_only_the_hash_is_stored(db: ControlDb, shops: Shops, now: datetime, tmp_path: Path) -> None:
    _, secret = make(db, shops[0], now)
    db.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored
    assert secret.encode() not in stored
    assert secret[14:].encode() not in stored


def test_no_two_keys_are_alike(db: ControlDb, shops: Shops, now: datetime) -> None:
    made = [make(db, shops[0], now) for _ in range(20)]
    assert len({key_id for key_id, _ in made}) == len({secret for _, secret in made}) == 20


@pytest.mark.parametrize("secret", ["", "sk_live_", "sk_live_nothing", "ünï", "' OR 1=1 --", "x" * 100_000])
def test_a_guess_opens_nothing(db: ControlDb, shops: Shops, now: datetime, secret: str) -> None:
    make(db, shops[0], now)
    assert authenticate(db, secret) is None


def test_the_prefix_or_the_hash_of_a_key_opens_nothing(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, secret = make(db, shops[0], now)
    for guess in (secret[:14], secret[:-1], secret + "x", secret.upper(), hashlib.sha256(secret.encode()).hexdigest()):
        assert authenticate(db, guess) is None


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(db: ControlDb, shops: Shops, now: datetime) -> None:
    key_id, secret = make(db, shops[0], now)
    _, other = make(db, shops[0], now)
    revoke_api_key(db, shops[0], key_id, now=now)
    revoke_api_key(db, shops[0], key_id, now=now + timedelta(days=1))
    assert authenticate(db, secret) is None
    assert authenticate(db, other) is not None
    assert {key.id: key.revoked_at for key in list_api_keys(db, shops[0])}[key_id] == now


def test_a_tenant_neither_sees_nor_revokes_the_keys_of_another(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    key_id, secret = make(db, blue, now)
    with pytest.raises(NotFound, match="green has no API key"):
        revoke_api_key(db, green, key_id, now=now)
    assert list_api_keys(db, green) == ()
    key = authenticate(db, secret)
    assert key is not None
    assert key.tenant == blue


def test_revoking_a_key_that_is_not_there_says_so(db: ControlDb, shops: Shops, now: datetime) -> None:
    with pytest.raises(NotFound, match="'nothing'"):
        revoke_api_key(db, shops[0], "nothing", now=now)


def test_an_unknown_scope_is_refused_with_those_that_exist(db: ControlDb, shops: Shops, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="items:read") as caught:
        make(db, shops[0], now, "admin", "items:read")
    assert all(scope in caught.value.message for scope in SCOPES)
    assert list_api_keys(db, shops[0]) == ()


def test_a_key_needs_a_tenant(db: ControlDb, now: datetime) -> None:
    with pytest.raises(TenantNotFound, match="recsaas tenant list"):
        make(db, TenantId("nobody"), now)


def test_the_list_is_oldest_first(db: ControlDb, shops: Shops, now: datetime) -> None:
    later, _ = make(db, shops[0], now + timedelta(hours=1))
    earlier, _ = make(db, shops[0], now)
    assert [key.id for key in list_api_keys(db, shops[0])] == [earlier, later]


def test_a_key_says_how_its_tenant_is(db: ControlDb, shops: Shops, now: datetime) -> None:
    _, secret = make(db, shops[0], now)
    with db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == "blue").values(status="suspended"))
    key = authenticate(db, secret)
    assert key is not None
    assert key.tenant_status == "suspended"
