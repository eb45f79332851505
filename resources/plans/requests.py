"""A tenant's wish for another plan: kept, and mailed to those who may change plans."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, NotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.plans import PlanRequestRow
from resources.control_db.tables.tenants import take_turns
from resources.mail.queue import queue_mail
from resources.plans.allowances import allowance_of
from resources.plans.plans import find_plan


def ask_for_plan(
    session: Session, tenant: TenantId, plan_id: str, *, note: str, by: Actor, now: datetime
) -> PlanRequestRow:
    """Keep the wish, and mail it to every super admin. One that is open already is replaced.

    Raises:
        NotFound: there is no such plan, or it is not offered.
        Conflict: the tenant is on it already.
        TenantNotFound: there is no such tenant.
    """
    take_turns(session, tenant)
    plan = find_plan(session, plan_id)
    if not plan.offered:
        raise NotFound(f"The plan {plan.name} is not offered; GET /api/v1/plan lists those that are.")
    current = allowance_of(session, tenant, now=now).plan
    if plan.id == current.id:
        raise Conflict(f"This shop is on the plan {plan.name} already.")
    waiting = select(PlanRequestRow).where(PlanRequestRow.tenant_id == tenant.value, PlanRequestRow.done_at.is_(None))
    for row in session.scalars(waiting):
        if row.plan == plan.id:
            raise Conflict(f"The plan {plan.name} was asked for on {row.asked_at:%Y-%m-%d}; an answer is on its way.")
        row.done_at = now
    made = PlanRequestRow(
        id=f"preq-{secrets.token_hex(8)}",
        tenant_id=tenant.value,
        plan=plan.id,
        note=note,
        asked_by=by.name,
        asked_at=now,
    )
    session.add(made)
    values = {"tenant": tenant.value, "plan": plan.id, "current": current.id, "asked_by": by.name, "note": note}
    office = select(MemberRow.email).where(MemberRow.office_role == "super_admin", MemberRow.status == "active")
    for recipient in session.scalars(office.order_by(MemberRow.email)):
        queue_mail(session, recipient, "plan_requested", values, tenant=None, now=now)
    change = Change(action="plan.request", object_kind="plan", object_id=plan.id, after={"plan": plan.id, "note": note})
    record(session, by, change, tenant=tenant, now=now)
    return made


def open_request(session: Session, tenant: TenantId) -> PlanRequestRow | None:
    """The tenant's wish that was not answered yet."""
    waiting = select(PlanRequestRow).where(PlanRequestRow.tenant_id == tenant.value, PlanRequestRow.done_at.is_(None))
    return session.scalars(waiting.order_by(PlanRequestRow.asked_at.desc())).first()
