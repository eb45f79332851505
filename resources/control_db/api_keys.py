"""API keys: shown once, stored as a hash, checked on every request.

A key carries 256 random bits, so a plain SHA-256 is as good as a slow hash: there is nothing to guess
(argon2 is for passwords, which people choose).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from resources.control_db.engine import ControlDb
from resources.control_db.tables import ApiKeyRow, TenantRow
from resources.errors import InvalidInput, NotFound, TenantNotFound
from resources.tenant import TenantId

SCOPES = (
    "recommendations:read",
    "interactions:write",
    "items:write",
    "uploads:write",
    "training:write",
    "analytics:read",
    "admin",
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the platform knows about a key. `tenant_status` is the tenant's at the time of reading."""

    id: str
    tenant: TenantId
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    tenant_status: str


def create_api_key(
    db: ControlDb, tenant: TenantId, *, name: str, scopes: tuple[str, ...], now: datetime
) -> tuple[ApiKey, str]:
    """Make a key for `tenant`; return the record and the secret, which is not stored.

    Raises:
        TenantNotFound: no tenant has this id.
        InvalidInput: a scope does not exist.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise InvalidInput(f"Unknown scopes {', '.join(unknown)}; there are: {', '.join(SCOPES)}.")
    secret = f"sk_live_{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(
        id=secrets.token_hex(8),
        tenant_id=tenant.value,
        name=name,
        prefix=secret[:14],
        key_hash=hash_secret(secret),
        scopes=sorted(set(scopes)),
        created_at=now,
        revoked_at=None,
    )
    with db.write() as session:
        owner = session.get(TenantRow, tenant.value)
        if owner is None:
            raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant create {tenant}` makes it.")
        session.add(row)
        status = owner.status
    return _record(row, status), secret


def authenticate(db: ControlDb, secret: str) -> ApiKey | None:
    """Return the key that `secret` opens, or None when there is none or it was revoked."""
    statement = (
        select(ApiKeyRow, TenantRow.status)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.key_hash == hash_secret(secret), ApiKeyRow.revoked_at.is_(None))
    )
    with db.read() as session:
        found = session.execute(statement).one_or_none()
    return None if found is None else _record(found[0], found[1])


def revoke_api_key(db: ControlDb, tenant: TenantId, key_id: str, *, now: datetime) -> None:
    """Make a key invalid from now on.

    Raises:
        NotFound: the tenant has no such key.
    """
    with db.write() as session:
        row = session.get(ApiKeyRow, key_id)
        if row is None or row.tenant_id != tenant.value:
            raise NotFound(f"Tenant {tenant} has no API key {key_id!r}.")
        row.revoked_at = row.revoked_at or now


def list_api_keys(db: ControlDb, tenant: TenantId) -> tuple[ApiKey, ...]:
    """Every key of `tenant`, revoked ones included, oldest first."""
    statement = (
        select(ApiKeyRow, TenantRow.status)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.tenant_id == tenant.value)
        .order_by(ApiKeyRow.created_at, ApiKeyRow.id)
    )
    with db.read() as session:
        return tuple(_record(row, status) for row, status in session.execute(statement))


def hash_secret(secret: str) -> str:
    """SHA-256 of a key, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _record(row: ApiKeyRow, tenant_status: str) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        tenant_status=tenant_status,
    )
