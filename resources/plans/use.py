"""What a tenant uses of its limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.people import InviteRow, MembershipRow
from resources.control_db.tables.uploads import UploadRow
from resources.plans.allowances import Allowance
from resources.plans.model import Meter
from resources.plans.month import Month
from resources.usage.current import Usage, stored_by, usages_of

SHARES = (80, 100)
"""Percent of a limit that a tenant is told of."""
_SECONDS = 60
_LONGEST_FORECAST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class MeterUse:
    """How much of one limit is used; `amount` None: there is no limit.

    Attributes:
        as_of: the day of the sample, of what is only counted once a day.
        forecast: of a monthly meter, what it will be at the end of the month if it goes on like this.
        full_at: when the limit will be reached then; None when it will not be this month, or there is none.
    """

    meter: Meter
    used: int
    amount: int | None
    as_of: date | None = None
    forecast: int | None = None
    full_at: datetime | None = None

    @property
    def percent(self) -> float | None:
        """Of the limit."""
        if self.amount is None:
            return None
        return 100.0 if not self.amount else round(100 * self.used / self.amount, 2)

    @property
    def share(self) -> int | None:
        """The largest of `SHARES` that is reached."""
        if self.amount is None or not self.used:
            return None
        return max((share for share in SHARES if self.used * 100 >= self.amount * share), default=None)


def use_of(session: Session, allowance: Allowance, *, now: datetime) -> tuple[MeterUse, ...]:
    """Return what is used of every meter, limited or not."""
    tenant, month = allowance.tenant, Month.at(now)
    usage = monthly_use(session, [tenant.value], now=now).get(tenant.value, Usage())
    stored = stored_by(session, tenant, until=now.date())
    day = stored.day if stored is not None else None
    plain: dict[Meter, tuple[int, date | None]] = {
        "items": (stored.items if stored is not None else 0, day),
        "users": (stored.users if stored is not None else 0, day),
        "storage_bytes": (stored.storage_bytes if stored is not None else 0, day),
        "rows": (uploaded_rows(session, tenant), None),
        "seats": (seats_of(session, tenant, now=now), None),
    }
    found = []
    for meter, used in monthly_figures(usage).items():
        found.append(_forecast(MeterUse(meter, used, allowance.limits.of(meter)), month, now))
    for meter, (used, as_of) in plain.items():
        found.append(MeterUse(meter, used, allowance.limits.of(meter), as_of))
    return tuple(found)


def monthly_use(session: Session, tenants: Collection[str], *, now: datetime) -> dict[str, Usage]:
    """Return what tenants have used since the month began, by tenant; those that have used nothing are left out."""
    return usages_of(session, tenants, since=Month.at(now).first_day, until=now.date())


def monthly_figures(usage: Usage) -> dict[Meter, int]:
    """The monthly meters of a usage."""
    return {
        "calls": usage.calls,
        "events": usage.events,
        "training_minutes": int(usage.training_seconds // _SECONDS),
    }


def uploaded_rows(session: Session, tenant: TenantId) -> int:
    """Accepted rows of the uploads that count."""
    counting = select(func.coalesce(func.sum(UploadRow.rows_accepted), 0)).where(
        UploadRow.tenant_id == tenant.value, UploadRow.withdrawn_at.is_(None), UploadRow.set_aside_at.is_(None)
    )
    return int(session.scalar(counting) or 0)


def seats_of(session: Session, tenant: TenantId, *, now: datetime) -> int:
    """Members, and invitations that may still be accepted."""
    members = select(func.count()).select_from(MembershipRow).where(MembershipRow.tenant_id == tenant.value)
    invites = (
        select(func.count())
        .select_from(InviteRow)
        .where(
            InviteRow.tenant_id == tenant.value,
            InviteRow.accepted_at.is_(None),
            InviteRow.revoked_at.is_(None),
            InviteRow.expires_at > now,
        )
    )
    return int(session.scalar(members) or 0) + int(session.scalar(invites) or 0)


def over(uses: Collection[MeterUse]) -> Mapping[Meter, MeterUse]:
    """Those of which more is used than the limit."""
    return {use.meter: use for use in uses if use.amount is not None and use.used > use.amount}


def _forecast(use: MeterUse, month: Month, now: datetime) -> MeterUse:
    gone = now - month.starts_at
    if gone <= timedelta(hours=1):  # an hour says nothing of a month
        return use
    forecast = int(use.used / month.share_gone(now))
    full_at = None
    if use.amount is not None and use.used and use.amount > use.used:
        full_at = month.starts_at + min(gone * (use.amount / use.used), _LONGEST_FORECAST)
        full_at = full_at if full_at < month.ends_at else None
    return MeterUse(use.meter, use.used, use.amount, use.as_of, forecast, full_at)
