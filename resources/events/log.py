"""The event log: tracked interactions, durable before they are acknowledged, in the order of acknowledgement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

import polars as pl
from sqlalchemy import ColumnElement, func, insert, select, text
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from resources.base.errors import Conflict, FieldProblem
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.event_rows import NOBODY, events_about
from resources.control_db.tables.events import EventRow
from resources.control_db.tables.tenants import take_turns
from resources.databases.opening import is_postgresql
from resources.tenants.settings import IGNORE
from resources.usage.adding import add_usage
from resources.usage.amounts import NO_KEY, Amounts, Counted, summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One tracked interaction. `item_id` is None for an impression of a list, and `user_id` for a visitor who is not
    known: then there is a `session_id`."""

    event_id: str
    user_id: str | None
    item_id: str | None
    interaction_type: str
    timestamp: datetime
    rating: float | None = None
    quantity: float | None = None
    price: float | None = None
    duration_seconds: float | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Append:
    """Events of one request, and the key or member who sent it, for which they are counted."""

    tenant: TenantId
    events: Sequence[Event]
    now: datetime
    key_id: str = NO_KEY


@dataclass(frozen=True, slots=True)
class AppendResult:
    """Where an event stands in the log; `duplicate` when its `event_id` was there already.

    An event is `ignored` when the tenant maps its type onto `ignore`: it is not stored, and its `seq` is 0.
    """

    event_id: str
    seq: int
    duplicate: bool
    ignored: bool = False


