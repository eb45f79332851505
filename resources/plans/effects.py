"""What a change of a plan would mean: which tenants would have more than it allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.tenants import TenantRow
from resources.plans.allowances import Allowance, allowances_of
from resources.plans.model import DEFAULT_PLAN, Plan
from resources.plans.use import MeterUse, over, use_of

MOST_LOOKED_AT = 1_000
"""Tenants of a plan that are looked at, by id: each takes some reads."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Tenants on a plan, those looked at, and those that would be over a limit of it, each with what."""

    tenants: int
    looked_at: int
    over: tuple[tuple[TenantId, tuple[MeterUse, ...]], ...]


def tenants_on(session: Session, plan_id: str) -> int:
    """How many tenants are on a plan, those that are being erased left out."""
    return int(session.scalar(select(func.count()).select_from(TenantRow).where(*_on(plan_id))) or 0)


def effect_of(session: Session, plan: Plan, *, now: datetime) -> Effect:
    """Tell what the plan, as it would be, means for the tenants that are on it; their exceptions hold on."""
    names = session.scalars(select(TenantRow.id).where(*_on(plan.id)).order_by(TenantRow.id).limit(MOST_LOOKED_AT))
    allowances = allowances_of(session, tuple(names), now=now)
    found = []
    for name in sorted(allowances):
        if wrong := over(use_of(session, on_plan(allowances[name], plan), now=now)):
            found.append((TenantId(name), tuple(wrong.values())))
    return Effect(tenants_on(session, plan.id), len(allowances), tuple(found))


def on_plan(allowance: Allowance, plan: Plan) -> Allowance:
    """Return what a tenant might use on another plan, with its exceptions."""
    kept = {name: getattr(allowance.limits, name) for name in allowance.overridden}
    texts = {name: None if amount is None else str(amount) for name, amount in kept.items()}
    return Allowance.of(allowance.tenant, plan, texts)


def _on(plan_id: str) -> tuple[ColumnElement[bool], ...]:
    chosen: ColumnElement[bool] = TenantRow.plan == plan_id
    if plan_id == DEFAULT_PLAN:
        chosen = or_(chosen, TenantRow.plan.is_(None))
    return (chosen, TenantRow.status != "retired")
