"""API keys: shown once, stored as a hash, checked on every request.

A key carries 256 random bits, so a plain SHA-256 is as good as a slow hash: there is nothing to guess
(argon2 is for passwords, which people choose). It is looked up by this hash, so that no secret is ever compared.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.access.key_kinds import PREFIXES, KeyKind, KeyTerms, checked_terms
from resources.access.scopes import PLATFORM
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, Forbidden, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.people import MemberRow, MembershipRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.control_db.tenants import tenant_to_change

MAX_ACTIVE_KEYS = 200
"""Keys of one tenant that are neither revoked nor over."""
_SHOWN = 14
"""Characters of a secret that are stored, so that people can tell which key it is."""
KeyStatus = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key, without its secret. `tenant_status` is the tenant's at the time of reading.

    Attributes:
        bound: whether it is only good from some addresses or in some pages: a request has to be looked at.
        rotated_to: the key that takes its place.
        last_used_at, last_route: of the newest use that is stored, up to a minute ago.
    """

    id: str
    tenant: TenantId
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    tenant_status: str
    kind: KeyKind = "secret"
    expires_at: datetime | None = None
    addresses: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    bound: bool = False
    made_by: str | None = None
    rotated_to: str | None = None
    last_used_at: datetime | None = None
    last_route: str | None = None

    def status_at(self, now: datetime) -> KeyStatus:
        """Whether the key opens anything; that of an active key of a suspended tenant is `active`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made. `secret` is None where the request that made it came again: it is not stored."""

    key: ApiKey
    secret: str | None


def create_api_key(
    db: ControlDb, tenant: TenantId, *, name: str, scopes: tuple[str, ...], now: datetime, by: Actor = SYSTEM
) -> tuple[ApiKey, str]:
    """Make a secret key without an end; return the record and the secret, which is not stored.

    Raises:
        As `make_api_key`.
    """
    key, secret = _made(db, tenant, KeyTerms(name=name, scopes=scopes), now=now, by=by, request=None)
    return key, cast(str, secret)


def make_api_key(
    db: ControlDb, tenant: TenantId, terms: KeyTerms, *, now: datetime, by: Actor, request: WriteKey | None = None
) -> NewKey:
    """Make a key for `tenant`; when the request comes again, return the key that it made, without its secret.

    Raises:
        TenantNotFound: no tenant has this id.
        InvalidInput: there can be no key with these terms.
        Conflict: the tenant has as many keys as it may, or the idempotency key came with another request.
    """
    return NewKey(*_made(db, tenant, terms, now=now, by=by, request=request))


def authenticate(db: ControlDb, secret: str, *, now: datetime | None = None) -> ApiKey | None:
    """Return the key that `secret` opens, or None when there is none, it was revoked, or is over (at `now`)."""
    statement = (
        select(ApiKeyRow, TenantRow.status)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.key_hash == hash_secret(secret), ApiKeyRow.revoked_at.is_(None))
    )
    with db.read() as session:
        found = session.execute(statement).one_or_none()
    if found is None:
        return None
    key = key_record(found[0], found[1])
    return key if key.status_at(now or datetime.now(UTC)) == "active" else None


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
        keep_an_admin: refuse to revoke the last key with the scope `admin` of a shop without an owner: whoever does
            that by such a key could not undo it.

    Raises:
        NotFound: the tenant has no such key.
        Forbidden: it is a key of the platform, which `by` has no hold on.
        Conflict: it is the last one with the scope `admin`, and that has to be kept.
    """
    with db.write() as session:
        row, status = held_key(session, tenant, key_id)
        check_may_hold(row, by)
        if row.revoked_at is None:
            if keep_an_admin:
                check_an_admin_stays(session, tenant, row, now=now)
            row.revoked_at = now
            gone = Change(action="key.revoke", object_kind="key", object_id=row.id, before=audited_key(row))
            record(session, by, gone, tenant=tenant, now=now)
        return key_record(row, status)


def list_api_keys(db: ControlDb, tenant: TenantId) -> tuple[ApiKey, ...]:
    """Every key of `tenant`, revoked ones included, oldest first."""
    statement = (
        select(ApiKeyRow, TenantRow.status)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.tenant_id == tenant.value)
        .order_by(ApiKeyRow.created_at, ApiKeyRow.id)
    )
    with db.read() as session:
        return tuple(key_record(row, status) for row, status in session.execute(statement))


def hash_secret(secret: str) -> str:
    """SHA-256 of a key, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def held_key(session: Session, tenant: TenantId, key_id: str) -> tuple[ApiKeyRow, str]:
    """Take the tenant's turn, and return a key of it with the tenant's status.

    Raises:
        NotFound: the tenant has no such key.
    """
    take_turns(session, tenant)
    row, owner = session.get(ApiKeyRow, key_id), session.get(TenantRow, tenant.value)
    if row is None or owner is None or row.tenant_id != tenant.value:
        raise NotFound(f"Tenant {tenant} has no API key {key_id[:60]!r}; list its keys to see which it has.")
    return row, owner.status


