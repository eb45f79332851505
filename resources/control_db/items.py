"""Changes of items by API: a log in the order of acknowledgement. The commit here is the acknowledgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, cast, get_args

from pydantic import JsonValue
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, aliased

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.catalogue import ItemChangeRow, ItemIntakeRow
from resources.control_db.tables.tenants import TenantRow, take_turns
from resources.control_db.tables.uploads import UploadRow
from resources.control_db.versions import raise_state_version

Action = Literal["put", "patch", "delete"]
_MOMENT = timedelta(microseconds=1)
_NAMED = 10
"""Items of one request that the audit log names."""
_Columns: TypeAlias = tuple[str, Action, dict[str, JsonValue], int, datetime]


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """Change of an item that was asked for.

    `put` describes it anew: what `fields` leaves out is null. `patch` changes `fields` (null empties one) and does
    nothing to an item that is not there. `delete` has no fields. Times are ISO 8601 texts.
    """

    item_id: str
    action: Action
    fields: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ItemChange(ItemEdit):
    """An edit in the log. Within a tenant, a higher `seq` has a later `created_at` unless one request brought both."""

    seq: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AppendedItems:
    """Where the edits of one request stand in the log; `repeated` when the request had come before."""

    last_seq: int
    created_at: datetime
    repeated: bool


@dataclass(frozen=True, slots=True)
class PendingItemChanges:
    """The changes of one tenant that no run has taken in."""

    tenant: TenantId
    first_seq: int
    first_at: datetime
    last_at: datetime


def append_item_changes(
    db: ControlDb,
    tenant: TenantId,
    edits: Sequence[ItemEdit],
    *,
    now: datetime,
    key: WriteKey | None = None,
    by: Actor = SYSTEM,
) -> AppendedItems:
    """Store the edits in one transaction: all or none. No item is named twice.

    Their time is after that of every change and every upload of items that is stored, whatever the clock says, because
    the pipeline lets the later one win.

    Raises:
        Conflict: the key came before with another request.
    """
    with db.write() as session:
        take_turns(session, tenant)
        earlier = earlier_answer(session, tenant, key)
        if earlier is not None:
            return AppendedItems(earlier["last_seq"], datetime.fromisoformat(earlier["created_at"]), repeated=True)
        at = _after_everything(session, tenant, now)
        session.execute(
            insert(ItemChangeRow),
            [
                {
                    "tenant_id": tenant.value,
                    "item_id": edit.item_id,
                    "action": edit.action,
                    "fields": dict(edit.fields),
                    "created_at": at,
                }
                for edit in edits
            ],
        )
        last = _last_seq(session, tenant)
        raise_state_version(session, tenant)
        remember_answer(session, tenant, key, {"last_seq": last, "created_at": at.isoformat()}, now=now)
        record(session, by, _change_of(edits, last), tenant=tenant, now=now)
    return AppendedItems(last, at, repeated=False)


def list_item_changes(
    db: ControlDb, tenant: TenantId, *, after: int = 0, item_ids: Sequence[str] | None = None
) -> tuple[ItemChange, ...]:
    """The tenant's changes with a number above `after`, of the named items or of all, in order."""
    with db.read() as session:
        return read_item_changes(session, tenant, after=after, item_ids=item_ids)


def read_item_changes(
    session: Session, tenant: TenantId, *, after: int = 0, item_ids: Sequence[str] | None = None
) -> tuple[ItemChange, ...]:
    """As `list_item_changes`, as this transaction sees them."""
    row = ItemChangeRow
    statement = select(row.item_id, row.action, row.fields, row.seq, row.created_at).where(
        row.tenant_id == tenant.value, row.seq > after
    )
    if item_ids is not None:
        statement = statement.where(row.item_id.in_(item_ids))
    return tuple(ItemChange(*cast(_Columns, each)) for each in session.execute(statement.order_by(row.seq)))


def newest_item_changes(
    db: ControlDb, tenant: TenantId, *, actions: Sequence[Action] = ("put", "patch", "delete")
) -> tuple[tuple[str, Action, datetime], ...]:
    """The id, the action and the time of the newest change of each item, of the changes that are such `actions`."""
    wanted = (ItemChangeRow.tenant_id == tenant.value, ItemChangeRow.action.in_(actions))
    newest = select(func.max(ItemChangeRow.seq)).where(*wanted).group_by(ItemChangeRow.item_id)
    statement = select(ItemChangeRow.item_id, ItemChangeRow.action, ItemChangeRow.created_at).where(
        ItemChangeRow.seq.in_(newest)
    )
    with db.read() as session:
        return tuple((item_id, cast(Action, action), at) for item_id, action, at in session.execute(statement))


