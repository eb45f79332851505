"""Tenants in the control DB, which is the truth about who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
from resources.control_db.versions import raise_state_version
from resources.plans.checks import check_settings
from resources.tenants.settings import ServingSettings, TenantSettings
from resources.tenants.stored_settings import UnusableSetting, changed, read_settings

MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Tenant:
    """One shop. `status` is `active`, `suspended`, or `retired` when it is being erased or was.

    `unusable_settings` are stored, by an earlier version, and do not count. The other fields are those of `TenantRow`.
    """

    id: TenantId
    name: str
    status: str
    settings: TenantSettings
    created_at: datetime
    unusable_settings: tuple[UnusableSetting, ...] = ()
    plan: str | None = None
    currency: str | None = None
    timezone: str | None = None
    created_by: str | None = None
    suspended_reason: str | None = None
    suspended_by: str | None = None
    suspended_at: datetime | None = None
    erase_after: datetime | None = None
    erased_at: datetime | None = None


def create_tenant(
    db: ControlDb,
    tenant: TenantId,
    *,
    name: str,
    now: datetime,
    settings: TenantSettings | None = None,
    by: Actor = SYSTEM,
) -> Tenant:
    """Store a new tenant.

    Raises:
        Conflict: the id is taken.
        InvalidInput: the name is blank or too long.
    """
    new = Tenant(tenant, name, "active", settings or TenantSettings(), now, created_by=named(by))
    try:
        with db.write() as session:
            return add_tenant(session, new, by=by)
    except IntegrityError as error:
        raise Conflict(f"Tenant {tenant} exists already; choose another id.") from error


def add_tenant(session: Session, new: Tenant, *, by: Actor) -> Tenant:
    """Within a transaction: store a new tenant, with its entry in the audit log.

    Raises:
        IntegrityError: the id is taken.
        InvalidInput: the name is blank or too long.
    """
    row = TenantRow(
        id=new.id.value,
        name=tenant_name(new.name),
        status=new.status,
        settings=new.settings.model_dump(mode="json"),
        created_at=new.created_at,
        plan=new.plan,
        currency=new.currency,
        timezone=new.timezone,
        created_by=new.created_by,
    )
    session.add(row)
    session.flush()
    made = Change(action="tenant.create", object_kind="tenant", object_id=row.id, after=tenant_fields(row))
    record(session, by, made, tenant=new.id, now=new.created_at)
    note_serving(session, new.id, TenantSettings(), new.settings)
    return tenant_record(row)


def tenant_name(name: str) -> str:
    """Return a tenant's name without blanks around it.

    Raises:
        InvalidInput: it is blank or too long, or no database can store it.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise InvalidInput(f"A tenant's name has 1 to {MAX_NAME} characters.")
    return name


def named(by: Actor) -> str:
    """Return who did something as a column holds it."""
    return f"{by.kind}:{by.id}"[:254]


def tenant_fields(row: TenantRow) -> dict[str, JsonValue]:
    """What the audit log shows of a tenant."""
    fields: dict[str, JsonValue] = {
        name: getattr(row, name)
        for name in ("name", "status", "plan", "currency", "timezone", "suspended_reason", "suspended_by")
    }
    return fields | {"erase_after": None if row.erase_after is None else row.erase_after.isoformat()}


