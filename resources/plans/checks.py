"""Whether a limit leaves room for more, asked before the work. Each check reads what is used within the session given.

What goes beyond a limit is refused whole. A limit that is billed refuses nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from resources.base.errors import NotInPlan, QuotaExceeded, QuotaUsedUp, RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.tables.tenants import take_turns
from resources.plans.allowances import Allowance, allowance_of
from resources.plans.model import MONTHLY, WORDS, Feature, Meter
from resources.plans.month import Month
from resources.plans.use import monthly_figures, monthly_use, seats_of, uploaded_rows
from resources.tenants.settings import TenantSettings
from resources.usage.current import Usage, stored_by

_LARGER = "See GET /api/v1/plan, and ask for a larger plan with POST /api/v1/plan/request."


def check_room(allowance: Allowance, meter: Meter, used: int, more: int, *, now: datetime) -> None:
    """Refuse what goes beyond a limit.

    Raises:
        QuotaExceeded: a larger plan is needed (402).
        QuotaUsedUp: the next month brings more (429).
    """
    amount = allowance.limits.of(meter)
    if amount is not None and used + more > amount and allowance.at_limit(meter) != "bill":
        raise refusal(allowance, meter, used, more, now=now)


def refusal(allowance: Allowance, meter: Meter, used: int, more: int, *, now: datetime) -> RecsaasError:
    """The error for what goes beyond a limit; it says what to do."""
    amount = allowance.limits.of(meter) or 0
    said = (
        f"The plan {allowance.plan.name} has {amount:,} {WORDS[meter]}; {used:,} are used, and this would need "
        f"{more:,} more."
    )
    if meter in MONTHLY:
        month = Month.at(now)
        ends = f"{month.ends_at:%Y-%m-%d %H:%M} UTC"
        if allowance.at_limit(meter) == "wait":
            return QuotaUsedUp(
                f"{said} Wait until {ends}, or ask for a larger plan with POST /api/v1/plan/request.",
                retry_after=month.seconds_left(now),
            )
        return QuotaExceeded(f"{said} The next month begins at {ends}. {_LARGER}")
    return QuotaExceeded(f"{said} Remove what is not needed, or: {_LARGER[0].lower()}{_LARGER[1:]}")


def check_seat(session: Session, tenant: TenantId, *, now: datetime, more: int = 1) -> None:
    """Refuse an invitation, or a member without one, for which there is no seat; invitations of a tenant take turns.

    Raises:
        QuotaExceeded: all seats are taken.
        TenantNotFound: there is no such tenant.
    """
    allowance = allowance_of(session, tenant, now=now)
    if allowance.limits.seats is None:
        return
    take_turns(session, tenant)
    check_room(allowance, "seats", seats_of(session, tenant, now=now), more, now=now)


def check_feature(session: Session, tenant: TenantId, feature: Feature, *, now: datetime) -> None:
    """Refuse what the tenant's plan does not have.

    Raises:
        NotInPlan: it is a feature of other plans.
        TenantNotFound: there is no such tenant.
    """
    allowance = allowance_of(session, tenant, now=now)
    if not allowance.has(feature):
        raise NotInPlan(f"The plan {allowance.plan.name} does not have {feature}. {_LARGER}")


def check_settings(
    session: Session, tenant: TenantId, before: TenantSettings, after: TenantSettings, *, now: datetime
) -> None:
    """Refuse settings that switch on what the tenant's plan does not have; what is on already stays.

    Raises:
        NotInPlan: SSO is a feature of other plans.
        TenantNotFound: there is no such tenant.
    """
    if after.login.sso and not before.login.sso:
        check_feature(session, tenant, "sso", now=now)


def check_training(session: Session, tenant: TenantId, *, now: datetime) -> None:
    """Refuse a run where the month's minutes of training are used up; how long it takes is only known afterwards.

    Raises:
        QuotaExceeded, QuotaUsedUp: no minute is left.
        TenantNotFound: there is no such tenant.
    """
    allowance = allowance_of(session, tenant, now=now)
    if allowance.limits.training_minutes is None:
        return
    usage = monthly_use(session, [tenant.value], now=now).get(tenant.value, Usage())
    check_room(allowance, "training_minutes", monthly_figures(usage)["training_minutes"], 1, now=now)


def check_rows(session: Session, tenant: TenantId, rows: int, *, now: datetime) -> None:
    """Refuse an upload with so many accepted rows, for which there is no room.

    Raises:
        QuotaExceeded: there would be too many.
        TenantNotFound: there is no such tenant.
    """
    allowance = allowance_of(session, tenant, now=now)
    if allowance.limits.rows is not None and rows:
        check_room(allowance, "rows", uploaded_rows(session, tenant), rows, now=now)


def check_stored(session: Session, tenant: TenantId, size: int, *, users: bool, now: datetime) -> None:
    """Refuse a file of `size` bytes where the newest daily sample leaves no room for it.

    `users`: whether the file may bring users; how many new ones is only known to the next sample, so that it is refused
    once their limit is reached.

    Raises:
        QuotaExceeded: the limit of storage or of users is reached.
        TenantNotFound: there is no such tenant.
    """
    allowance = allowance_of(session, tenant, now=now)
    if allowance.limits.storage_bytes is None and (allowance.limits.users is None or not users):
        return
    stored = stored_by(session, tenant, until=now.date())
    if stored is None:
        check_room(allowance, "storage_bytes", 0, size, now=now)
        return
    check_room(allowance, "storage_bytes", stored.storage_bytes, size, now=now)
    if users:
        check_room(allowance, "users", stored.users, 1, now=now)