def check_may_hold(row: ApiKeyRow, by: Actor) -> None:
    """Refuse to change, rotate or end a key of the platform, unless the command line does it.

    It is kept with a tenant, and is no key of that tenant: who rotates it would hold a key of the platform.

    Raises:
        Forbidden: it is one, and somebody else asks.
    """
    if PLATFORM in row.scopes and by.kind != "command":
        raise Forbidden(
            f"Key {row.id} is the platform's, not the tenant's that it is kept with. Whoever runs this service "
            "changes, rotates and revokes it, with `recsaas tenant key`."
        )


def new_key(session: Session, tenant: TenantId, terms: KeyTerms, *, now: datetime, by: Actor) -> tuple[ApiKeyRow, str]:
    """Add a key with terms that were checked, and return it with its secret; the caller records why."""
    secret = f"{PREFIXES[terms.kind]}{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(
        id=secrets.token_hex(8),
        tenant_id=tenant.value,
        name=terms.name,
        prefix=secret[:_SHOWN],
        key_hash=hash_secret(secret),
        scopes=list(terms.scopes),
        created_at=now,
        revoked_at=None,
        kind=terms.kind,
        made_by=by.name[:200],
        expires_at=terms.expires_at,
        addresses=list(terms.addresses),
        origins=list(terms.origins),
    )
    session.add(row)
    return row, secret


def check_key_room(session: Session, tenant: TenantId, *, now: datetime) -> None:
    """Refuse one more key than a tenant may have; it has the tenant's turn.

    Raises:
        Conflict: there is no room for another one.
    """
    active = session.scalar(select(func.count()).select_from(ApiKeyRow).where(*_active(tenant, now))) or 0
    if active >= MAX_ACTIVE_KEYS:
        raise Conflict(f"Tenant {tenant} has {MAX_ACTIVE_KEYS} keys, and cannot have more; revoke some first.")


def check_an_admin_stays(session: Session, tenant: TenantId, row: ApiKeyRow, *, now: datetime) -> None:
    """Refuse to end or to narrow the last key with the scope `admin`, unless an owner can log in and make another.

    Raises:
        Conflict: it is the last one.
    """
    if not _is_admin(row) or row.rotated_to is not None:
        return
    others = select(ApiKeyRow).where(*_active(tenant, now), ApiKeyRow.id != row.id, ApiKeyRow.rotated_to.is_(None))
    if any(_is_admin(other) for other in session.scalars(others)) or _has_owner(session, tenant):
        return
    raise Conflict(
        f"{row.id} is the last key of tenant {tenant} with the scope admin. Make another one first, or ask the "
        "operator of this service to end this one."
    )


def audited_key(row: ApiKeyRow) -> dict[str, Any]:
    """Return what the audit log says of a key."""
    return {
        "name": row.name,
        "begins_with": row.prefix,
        "kind": row.kind,
        "scopes": row.scopes,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
        "addresses": row.addresses,
        "origins": row.origins,
    }


def key_record(row: ApiKeyRow, tenant_status: str) -> ApiKey:
    """Return a key as it is stored."""
    return ApiKey(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        tenant_status=tenant_status,
        kind=cast(KeyKind, row.kind),
        expires_at=row.expires_at,
        addresses=tuple(row.addresses),
        origins=tuple(row.origins),
        bound=bool(row.addresses) or row.kind == "browser",
        made_by=row.made_by,
        rotated_to=row.rotated_to,
        last_used_at=row.last_used_at,
        last_route=row.last_route,
    )


def _made(
    db: ControlDb, tenant: TenantId, terms: KeyTerms, *, now: datetime, by: Actor, request: WriteKey | None
) -> tuple[ApiKey, str | None]:
    terms = checked_terms(terms, now=now)
    with db.write() as session:
        owner = tenant_to_change(session, tenant)
        if (before := earlier_answer(session, tenant, request)) is not None:
            row, status = held_key(session, tenant, before["key_id"])
            return key_record(row, status), None
        check_key_room(session, tenant, now=now)
        row, secret = new_key(session, tenant, terms, now=now, by=by)
        remember_answer(session, tenant, request, {"key_id": row.id}, now=now)
        made = Change(action="key.create", object_kind="key", object_id=row.id, after=audited_key(row))
        record(session, by, made, tenant=tenant, now=now)
        return key_record(row, owner.status), secret


def _active(tenant: TenantId, now: datetime) -> tuple[Any, ...]:
    unended = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    return ApiKeyRow.tenant_id == tenant.value, ApiKeyRow.revoked_at.is_(None), unended


def _is_admin(row: ApiKeyRow) -> bool:
    return "admin" in row.scopes and row.kind == "secret"


def _has_owner(session: Session, tenant: TenantId) -> bool:
    owners = (
        select(func.count())
        .select_from(MembershipRow)
        .join(MemberRow, MemberRow.id == MembershipRow.member_id)
        .where(MembershipRow.tenant_id == tenant.value, MembershipRow.role == "owner", MemberRow.status == "active")
    )
    return bool(session.scalar(owners))
