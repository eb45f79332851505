"""Tenants in the control DB, which is the truth about who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, Forbidden, InvalidInput, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import TenantRow
from resources.databases.opening import is_postgresql
from resources.tenants.settings import TenantSettings
from resources.tenants.stored_settings import UnusableSetting, changed, read_settings


@dataclass(frozen=True, slots=True)
class Tenant:
    """One shop. `status` is `active`, `suspended` or `retired`.

    `unusable_settings` are stored, by an earlier version, and do not count.
    """

    id: TenantId
    name: str
    status: str
    settings: TenantSettings
    created_at: datetime
    unusable_settings: tuple[UnusableSetting, ...] = ()


def create_tenant(
    db: ControlDb, tenant: TenantId, *, name: str, now: datetime, settings: TenantSettings | None = None
) -> Tenant:
    """Store a new tenant.

    Raises:
        Conflict: the id is taken.
        InvalidInput: the name is blank or too long.
    """
    name = name.strip()
    if not name or len(name) > 200:
        raise InvalidInput("A tenant's name has 1 to 200 characters.")
    settings = settings or TenantSettings()
    row = TenantRow(
        id=tenant.value, name=name, status="active", settings=settings.model_dump(mode="json"), created_at=now
    )
    try:
        with db.write() as session:
            session.add(row)
    except IntegrityError as error:
        raise Conflict(f"Tenant {tenant} exists already; choose another id.") from error
    return Tenant(id=tenant, name=name, status="active", settings=settings, created_at=now)


def get_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Return the tenant.

    Raises:
        TenantNotFound: no tenant has this id.
    """
    with db.read() as session:
        row = session.get(TenantRow, tenant.value)
    if row is None:
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return _record(row)


def suspend_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Stop a tenant: its keys are refused, no run of it starts, what it has sent waits. Nothing is lost by that.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
    """
    return _set_status(db, tenant, "suspended")


def resume_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Let a suspended tenant go on with what waits.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
    """
    return _set_status(db, tenant, "active")


def active_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Return the tenant, if work may be done for it.

    Raises:
        TenantNotFound: no tenant has this id.
        Forbidden: it is suspended or retired.
    """
    found = get_tenant(db, tenant)
    if found.status != "active":
        raise Forbidden(f"Tenant {tenant} is {found.status}; `recsaas tenant resume {tenant}` lets it go on.")
    return found


def change_settings(
    db: ControlDb, tenant: TenantId, changes: Mapping[str, JsonValue], *, now: datetime, by: Actor = SYSTEM
) -> Tenant:
    """Change settings by dotted name (`training.model_type`); `None` goes back to the default. All or none.

    Stored settings that cannot be used are gone then.

    Raises:
        TenantNotFound: no tenant has this id.
        InvalidInput: names each setting that does not exist or does not take the value.
    """
    with db.write() as session:
        row = session.get(TenantRow, tenant.value, with_for_update=True)
        if row is None:
            raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
        settings = changed(read_settings(row.settings).settings, changes)
        before, row.settings = _flat(row.settings), settings.model_dump(mode="json")
        _record_settings(session, by, tenant, before, _flat(row.settings), now)
        return _record(row)


def list_tenants(db: ControlDb) -> tuple[Tenant, ...]:
    """Every tenant, by id."""
    with db.read() as session:
        return tuple(_record(row) for row in session.scalars(select(TenantRow).order_by(TenantRow.id)))


def take_turns(session: Session, tenant: TenantId) -> None:
    """Let one transaction at a time go on for `tenant`, until it ends.

    On SQLite `ControlDb.write` has done that already. On PostgreSQL two transactions could commit in another order than
    they took their sequence numbers, or both find the ledger as it was.
    """
    if is_postgresql(session.get_bind()):
        # `key_share`: rows that only refer to the tenant may still be written.
        session.execute(select(TenantRow.id).where(TenantRow.id == tenant.value).with_for_update(key_share=True))


def _record_settings(
    session: Session,
    by: Actor,
    tenant: TenantId,
    before: Mapping[str, JsonValue],
    after: Mapping[str, JsonValue],
    now: datetime,
) -> None:
    """Record what has changed of the settings, by dotted name; nothing when nothing has."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if names:
        change = Change(
            action="settings.change",
            object_kind="settings",
            object_id=tenant.value,
            before={name: before.get(name) for name in names},
            after={name: after.get(name) for name in names},
        )
        record(session, by, change, tenant=tenant, now=now)


def _flat(fields: Any, prefix: str = "") -> dict[str, JsonValue]:
    """Settings by dotted name; what an earlier version has stored in place of them is one setting without a name."""
    if not isinstance(fields, dict):
        return {prefix.removesuffix("."): fields}
    found: dict[str, JsonValue] = {}
    for name, value in fields.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {f"{prefix}{name}": value}
    return found


def _set_status(db: ControlDb, tenant: TenantId, status: str) -> Tenant:
    with db.write() as session:
        row = session.get(TenantRow, tenant.value, with_for_update=True)
        if row is None:
            raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
        if row.status == "retired":
            raise Conflict(f"Tenant {tenant} is retired, and stays so.")
        row.status = status
        return _record(row)


def _record(row: TenantRow) -> Tenant:
    stored = read_settings(row.settings)
    return Tenant(
        id=TenantId(row.id),
        name=row.name,
        status=row.status,
        settings=stored.settings,
        created_at=row.created_at,
        unusable_settings=stored.unusable,
    )
