"""Reading the audit log: the newest entries first, filtered and in pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select, true
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.actions import ACTIONS
from resources.audit.entries import PLATFORM_CHAIN, Change, chain_of, record
from resources.base.tenant import TenantId
from resources.control_db.tables.audit import AuditHeadRow, AuditRow

SEARCHED = 100_000
"""Entries that one page searches at most where no index helps; its cursor goes on behind them.

Searches by actor, action or object have an index each and are answered whole, unless a text is searched for, too.
"""
READING_IS_NOTED_ONCE_IN = timedelta(hours=1)
_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. `seq` orders those of all chains, `number` those of one; `chain` is a tenant's id, or the platform's.

    `at` is UTC; `before` and `after` are JSON without secrets; `previous` and `hash` are SHA-256, in hex.
    """

    seq: int
    chain: str
    number: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    acting_for: str | None
    reason: str | None
    action: str
    object_kind: str
    object_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    source: str
    address: str | None
    request_id: str | None
    previous: str
    hash: str

    @property
    def tenant(self) -> str | None:
        """The id of the tenant; None for what belongs to the platform."""
        return None if self.chain == PLATFORM_CHAIN else self.chain


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries: all that is given has to fit.

    Attributes:
        actor: the id or the name of who did it, or the e-mail of the member for whom it was done.
        action: `rule.add`, or `rule` for all of that noun.
        object_id: what it was done to.
        text: a part of the actor's name, the object's id, the reason, the action, or the request id; any case.
        since, until: the time, `until` left out.
        request_id: the request that did it.
    """

    actor: str | None = None
    action: str | None = None
    object_id: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first; the next page has those below `below`, None where this is the last one."""

    entries: tuple[AuditEntry, ...]
    below: int | None


ALL = AuditFilter()


def read_page(
    session: Session,
    chains: Sequence[str] | None,
    wanted: AuditFilter = ALL,
    *,
    limit: int,
    below: int | None = None,
    searched: int = SEARCHED,
) -> AuditPage:
    """Return up to `limit` entries, newest first: of one chain by its numbers, of several, or of all with None, by
    `seq`, those with a number below `below`.

    A page may be short, even empty, and have a next one, where no index serves the search: then at most `searched`
    entries are looked at.
    """
    order = AuditRow.number if chains is not None and len(chains) == 1 else AuditRow.seq
    within: list[ColumnElement[bool]] = [] if chains is None else [AuditRow.chain.in_(chains)]
    if chains is not None and len(chains) == 1:
        within = [AuditRow.chain == chains[0]]
    if below is None:
        below = (session.scalar(select(func.max(order)).where(*within)) or 0) + 1
    if order is AuditRow.seq and chains is None:  # every index begins with the chain
        within = [AuditRow.chain.in_(select(AuditHeadRow.chain))]
    ways = [] if wanted.text is not None else _ways(wanted)
    floor = 0 if ways else max(0, below - searched)
    conditions = [*within, order < below, order >= floor, *_conditions(wanted)]
    # One question for each index: asked for in one with OR, a database may walk the whole chain instead.
    by_seq = {
        row.seq: row
        for way in ways or [true()]
        for row in session.scalars(select(AuditRow).where(*conditions, way).order_by(order.desc()).limit(limit + 1))
    }
    found = [by_seq[seq] for seq in sorted(by_seq, reverse=True)]
    entries = tuple(map(entry_of, found[:limit]))
    if len(found) > limit:
        last = entries[-1]
        return AuditPage(entries, last.number if order is AuditRow.number else last.seq)
    return AuditPage(entries, floor if floor > 1 else None)


def read_batch(
    session: Session, chain: str, wanted: AuditFilter = ALL, *, after: int = 0, up_to: int
) -> tuple[AuditEntry, ...]:
    """Return up to a thousand entries of a chain that fit, oldest first, with numbers above `after`; empty at the end.

    Whoever reads a whole chain does so in batches, each in a transaction of its own: a slow reader holds none open.
    """
    rows = session.scalars(
        select(AuditRow)
        .where(AuditRow.chain == chain, AuditRow.number > after, AuditRow.number <= up_to, *_conditions(wanted))
        .order_by(AuditRow.number)
        .limit(_BATCH)
    )
    return tuple(map(entry_of, rows))


def newest_number(session: Session, chain: str) -> int:
    """The number of the newest entry of a chain; 0 when there is none."""
    return session.scalar(select(AuditHeadRow.number).where(AuditHeadRow.chain == chain)) or 0


def is_reading_noted(session: Session, by: Actor, *, tenant: TenantId | None, now: datetime) -> bool:
    """Whether an entry of the last hour says that this actor looks at a chain."""
    known = select(AuditRow.seq).where(
        AuditRow.chain == chain_of(tenant),
        AuditRow.action == "audit.read",
        AuditRow.actor_id == by.id[:80],
        AuditRow.at > now - READING_IS_NOTED_ONCE_IN,
        AuditRow.acting_for.is_(None) if by.acting_for is None else AuditRow.acting_for == by.acting_for,
    )
    return session.scalar(known.limit(1)) is not None


def note_reading(session: Session, by: Actor, *, tenant: TenantId | None, now: datetime) -> bool:
    """Record that somebody looks at a chain, once an hour for each: pages of one look are no news. Whether it was."""
    if is_reading_noted(session, by, tenant=tenant, now=now):
        return False
    record(
        session,
        by,
        Change(action="audit.read", object_kind="audit", object_id=chain_of(tenant)),
        tenant=tenant,
        now=now,
    )
    return True


def chains_of(session: Session) -> tuple[str, ...]:
    """The names of all chains that have a head, sorted."""
    return tuple(sorted(session.scalars(select(AuditHeadRow.chain))))


def entry_of(row: AuditRow) -> AuditEntry:
    """The entry that a row holds."""
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.__dataclass_fields__})


def _ways(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    """Conditions of which each has an index, and which hold together for all that fits; empty where there is none."""
    row = AuditRow
    if wanted.object_id is not None:
        return [row.object_id == wanted.object_id]
    if wanted.actor is not None:
        return [column == wanted.actor for column in (row.actor_id, row.actor_name, row.acting_for)]
    if wanted.action is None:
        return []
    if "." in wanted.action:
        return [row.action == wanted.action]
    return [row.action == action for action in ACTIONS if action.startswith(f"{wanted.action}.")] or [false()]


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    row = AuditRow
    if wanted.actor is not None:
        yield or_(row.actor_id == wanted.actor, row.actor_name == wanted.actor, row.acting_for == wanted.actor)
    if wanted.action is not None:
        whole = "." in wanted.action
        yield row.action == wanted.action if whole else row.action.startswith(f"{wanted.action}.", autoescape=True)
    if wanted.object_id is not None:
        yield row.object_id == wanted.object_id
    if wanted.since is not None:
        yield row.at >= wanted.since
    if wanted.until is not None:
        yield row.at < wanted.until
    if wanted.request_id is not None:
        yield row.request_id == wanted.request_id
    if wanted.text is not None:
        places = (row.actor_name, row.acting_for, row.object_id, row.reason, row.action, row.request_id)
        yield or_(*(place.icontains(wanted.text, autoescape=True) for place in places))
