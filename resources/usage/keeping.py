"""How long usage is kept, and by whom it is kept in order."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.plans import UsageBatchRow, UsageRow, UsageTurnRow
from resources.databases.inserting import insert_into
from resources.usage.adding import add_usage
from resources.usage.amounts import AMOUNTS, NO_KEY, Amounts, Counted, summed

KEY_MONTHS = 13
"""For so many months usage is kept by key; older usage is that of its tenant."""
BATCH_DAYS = 30
"""So long a worker may be gone before its counts are written; nobody remembers its batches any longer."""


def first_day_by_key(today: date) -> date:
    """Return the first day whose usage is kept by key."""
    months = today.year * 12 + today.month - 1 - KEY_MONTHS
    return date(months // 12, months % 12 + 1, 1)


def tenants_to_roll_up(session: Session, before: date) -> tuple[TenantId, ...]:
    """Tenants with usage by key of a day before `before`."""
    old = (UsageRow.day < before, UsageRow.key_id != NO_KEY)
    return tuple(TenantId(name) for name in session.scalars(select(UsageRow.tenant_id).where(*old).distinct()))


def roll_up(session: Session, tenant: TenantId, before: date) -> int:
    """Add up the usage of single keys to that of the tenant, for days before `before`; return how many rows it was."""
    columns = UsageRow.__table__.c
    old = (UsageRow.tenant_id == tenant.value, UsageRow.day < before, UsageRow.key_id != NO_KEY)
    rows = session.execute(delete(UsageRow).where(*old).returning(*columns)).mappings().all()
    add_usage(
        session,
        summed(
            (
                Counted(tenant.value, row["day"], NO_KEY, row["operation"], row["status"]),
                Amounts(*(row[name] for name in AMOUNTS)),
            )
            for row in rows
        ),
    )
    return len(rows)


def forget_batches(session: Session, *, now: datetime) -> None:
    """Forget the numbers of batches of workers that have written nothing for a month."""
    session.execute(delete(UsageBatchRow).where(UsageBatchRow.written_at < now - timedelta(days=BATCH_DAYS)))


def end_turn(session: Session, name: str, holder: str, *, until: datetime) -> None:
    """Give the turn back; nobody takes it before `until`."""
    ours = (UsageTurnRow.name == name, UsageTurnRow.holder == holder)
    session.execute(update(UsageTurnRow).where(*ours).values(holder="", until=until))


def claim_turn(session: Session, name: str, holder: str, *, until: datetime, now: datetime) -> bool:
    """Take, or keep, the turn at a recurring piece of work until `until`; False while it is another's."""
    new = insert_into(session.get_bind(), UsageTurnRow).values(name=name, holder=holder, until=until)
    statement = new.on_conflict_do_update(
        index_elements=[UsageTurnRow.name],
        set_={"holder": new.excluded.holder, "until": new.excluded.until},
        where=or_(UsageTurnRow.until <= now, UsageTurnRow.holder == holder),
    ).returning(UsageTurnRow.name)
    return session.execute(statement).first() is not None
