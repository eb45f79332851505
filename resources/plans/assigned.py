"""Which plan a tenant is on, and the exceptions that are made for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, InvalidInput, NotFound, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.plans import PlanRequestRow, QuotaOverrideRow
from resources.control_db.tables.tenants import TenantRow
from resources.plans.allowances import RATE
from resources.plans.model import DEFAULT_PLAN, METERS, Plan
from resources.plans.plans import find_plan

MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Override:
    """One limit of a tenant that is another than its plan's; `amount` None: any number. It holds until `ends_at`."""

    meter: str
    amount: float | None
    reason: str
    ends_at: datetime | None
    made_at: datetime
    made_by: str

    def fields(self) -> dict[str, object]:
        """As the audit log has it."""
        ends = None if self.ends_at is None else self.ends_at.isoformat()
        return {"meter": self.meter, "amount": self.amount, "reason": self.reason, "ends_at": ends}


def put_on_plan(session: Session, tenant: TenantId, plan_id: str | None, *, by: Actor, now: datetime) -> Plan:
    """Put a tenant on a plan, None: the default one; it answers what was asked for. Again the same changes nothing.

    Raises:
        TenantNotFound, NotFound: there is no such tenant, or no such plan.
        Conflict: the tenant is retired.
    """
    row = _tenant(session, tenant, change=True)
    plan = find_plan(session, plan_id or DEFAULT_PLAN)
    before, row.plan = row.plan, plan_id
    session.execute(
        update(PlanRequestRow)
        .where(PlanRequestRow.tenant_id == tenant.value, PlanRequestRow.done_at.is_(None))
        .values(done_at=now)
    )
    if before != plan_id:
        change = Change(
            action="tenant.plan",
            object_kind="tenant",
            object_id=tenant.value,
            before={"plan": before},
            after={"plan": plan_id},
        )
        record(session, by, change, tenant=tenant, now=now)
    return plan


def list_overrides(session: Session, tenant: TenantId) -> tuple[Override, ...]:
    """The tenant's exceptions, those that have ended among them.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    _tenant(session, tenant)
    rows = session.scalars(
        select(QuotaOverrideRow).where(QuotaOverrideRow.tenant_id == tenant.value).order_by(QuotaOverrideRow.meter)
    )
    return tuple(_override(row) for row in rows)


def put_override(session: Session, tenant: TenantId, override: Override, *, by: Actor, now: datetime) -> Override:
    """Make an exception, or change the one for this meter.

    Raises:
        TenantNotFound: there is no such tenant.
        Conflict: it is retired.
        InvalidInput: there is no such limit, it does not take the amount, there is no reason, or it has ended already.
    """
    _tenant(session, tenant, change=True)
    _check(override, now)
    row = session.get(QuotaOverrideRow, (tenant.value, override.meter))
    before = None if row is None else _override(row).fields()
    if row is None:
        row = QuotaOverrideRow(tenant_id=tenant.value, meter=override.meter)
        session.add(row)
    amount = override.amount
    row.amount = None if amount is None else f"{amount:g}" if override.meter == RATE else str(int(amount))
    row.reason, row.ends_at, row.made_at, row.made_by = override.reason.strip(), override.ends_at, now, by.name
    made = _override(row)
    change = Change(
        action="quota.override", object_kind="quota", object_id=override.meter, before=before, after=made.fields()
    )
    record(session, by, change, tenant=tenant, now=now)
    return made


def remove_override(session: Session, tenant: TenantId, meter: str, *, by: Actor, now: datetime) -> None:
    """End an exception: the limit of the plan holds again.

    Raises:
        TenantNotFound, NotFound: there is no such tenant, or no such exception.
        Conflict: the tenant is retired.
    """
    _tenant(session, tenant, change=True)
    row = session.get(QuotaOverrideRow, (tenant.value, meter))
    if row is None:
        raise NotFound(f"Tenant {tenant} has no exception for {meter[:40]!r}; GET …/quotas lists those that it has.")
    before = _override(row).fields()
    session.delete(row)
    change = Change(action="quota.plan", object_kind="quota", object_id=meter, before=before)
    record(session, by, change, tenant=tenant, now=now)


def _check(override: Override, now: datetime) -> None:
    known = (RATE, *METERS)
    if override.meter not in known:
        raise InvalidInput(f"There is no limit {override.meter[:40]!r}; there are: {', '.join(known)}.")
    amount = override.amount
    if amount is not None and (amount < 0 or amount > 2**53 or (override.meter != RATE and amount != int(amount))):
        raise InvalidInput(f"{override.meter} takes a whole number that is not negative, or null for any number.")
    if override.meter == RATE and amount == 0:
        raise InvalidInput(f"{RATE} is more than 0; to stop a tenant, suspend it.")
    if not 0 < len(override.reason.strip()) <= MAX_REASON:
        raise InvalidInput(f"Say why in `reason`, in 1 to {MAX_REASON} characters.")
    if override.ends_at is not None and override.ends_at <= now:
        raise InvalidInput("`ends_at` is over already; leave it out, or name a time to come.")


def _tenant(session: Session, tenant: TenantId, *, change: bool = False) -> TenantRow:
    row = session.get(TenantRow, tenant.value, with_for_update=True if change else None)
    if change and row is not None and row.status == "retired":
        raise Conflict(f"Tenant {tenant} is retired, and stays so.")
    if row is None or row.status == "importing":
        raise TenantNotFound(f"There is no tenant {tenant}; `recsaas tenant list` shows those that exist.")
    return row


def _override(row: QuotaOverrideRow) -> Override:
    amount = None if row.amount is None else float(row.amount) if row.meter == RATE else int(row.amount)
    return Override(row.meter, amount, row.reason, row.ends_at, row.made_at, row.made_by)