def get_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Return the tenant; of one that was erased its id and when.

    Raises:
        TenantNotFound: no tenant has this id, or it is still being imported.
    """
    with db.read() as session:
        return tenant_record(row_of_tenant(session, tenant))


def row_of_tenant(session: Session, tenant: TenantId, *, change: bool = False) -> TenantRow:
    """Return the row of a tenant; to `change` it, nobody else can until the transaction ends.

    Raises:
        TenantNotFound: no tenant has this id, or it is still being imported.
    """
    row = session.get(TenantRow, tenant.value, with_for_update=True if change else None)
    if row is None or row.status == "importing":
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return row


def suspend_tenant(
    db: ControlDb, tenant: TenantId, *, by: Actor = SYSTEM, reason: str | None = None, now: datetime | None = None
) -> Tenant:
    """Stop a tenant: its keys are refused, no run of it starts, what it has sent waits. Nothing is lost by that.

    Suspending it again changes the reason, if one is given. Without `now`, this moment.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
    """
    now = now or datetime.now(UTC)
    with db.write() as session:
        row = tenant_to_change(session, tenant)
        before = tenant_fields(row)
        stop_row(row, by=by, reason=reason, now=now)
        _note(session, by, "tenant.suspend", row, before, now)
        return tenant_record(row)


def resume_tenant(db: ControlDb, tenant: TenantId, *, by: Actor = SYSTEM, now: datetime | None = None) -> Tenant:
    """Let a suspended tenant go on with what waits. If it was to be erased, it is not any more.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
    """
    now = now or datetime.now(UTC)
    with db.write() as session:
        return resume_row(session, tenant_to_change(session, tenant), by=by, now=now)


def stop_row(row: TenantRow, *, by: Actor, reason: str | None, now: datetime) -> None:
    """Within a transaction: stop a tenant. The caller records it.

    What an operator has stopped is the operator's, whatever a member of the shop does before or afterwards.
    """
    stopped = row.status == "suspended"
    if stopped and by.kind == "member" and not stopped_by_member(row):
        return
    taken_over = stopped and by.kind != "member" and stopped_by_member(row)
    if not stopped:
        row.status, row.suspended_at = "suspended", now
    if not stopped or taken_over or reason is not None:
        row.suspended_reason = reason
    if not stopped or by.kind != "member":
        row.suspended_by = named(by)


def stopped_by_member(row: TenantRow) -> bool:
    """Whether it is a member of the shop who has stopped it, and not an operator or a key."""
    return row.suspended_by is not None and row.suspended_by.startswith("member:")


def resume_row(session: Session, row: TenantRow, *, by: Actor, now: datetime) -> Tenant:
    """Within a transaction: let a suspended tenant go on, with an entry in its audit log."""
    before = tenant_fields(row)
    row.status, row.erase_after = "active", None
    row.suspended_at = row.suspended_reason = row.suspended_by = None
    _note(session, by, "tenant.resume", row, before, now)
    return tenant_record(row)


def active_tenant(db: ControlDb, tenant: TenantId) -> Tenant:
    """Return the tenant, if work may be done for it.

    Raises:
        TenantNotFound: no tenant has this id.
        Forbidden: it is suspended or retired.
    """
    found = get_tenant(db, tenant)
    if found.status != "active":
        raise Forbidden(f"{why_stopped(found)} `recsaas tenant resume {tenant}` lets it go on.")
    return found


def why_stopped(tenant: Tenant) -> str:
    """Say in a sentence, for the shop itself, that and why a tenant is not active."""
    reason = f": {tenant.suspended_reason.rstrip('.')}" if tenant.suspended_reason else ""
    return f"Tenant {tenant.id} is {tenant.status}{reason}."


def stopped_words(db: ControlDb, tenant: TenantId) -> str:
    """Say to a shop that is not active why, and whom to ask."""
    with db.read() as session:
        row = session.get(TenantRow, tenant.value)
    why = f"Tenant {tenant} is gone." if row is None else why_stopped(tenant_record(row))
    return f"{why} Ask the operator of this service to resume it."


def change_settings(
    db: ControlDb, tenant: TenantId, changes: Mapping[str, JsonValue], *, now: datetime, by: Actor = SYSTEM
) -> Tenant:
    """Change settings by dotted name (`training.model_type`); `None` goes back to the default. All or none.

    Stored settings that cannot be used are gone then.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
        InvalidInput: names each setting that does not exist or does not take the value.
        NotInPlan: a setting switches on what the tenant's plan does not have.
    """
    with db.write() as session:
        row = tenant_to_change(session, tenant)
        known = read_settings(row.settings).settings
        settings = changed(known, changes)
        check_settings(session, tenant, known, settings, now=now)
        note_serving(session, tenant, known, settings)
        before, row.settings = _flat(row.settings), settings.model_dump(mode="json")
        _record_settings(session, by, tenant, before, _flat(row.settings), now)
        return tenant_record(row)


def note_serving(session: Session, tenant: TenantId, before: TenantSettings, after: TenantSettings) -> None:
    """Within a transaction that alone may change the tenant: let answers read settings that concern them again."""
    if before.serving != after.serving:
        raise_state_version(session, tenant)


def read_serving(session: Session, tenant: TenantId) -> ServingSettings:
    """How the tenant's answers are made, as this transaction sees it; the defaults where there is no such tenant."""
    row = session.get(TenantRow, tenant.value)
    return ServingSettings() if row is None else read_settings(row.settings).settings.serving


def list_tenants(db: ControlDb, *, after: str | None = None, limit: int | None = None) -> tuple[Tenant, ...]:
    """Every tenant, by id; neither those that were erased nor those that are still being imported.

    Args:
        after: only those behind this id, in the order of the database.
        limit: how many at most.
    """
    statement = select(TenantRow).where(TenantRow.erased_at.is_(None), TenantRow.status != "importing")
    if after is not None:
        statement = statement.where(TenantRow.id > after)
    with db.read() as session:
        return tuple(tenant_record(row) for row in session.scalars(statement.order_by(TenantRow.id).limit(limit)))


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


def tenant_record(row: TenantRow) -> Tenant:
    """The tenant that a row holds."""
    stored = read_settings(row.settings)
    return Tenant(
        id=TenantId(row.id),
        name=row.name,
        status=row.status,
        settings=stored.settings,
        created_at=row.created_at,
        unusable_settings=stored.unusable,
        plan=row.plan,
        currency=row.currency,
        timezone=row.timezone,
        created_by=row.created_by,
        suspended_reason=row.suspended_reason,
        suspended_by=row.suspended_by,
        suspended_at=row.suspended_at,
        erase_after=row.erase_after,
        erased_at=row.erased_at,
    )


def tenant_to_change(session: Session, tenant: TenantId) -> TenantRow:
    """Return the row of a tenant that is neither erased nor being erased; nobody else can change it until the end.

    Raises:
        TenantNotFound: no tenant has this id, or it is still being imported.
        Conflict: it is retired.
    """
    row = row_of_tenant(session, tenant, change=True)
    if row.status == "retired":
        raise Conflict(f"Tenant {tenant} is retired, and stays so.")
    return row


def _note(
    session: Session, by: Actor, action: str, row: TenantRow, before: Mapping[str, JsonValue], now: datetime
) -> None:
    after = tenant_fields(row)
    if after != before:
        change = Change(action=action, object_kind="tenant", object_id=row.id, before=before, after=after)
        record(session, by, change, tenant=TenantId(row.id), now=now)
