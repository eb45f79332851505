"""Telling a tenant that a limit is nearly, or wholly, used up: once for each limit, its amount, share and month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.plans import QuotaWarningRow
from resources.databases.inserting import insert_into
from resources.mail.queue import queue_mail
from resources.mail.recipients import managers_of
from resources.plans.allowances import Allowance
from resources.plans.model import WORDS
from resources.plans.month import Month
from resources.plans.use import MeterUse
from resources.webhooks.announcing import announce

_NEXT = {
    "refuse": "At 100 % more is refused until there is a larger plan.",
    "wait": "At 100 % more is refused until the next month.",
    "bill": "At 100 % it goes on, and what is more is billed.",
}


def note_shares(session: Session, allowance: Allowance, uses: Sequence[MeterUse], *, now: datetime) -> int:
    """Warn of every limit of which a share was reached for the first time this month; return how many mails that made.

    Two workers that find it at once warn once: the row is the turn.
    """
    mails = 0
    for use in uses:
        if use.share is not None and use.amount is not None and _is_new(session, allowance.tenant, use, now):
            mails += _tell(session, allowance, use, now)
    return mails


def _is_new(session: Session, tenant: TenantId, use: MeterUse, now: datetime) -> bool:
    row = insert_into(session.get_bind(), QuotaWarningRow).values(
        tenant_id=tenant.value,
        month=Month.at(now).name,
        meter=use.meter,
        share=use.share,
        used=str(use.used),
        amount=str(use.amount),
        at=now,
    )
    made = session.scalar(row.on_conflict_do_nothing().returning(QuotaWarningRow.meter))
    return made is not None


def _tell(session: Session, allowance: Allowance, use: MeterUse, now: datetime) -> int:
    tenant, at_limit = allowance.tenant, allowance.at_limit(use.meter)
    announce(
        session,
        tenant,
        "quota.reached",
        {
            "meter": use.meter,
            "share": use.share,
            "used": use.used,
            "limit": use.amount,
            "month": Month.at(now).name,
            "at_limit": at_limit,
            "plan": allowance.plan.id,
        },
        now=now,
    )
    values = {
        "tenant": tenant.value,
        "plan": allowance.plan.name,
        "share": use.share,
        "meter": WORDS[use.meter],
        "used": f"{use.used:,}",
        "amount": f"{use.amount:,}",
        "next": _NEXT[at_limit],
    }
    recipients = managers_of(session, tenant)
    for recipient in recipients:
        queue_mail(session, recipient, "quota_reached", values, tenant=tenant, now=now)
    return len(recipients)
