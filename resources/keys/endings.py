"""Telling a tenant that one of its keys is about to end: its endpoints, and the people who could make another."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select, update

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.tenants import TenantRow
from resources.mail.queue import queue_mail
from resources.mail.recipients import managers_of
from resources.webhooks.announcing import announce

WARN_DAYS = (3, 14)
"""So many days before the end of a key its tenant is told, once each; the nearer first."""


def tell_of_endings(db: ControlDb, *, now: datetime) -> int:
    """Announce and mail every end that is near and was not told of yet; return how many there were.

    Any number of processes may call it: who changes the key's row first tells, in the same transaction.
    """
    with db.read() as session:
        due = [(row.id, row.tenant_id, _days_due(row, now)) for row in session.scalars(_near(now))]
    return sum(days is not None and _tell(db, TenantId(tenant), key_id, days, now=now) for key_id, tenant, days in due)


def _near(now: datetime) -> Select[ApiKeyRow]:
    """Keys that end soon and have nobody to take their place, of tenants that are open."""
    return (
        select(ApiKeyRow)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(
            ApiKeyRow.expires_at > now,
            ApiKeyRow.expires_at <= now + timedelta(days=max(WARN_DAYS)),
            ApiKeyRow.revoked_at.is_(None),
            ApiKeyRow.rotated_to.is_(None),
            or_(ApiKeyRow.told_days.is_(None), ApiKeyRow.told_days > min(WARN_DAYS)),
            TenantRow.status == "active",
        )
        .order_by(ApiKeyRow.tenant_id, ApiKeyRow.id)
    )


def _days_due(row: ApiKeyRow, now: datetime) -> int | None:
    """Return which warning is due; a key that was made for less time than that needs none."""
    assert row.expires_at is not None
    for days in WARN_DAYS:
        if row.expires_at - now <= timedelta(days=days):
            made_for_longer = row.expires_at - row.created_at > timedelta(days=days)
            return days if made_for_longer and (row.told_days is None or row.told_days > days) else None
    return None


def _tell(db: ControlDb, tenant: TenantId, key_id: str, days: int, *, now: datetime) -> bool:
    with db.write() as session:
        untold = or_(ApiKeyRow.told_days.is_(None), ApiKeyRow.told_days > days)
        mine = session.execute(
            update(ApiKeyRow)
            .where(ApiKeyRow.id == key_id, untold, ApiKeyRow.revoked_at.is_(None), ApiKeyRow.rotated_to.is_(None))
            .values(told_days=days)
            .returning(ApiKeyRow.name, ApiKeyRow.prefix, ApiKeyRow.expires_at)
        ).one_or_none()
        if mine is None:
            return False
        ends = mine.expires_at.isoformat()
        announce(
            session,
            tenant,
            "key.expiring",
            {"key_id": key_id, "name": mine.name, "key_prefix": mine.prefix, "expires_at": ends, "days": days},
            now=now,
        )
        values = {"name": mine.name, "prefix": mine.prefix, "tenant": tenant, "key": key_id}
        for address in managers_of(session, tenant):
            until = f"{mine.expires_at:%Y-%m-%d %H:%M} UTC"
            queue_mail(session, address, "key_expiring", {**values, "until": until}, tenant=tenant, now=now)
    return True
