"""What tenants may use now: their plan, with the exceptions that were made for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from resources.base.errors import TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.plans import PlanRow, QuotaOverrideRow
from resources.control_db.tables.tenants import TenantRow
from resources.plans.model import DEFAULT_PLAN, METERS, AtLimit, Feature, Meter, Plan, PlanLimits
from resources.plans.plans import shipped_plans

RATE = "requests_per_second"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one tenant may use.

    Attributes:
        limits: of its plan, with its exceptions laid over them.
        overridden: the limits that are exceptions.
        limited: the meters that have a limit.
    """

    tenant: TenantId
    plan: Plan
    limits: PlanLimits
    overridden: frozenset[str]
    limited: tuple[Meter, ...]

    @classmethod
    def of(cls, tenant: TenantId, plan: Plan, overrides: Mapping[str, str | None]) -> Allowance:
        """Lay the exceptions over the plan."""
        changes = {name: _amount(name, text) for name, text in overrides.items() if name in PlanLimits.model_fields}
        limits = plan.limits.model_copy(update=changes) if changes else plan.limits
        limited = tuple(meter for meter in METERS if limits.of(meter) is not None)
        return cls(tenant, plan, limits, frozenset(changes), limited)

    def at_limit(self, meter: Meter) -> AtLimit:
        """What happens when a limit is reached."""
        return self.plan.at_limit.get(meter, "refuse")

    def has(self, feature: Feature) -> bool:
        """Whether the plan has a feature."""
        return self.plan.features is None or feature in self.plan.features


def allowances_of(session: Session, tenants: Collection[str], *, now: datetime) -> dict[str, Allowance]:
    """Return what each of these tenants may use; one that does not exist is left out."""
    chosen = {
        row.id: row.plan
        for row in session.execute(select(TenantRow.id, TenantRow.plan).where(TenantRow.id.in_(tenants)))
    }
    overrides: dict[str, dict[str, str | None]] = {}
    for row in session.scalars(
        select(QuotaOverrideRow).where(
            QuotaOverrideRow.tenant_id.in_(tenants),
            or_(QuotaOverrideRow.ends_at.is_(None), QuotaOverrideRow.ends_at > now),
        )
    ):
        overrides.setdefault(row.tenant_id, {})[row.meter] = row.amount
    plans = _plans(session, {plan or DEFAULT_PLAN for plan in chosen.values()})
    return {
        name: Allowance.of(
            TenantId(name), plans.get(plan or DEFAULT_PLAN, plans[DEFAULT_PLAN]), overrides.get(name, {})
        )
        for name, plan in chosen.items()
    }


def allowance_of(session: Session, tenant: TenantId, *, now: datetime) -> Allowance:
    """Return what the tenant may use.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    found = allowances_of(session, [tenant.value], now=now).get(tenant.value)
    if found is None:
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return found


def _plans(session: Session, wanted: Collection[str]) -> dict[str, Plan]:
    """The plans with these ids, and the default one; a tenant may have been put on one that was never made."""
    wanted = {*wanted, DEFAULT_PLAN}
    found = {id: plan for id, plan in shipped_plans().items() if id in wanted}
    stored = session.scalars(select(PlanRow).where(PlanRow.id.in_(wanted)))
    return found | {row.id: Plan.model_validate(row.content) for row in stored}


def _amount(name: str, text: str | None) -> float | int | None:
    if text is None:
        return None
    return float(text) if name == RATE else int(text)
