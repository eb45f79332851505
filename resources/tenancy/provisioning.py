"""Making tenants, again and again with the same outcome, and changing what is known of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import FieldProblem, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.people import MembershipRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.control_db.tenants import (
    Tenant,
    add_tenant,
    named,
    note_serving,
    tenant_fields,
    tenant_name,
    tenant_record,
    tenant_to_change,
)
from resources.people.invites import invite, list_invites
from resources.people.members import member_by_email, one_email
from resources.plans.assigned import put_on_plan
from resources.plans.checks import check_settings
from resources.plans.plans import find_plan
from resources.storage.lake import Lake, local_path
from resources.tenancy.naming import check_new_id, checked_currency, checked_timezone, taken
from resources.tenants.settings import TenantSettings
from resources.tenants.stored_settings import changed, read_settings
from resources.uploads.contract.columns import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenant:
    """What a tenant is to be. `settings` are by dotted name, `currency` of ISO 4217, `timezone` an IANA name."""

    id: TenantId
    name: str
    plan: str | None = None
    currency: str | None = None
    timezone: str | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    owner_email: str | None = None


def provision_tenant(
    db: ControlDb,
    lake: Lake,
    new: NewTenant,
    *,
    by: Actor,
    site_url: str,
    now: datetime,
    key: WriteKey | None = None,
) -> Tenant:
    """Make the tenant, and whatever of it is missing: its row, the invitation of its owner, and the folders into which
    its files are dropped.

    Asked for again by whoever made it, with the same contents or the same key, it is returned as it is. Its partition
    follows by itself, see the sensor `tenant_mirror`.

    Raises:
        Conflict: the id is, or was, somebody else's, or the key came before with another request; names free ids.
        InvalidInput: a field does not fit; nothing was made.
    """
    check_new_id(new.id)
    wanted = _wanted(new, by, now)

    def make() -> Tenant:
        with db.write() as session:
            made = _known(session, wanted, key) or _added(session, wanted, by, key)
            if new.owner_email is not None:
                _invite_owner(session, new.id, one_email(new.owner_email), by=by, site_url=site_url, now=now)
            return made

    try:
        made = make()
    except IntegrityError:  # somebody was quicker with this id: what they have made can be seen now
        made = make()
    make_landing_folders(lake, new.id)
    return made


def insert_tenant(session: Session, new: NewTenant, *, by: Actor, now: datetime) -> Tenant:
    """Within a transaction: make a tenant. The caller makes its folders afterwards (`make_landing_folders`).

    Raises:
        Conflict: the id is, or was, somebody's; names free ids.
        InvalidInput: a field does not fit.
    """
    check_new_id(new.id)
    if session.get(TenantRow, new.id.value) is not None:
        raise taken(session, new.id)
    _check_plan(session, new.plan)
    made = add_tenant(session, _wanted(new, by, now), by=by)
    check_settings(session, made.id, TenantSettings(), made.settings, now=now)
    return made


def make_landing_folders(lake: Lake, tenant: TenantId) -> None:
    """Make the folders into which files of the tenant may be dropped; an object store has none."""
    for kind in Kind:
        folder = local_path(lake.landing(tenant, kind.value))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantEdit:
    """Changes of a tenant: of each field that is in `fields` the new value, and of `settings` by dotted name.

    `fields` may have `name`, `plan`, `currency` and `timezone`; of all but the name None takes the value away.
    """

    fields: Mapping[str, str | None] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)


def edit_tenant(db: ControlDb, tenant: TenantId, edit: TenantEdit, *, by: Actor, now: datetime) -> Tenant:
    """Change what is known of a tenant: all of it, or nothing.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: it is retired.
        InvalidInput: a field or a setting does not fit.
    """
    fields = dict(edit.fields)
    if "name" in fields:
        fields["name"] = tenant_name(fields["name"] or "")
    if "currency" in fields:
        fields["currency"] = checked_currency(fields["currency"])
    if "timezone" in fields:
        fields["timezone"] = checked_timezone(fields["timezone"])
    with db.write() as session:
        row = tenant_to_change(session, tenant)
        before, settings = tenant_fields(row), read_settings(row.settings).settings
        _check_plan(session, fields.get("plan"))
        for name, value in fields.items():
            if name == "plan" and value is not None:
                put_on_plan(session, tenant, value, by=by, now=now)
                before["plan"] = value  # which has its entry in the audit log by that
            else:
                setattr(row, name, value)
        after_settings = changed(settings, edit.settings) if edit.settings else settings
        check_settings(session, tenant, settings, after_settings, now=now)
        if edit.settings:
            row.settings = after_settings.model_dump(mode="json")
            note_serving(session, tenant, settings, after_settings)
        change = _difference(
            before | {"settings": settings.model_dump(mode="json")},
            tenant_fields(row) | {"settings": after_settings.model_dump(mode="json")},
        )
        if change is not None:
            made = Change(
                action="tenant.edit", object_kind="tenant", object_id=row.id, before=change[0], after=change[1]
            )
            record(session, by, made, tenant=tenant, now=now)
        return tenant_record(row)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    names = [name for name in after if before.get(name) != after[name]]
    return ({name: before.get(name) for name in names}, {name: after[name] for name in names}) if names else None


def _wanted(new: NewTenant, by: Actor, now: datetime) -> Tenant:
    return Tenant(
        id=new.id,
        name=tenant_name(new.name),
        status="active",
        settings=changed(TenantSettings(), new.settings),
        created_at=now,
        plan=new.plan,
        currency=checked_currency(new.currency),
        timezone=checked_timezone(new.timezone),
        created_by=named(by),
    )


def _known(session: Session, wanted: Tenant, key: WriteKey | None) -> Tenant | None:
    """The tenant that the same request has made before; None when there is none of this id."""
    take_turns(session, wanted.id)
    row = session.get(TenantRow, wanted.id.value)
    if row is None:
        return None
    if row.status in ("importing", "retired") or row.created_by != wanted.created_by:
        raise taken(session, wanted.id)
    if earlier_answer(session, wanted.id, key) is not None:
        return tenant_record(row)
    known = tenant_record(row)
    same = ("name", "settings", "plan", "currency", "timezone")
    if any(getattr(known, name) != getattr(wanted, name) for name in same):
        raise taken(session, wanted.id)
    return known


def _added(session: Session, wanted: Tenant, by: Actor, key: WriteKey | None) -> Tenant:
    _check_plan(session, wanted.plan)
    made = add_tenant(session, wanted, by=by)
    check_settings(session, made.id, TenantSettings(), made.settings, now=wanted.created_at)
    remember_answer(session, wanted.id, key, {"tenant": wanted.id.value}, now=wanted.created_at)
    return made


def _invite_owner(session: Session, tenant: TenantId, email: str, *, by: Actor, site_url: str, now: datetime) -> None:
    """Invite the owner, who is neither invited nor there already."""
    member = member_by_email(session, email)
    if member is not None and session.get(MembershipRow, (member.id, tenant.value)) is not None:
        return
    if not any(open_.email == email for open_ in list_invites(session, tenant, now)):
        invite(session, tenant, email, "owner", by=by, site_url=site_url, now=now)


def _check_plan(session: Session, plan: str | None) -> None:
    if plan is None:
        return
    try:
        find_plan(session, plan)
    except NotFound as error:
        raise InvalidInput(error.message, details=(FieldProblem("plan", "does not exist"),)) from error
