"""API keys: shown once, stored as a hash, checked on every request.

A key carries 256 random bits, so a plain SHA-256 is as good as a slow hash: there is nothing to guess
(argon2 is for passwords, which people choose).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.access.scopes import PLATFORM, SCOPES
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, InvalidInput, NotFound, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import take_turns

MAX_ACTIVE_KEYS = 200
"""Keys of one tenant that are not revoked."""
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key, without its secret. `tenant_status` is the tenant's at the time of reading."""

    id: str
    tenant: TenantId
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    tenant_status: str

    @property
    def status(self) -> Literal["active", "revoked"]:
        """Whether the key opens anything; that of an active key of a suspended tenant is `active`."""
        return "active" if self.revoked_at is None else "revoked"


def create_api_key(
    db: ControlDb, tenant: TenantId, *, name: str, scopes: tuple[str, ...], now: datetime, by: Actor = SYSTEM
) -> tuple[ApiKey, str]:
    """Make a key for `tenant`; return the record and the secret, which is not stored.

    Raises:
        TenantNotFound: no tenant has this id.
        InvalidInput: a scope does not exist, or the name is blank or too long.
        Conflict: the tenant has as many keys as it may.
    """
    unknown = sorted(set(scopes) - {*SCOPES, PLATFORM})
    if unknown:
        raise InvalidInput(f"Unknown scopes {', '.join(unknown)}; there are: {', '.join(SCOPES)}.")
    name = name.strip()
    if not name or len(name) > _MAX_NAME or "\0" in name:
        raise InvalidInput(f"A key's name has 1 to {_MAX_NAME} characters, none of them NUL.")
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
        take_turns(session, tenant)
        if _count_active(session, tenant) >= MAX_ACTIVE_KEYS:
            raise Conflict(f"Tenant {tenant} has {MAX_ACTIVE_KEYS} keys, and cannot have more; revoke some first.")
        session.add(row)
        after = {"name": row.name, "begins_with": row.prefix, "scopes": row.scopes}
        made = Change(action="key.create", object_kind="key", object_id=row.id, after=after)
        record(session, by, made, tenant=tenant, now=now)
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


def revoke_api_key(
    db: ControlDb,
    tenant: TenantId,
    key_id: str,
    *,
    now: datetime,
    keep_an_admin: bool = False,
    by: Actor = SYSTEM,
) -> ApiKey:
    """Make a key invalid from now on, and return what it was. Revoking it again changes nothing.

    Args:
        keep_an_admin: refuse to revoke the last key with the scope `admin`: whoever does that by such a key could not
            undo it.

    Raises:
        NotFound: the tenant has no such key.
        Conflict: it is the last one with the scope `admin`, and that has to be kept.
    """
    with db.write() as session:
        take_turns(session, tenant)
        row, owner = session.get(ApiKeyRow, key_id), session.get(TenantRow, tenant.value)
        if row is None or owner is None or row.tenant_id != tenant.value:
            raise NotFound(f"Tenant {tenant} has no API key {key_id[:60]!r}; list its keys to see which it has.")
        if keep_an_admin and row.revoked_at is None and _is_last_admin(session, tenant, row):
            raise Conflict(
                f"{key_id} is the last key of tenant {tenant} with the scope admin. Make another one first, or ask the "
                "operator of this service to revoke it."
            )
        if row.revoked_at is None:
            row.revoked_at = now
            before = {"name": row.name, "begins_with": row.prefix, "scopes": row.scopes}
            revoked = Change(action="key.revoke", object_kind="key", object_id=row.id, before=before)
            record(session, by, revoked, tenant=tenant, now=now)
        return _record(row, owner.status)


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


def _count_active(session: Session, tenant: TenantId) -> int:
    active = (ApiKeyRow.tenant_id == tenant.value, ApiKeyRow.revoked_at.is_(None))
    return session.scalar(select(func.count()).select_from(ApiKeyRow).where(*active)) or 0


def _is_last_admin(session: Session, tenant: TenantId, row: ApiKeyRow) -> bool:
    active = (ApiKeyRow.tenant_id == tenant.value, ApiKeyRow.revoked_at.is_(None), ApiKeyRow.id != row.id)
    others = session.scalars(select(ApiKeyRow.scopes).where(*active))
    return "admin" in row.scopes and not any("admin" in scopes for scopes in others)


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