EVENT_SCHEMA = pl.Schema(
    {
        "seq": pl.Int64(),
        "event_id": pl.String(),
        "user_id": pl.String(),
        "item_id": pl.String(),
        "interaction_type": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "rating": pl.Float64(),
        "quantity": pl.Float64(),
        "price": pl.Float64(),
        "duration_seconds": pl.Float64(),
        "session_id": pl.String(),
        "recommendation_id": pl.String(),
        "extra": pl.String(),
        "received_at": pl.Datetime("us", "UTC"),
    }
)
"""Events as a table, one row each. `seq` is the place in the log, `extra` JSON or null."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """Events of all tenants in the control DB; every call names its tenant."""

    db: ControlDb

    def append(self, tenant: TenantId, events: Sequence[Event], *, now: datetime) -> tuple[AppendResult, ...]:
        """Store `events` in one transaction: all or none; an `event_id` seen before changes nothing.

        Events of the type `IGNORE` are left out.

        Raises:
            Conflict: an `event_id` was seen with another user, item or type; nothing is stored.
        """
        return self.append_all([Append(tenant, events, now)])[0]

    def append_all(self, appends: Sequence[Append]) -> list[tuple[AppendResult, ...]]:
        """Store the events of several requests in one transaction, all or none; return the results of each.

        Raises:
            Conflict: as in `append`, of any request.
        """
        found: dict[int, tuple[AppendResult, ...]] = {}
        with self.db.write() as session:
            # Always in the order of the tenants: two transactions that wait for each other's would wait for ever.
            for place, append in sorted(enumerate(appends), key=lambda each: each[1].tenant.value):
                take_turns(session, append.tenant)  # else a reader could see a later number and never the earlier one
                found[place] = _append(session, append)
            add_usage(session, summed(_counted(append, found[place]) for place, append in enumerate(appends)))
        return [found[place] for place in range(len(appends))]

    def users_after(self, tenant: TenantId, after: int) -> frozenset[str]:
        """Users who did something with an item since `after`."""
        statement = (
            select(EventRow.user_id)
            .where(
                EventRow.tenant_id == tenant.value,
                EventRow.user_id != NOBODY,
                EventRow.seq > after,
                EventRow.item_id.is_not(None),
                EventRow.interaction_type != IMPRESSION,
            )
            .distinct()
        )
        with self.db.engine.connect() as connection:
            return frozenset(connection.scalars(statement))

    def export_after(
        self, tenant: TenantId, after: int = 0, *, limit: int = 100_000, visitors: bool = True
    ) -> pl.DataFrame:
        """Up to `limit` events with a sequence above `after`, in order, as `EVENT_SCHEMA`; impressions included.

        Without `visitors` those of people who are not known are left out.
        """
        known = () if visitors else (EventRow.user_id != NOBODY,)
        return self._table(EventRow.tenant_id == tenant.value, EventRow.seq > after, *known, limit=limit)

    def keys_between(
        self, tenant: TenantId, first: datetime | None, last: datetime | None, *, after: int = 0, limit: int = 200_000
    ) -> pl.DataFrame:
        """Return what tells interactions of users apart, up to `limit` of them above `after`, in order; impressions
        left out.

        `first` and `last` are the times to look at, None for no bound. Columns: seq, user_id, item_id,
        interaction_type, timestamp, event_id, received_at.
        """
        times = [] if first is None else [EventRow.timestamp >= first]
        times += [] if last is None else [EventRow.timestamp <= last]
        return self._table(
            EventRow.tenant_id == tenant.value,
            EventRow.seq > after,
            EventRow.user_id != NOBODY,
            EventRow.item_id.is_not(None),
            EventRow.interaction_type != IMPRESSION,
            *times,
            names=("seq", "user_id", "item_id", "interaction_type", "timestamp", "event_id", "received_at"),
            limit=limit,
        )

    def events_of_user(self, tenant: TenantId, user_id: str) -> pl.DataFrame:
        """Every event of the user and of the visits that became the user's, in order, as `EVENT_SCHEMA`."""
        return self._table(events_about(tenant, user_id))

    def events_with_ids(self, tenant: TenantId, event_ids: Sequence[str]) -> pl.DataFrame:
        """Those of the named events that are stored, in order, as `EVENT_SCHEMA`."""
        return self._table(EventRow.tenant_id == tenant.value, EventRow.event_id.in_(event_ids))

    def _table(
        self, *conditions: ColumnElement[bool], limit: int | None = None, names: Sequence[str] = tuple(EVENT_SCHEMA)
    ) -> pl.DataFrame:
        table = EventRow.__table__.c
        special = {"received_at": table.created_at, "user_id": func.nullif(table.user_id, NOBODY)}
        columns = [special[name] if name in special else table[name] for name in names]
        statement = select(*columns).where(*conditions).order_by(EventRow.seq).limit(limit)
        schema = {name: EVENT_SCHEMA[name] for name in names}
        with self.db.engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(statement)]
        if "extra" in names:
            place = names.index("extra")
            rows = [(*row[:place], _json(row[place]), *row[place + 1 :]) for row in rows]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def last_seq(self, tenant: TenantId) -> int:
        """Sequence of the newest event of a user of the tenant; 0 when there is none."""
        of_users = (EventRow.tenant_id == tenant.value, EventRow.user_id != NOBODY)
        with self.db.read() as session:
            return session.scalar(select(func.max(EventRow.seq)).where(*of_users)) or 0


_NUMBERS = "SELECT nextval(pg_get_serial_sequence('events', 'seq')) FROM generate_series(1, :count)"
IMPRESSION = "impression"
"""Type of an event that says a list was shown; it is not an interaction and trains nothing."""


def _json(extra: object) -> str | None:
    return json.dumps(extra, ensure_ascii=False) if extra else None


_Content = tuple[str | None, ...]
"""User, item and type of an event."""