def deleted_items(session: Session, tenant: TenantId, *, up_to: int) -> frozenset[str]:
    """Ids whose newest change with a number of at most `up_to` is a deletion."""
    later = aliased(ItemChangeRow)
    again = select(later.seq).where(
        later.tenant_id == tenant.value,
        later.item_id == ItemChangeRow.item_id,
        later.seq > ItemChangeRow.seq,
        later.seq <= up_to,
    )
    statement = select(ItemChangeRow.item_id).where(
        ItemChangeRow.tenant_id == tenant.value,
        ItemChangeRow.seq <= up_to,
        ItemChangeRow.action == "delete",
        ~again.correlate(ItemChangeRow).exists(),
    )
    return frozenset(session.scalars(statement))


def count_item_changes(db: ControlDb, tenant: TenantId, *, after: int) -> int:
    """How many changes of the tenant have a number above `after`."""
    statement = select(func.count()).where(ItemChangeRow.tenant_id == tenant.value, ItemChangeRow.seq > after)
    with db.read() as session:
        return session.scalar(statement) or 0


def newest_item_change(db: ControlDb, tenant: TenantId) -> ItemChange | None:
    """The tenant's newest change; None when there is none."""
    with db.read() as session:
        found = read_item_changes(session, tenant, after=_last_seq(session, tenant) - 1)
    return found[-1] if found else None


def last_item_change(db: ControlDb, tenant: TenantId) -> int:
    """Number of the tenant's newest change; 0 when there is none."""
    with db.read() as session:
        return _last_seq(session, tenant)


def pending_item_changes(db: ControlDb) -> tuple[PendingItemChanges, ...]:
    """Changes that no run has taken in, by tenant."""
    taken = select(ItemIntakeRow.seq).where(ItemIntakeRow.tenant_id == TenantRow.id).correlate(TenantRow)
    after = func.coalesce(taken.scalar_subquery(), 0)
    waiting = select(ItemChangeRow.seq).where(ItemChangeRow.tenant_id == TenantRow.id, ItemChangeRow.seq > after)
    found = []
    with db.read() as session:
        for tenant in session.scalars(select(TenantRow.id).where(waiting.correlate(TenantRow).exists())).all():
            row = session.get(ItemIntakeRow, tenant)
            first_seq, first_at, last_at = session.execute(
                select(
                    func.min(ItemChangeRow.seq), func.min(ItemChangeRow.created_at), func.max(ItemChangeRow.created_at)
                ).where(ItemChangeRow.tenant_id == tenant, ItemChangeRow.seq > (row.seq if row else 0))
            ).one()
            found.append(PendingItemChanges(TenantId(tenant), first_seq, first_at, last_at))
    return tuple(found)


def mark_items_taken_in(db: ControlDb, tenant: TenantId, *, up_to: int, run_id: str) -> None:
    """Note that a run has taken in every change up to this number; an older note never comes back."""
    with db.write() as session:
        take_turns(session, tenant)
        row = session.get(ItemIntakeRow, tenant.value)
        if row is None:
            session.add(ItemIntakeRow(tenant_id=tenant.value, seq=up_to, run_id=run_id))
        elif row.seq < up_to:
            row.seq, row.run_id = up_to, run_id


def _change_of(edits: Sequence[ItemEdit], last: int) -> Change:
    """One entry for a request: the fields of an item that is alone in it, of several how many and the first ids."""
    after: dict[str, Any] = {action: sum(edit.action == action for edit in edits) for action in get_args(Action)}
    after = {action: count for action, count in after.items() if count} | {"last_change": last}
    if len(edits) == 1:
        after["fields"] = dict(edits[0].fields)
    else:
        after["first_ids"] = [edit.item_id for edit in edits[:_NAMED]]
    name = edits[0].item_id if len(edits) == 1 else f"{len(edits)} items"
    return Change(action="items.change", object_kind="item", object_id=name, after=after)


def _last_seq(session: Session, tenant: TenantId) -> int:
    return session.scalar(select(func.max(ItemChangeRow.seq)).where(ItemChangeRow.tenant_id == tenant.value)) or 0


def _after_everything(session: Session, tenant: TenantId, now: datetime) -> datetime:
    change = session.scalar(
        select(ItemChangeRow.created_at)
        .where(ItemChangeRow.tenant_id == tenant.value)
        .order_by(ItemChangeRow.seq.desc())
        .limit(1)
    )
    upload = session.scalar(
        select(func.max(UploadRow.created_at)).where(UploadRow.tenant_id == tenant.value, UploadRow.kind == "items")
    )
    return max([now, *(at + _MOMENT for at in (change, upload) if at is not None)])