def _append(session: Session, append: Append) -> tuple[AppendResult, ...]:
    ids = [event.event_id for event in append.events]
    statement = select(
        EventRow.event_id, EventRow.seq, EventRow.user_id, EventRow.item_id, EventRow.interaction_type
    ).where(EventRow.tenant_id == append.tenant.value, EventRow.event_id.in_(ids))
    stored = {event_id: (seq, tuple(content)) for event_id, seq, *content in session.execute(statement)}
    new = _new_events(append.events, {event_id: content for event_id, (_, content) in stored.items()})
    numbers = _insert_all(session, [_row(append.tenant, event, append.now) for event in new.values()])
    known = {event_id: seq for event_id, (seq, _) in stored.items()}
    added = dict(zip(new, numbers, strict=True))
    results: list[AppendResult] = []
    for event in append.events:
        if event.interaction_type == IGNORE:
            results.append(AppendResult(event.event_id, 0, duplicate=False, ignored=True))
            continue
        seq = added.pop(event.event_id, None)
        results.append(
            AppendResult(event.event_id, known[event.event_id] if seq is None else seq, duplicate=seq is None)
        )
        known.setdefault(event.event_id, results[-1].seq)
    return tuple(results)


def _counted(append: Append, results: Sequence[AppendResult]) -> tuple[Counted, Amounts]:
    """How many events were stored: counted in their transaction, so that neither is there without the other."""
    stored = sum(not (each.duplicate or each.ignored) for each in results)
    return Counted(append.tenant.value, append.now.date(), append.key_id, "events", "2xx"), Amounts(events=stored)


def _new_events(events: Sequence[Event], known: dict[str, _Content]) -> dict[str, Event]:
    """The events to be stored, by their ids; `known` has what the stored ones say.

    Raises:
        Conflict: names each event whose id came before with something else.
    """
    new: dict[str, Event] = {}
    conflicts: list[FieldProblem] = []
    for place, event in enumerate(events):
        if event.interaction_type == IGNORE:
            continue
        content = _content(event)
        if event.event_id not in known:
            new[event.event_id] = event
        if known.setdefault(event.event_id, content) != content:
            conflicts.append(_conflict(event, place, many=len(events) > 1))
    if conflicts:
        raise Conflict(
            "An event_id came before with another user, item or type, and nothing was stored. Give every event an id "
            "of its own, such as order-17-2 for the second line of an order.",
            details=tuple(conflicts),
        )
    return new


def _content(event: Event) -> _Content:
    """What events of one `event_id` have to agree in; a retry may have another time."""
    return event.user_id or NOBODY, event.item_id, event.interaction_type


def _conflict(event: Event, place: int, *, many: bool) -> FieldProblem:
    field = f"events.{place}.event_id" if many else "event_id"
    return FieldProblem(field, f"{event.event_id[:100]!r} came before with another user, item or type")


def _insert_all(session: Session, rows: list[dict[str, object]]) -> Sequence[int]:
    """Insert the rows in their order, which is that of the log, and return their numbers."""
    if len(rows) <= 1 or not is_postgresql(session.get_bind()):
        return session.scalars(_insert(), rows).all() if rows else ()
    # Numbers first: rows that need not tell theirs go to the server without waiting for each other.
    numbers = session.scalars(text(_NUMBERS), {"count": len(rows)}).all()
    numbered = [{**row, "seq": seq} for row, seq in zip(rows, numbers, strict=True)]
    session.execute(insert(EventRow.__table__), numbered)  # type: ignore[arg-type]
    return numbers


@cache
def _insert() -> ReturningInsert[int]:
    # Of the table and not of the class, which takes twice as long.
    table = EventRow.__table__
    return insert(table).returning(table.c.seq, sort_by_parameter_order=True)  # type: ignore[arg-type]


def _row(tenant: TenantId, event: Event, now: datetime) -> dict[str, object]:
    return {
        "tenant_id": tenant.value,
        "event_id": event.event_id,
        "user_id": event.user_id or NOBODY,
        "item_id": event.item_id,
        "interaction_type": event.interaction_type,
        "timestamp": event.timestamp,
        "rating": event.rating,
        "quantity": event.quantity,
        "price": event.price,
        "duration_seconds": event.duration_seconds,
        "session_id": event.session_id,
        "recommendation_id": event.recommendation_id,
        "extra": dict(event.extra),
        "created_at": now,
    }
