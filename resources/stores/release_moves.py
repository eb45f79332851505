"""Moving the pointer to the live release: each move has an entry in the audit log, and webhooks hear of it.

The pointer lies in the lake and the entry in the control DB, so no transaction has both. The pointer goes first, and
its own history says who moved it, when and why. A process that dies in between leaves a move without an entry; the next
move and the day's work on the audit log (`note_moves`) find it and add the entry, marked as noted later. No entry ever
tells of a move that did not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import CorruptRelease
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.tenants import take_turns
from resources.release.pointer import Pointer, PointerMove
from resources.release.store import ReleaseStore
from resources.stores.tenant_store import TenantStore
from resources.webhooks.announcing import announce

_ACTIONS = ("release.promote", "release.rollback")
_LOOKED_AT = 400
"""Entries that are compared with a pointer's history, which has 200 moves."""


def promote(store: TenantStore, version: str, *, now: datetime, by: Actor, reason: str = "") -> Pointer:
    """Make a release live, after verifying it. Promoting the live one changes nothing.

    Raises:
        ReleaseNotFound, CorruptRelease, Conflict: see `ReleaseStore.promote`; nothing was changed.
    """
    releases = ReleaseStore(store.folder)
    _note_earlier(store, releases, now)
    pointer = releases.promote(version, now=now, actor=_name(by), reason=reason)
    _note(store, pointer, now=now, by=by)
    return pointer


def rollback(store: TenantStore, *, now: datetime, by: Actor, reason: str = "") -> Pointer:
    """Make the release live again that was live before, after verifying it.

    Raises:
        NoRelease, NotFound, ReleaseNotFound, CorruptRelease: see `ReleaseStore.rollback`; nothing was changed.
    """
    releases = ReleaseStore(store.folder)
    _note_earlier(store, releases, now)
    pointer = releases.rollback(now=now, actor=_name(by), reason=reason)
    _note(store, pointer, now=now, by=by)
    return pointer


def note_moves(store: TenantStore, *, now: datetime) -> int:
    """Add the entries of moves whose process died before it could; return how many.

    Raises:
        CorruptRelease: the pointer cannot be read.
    """
    pointer = ReleaseStore(store.folder).pointer()
    return 0 if pointer is None else _note(store, pointer, now=now, by=None)


def _note_earlier(store: TenantStore, releases: ReleaseStore, now: datetime) -> None:
    try:
        pointer = releases.pointer()
    except CorruptRelease:  # the move repairs it, or says so
        return
    if pointer is not None:
        _note(store, pointer, now=now, by=None)


def _note(store: TenantStore, pointer: Pointer, *, now: datetime, by: Actor | None) -> int:
    """Record the moves of a pointer that have no entry. `by` made the newest one at `now`, if it is not None."""
    with store.db.write() as session:
        take_turns(session, store.tenant)
        missing = _missing(pointer.history, _noted(session, store))
        for move in missing:
            mine = by if by is not None and move is pointer.history[-1] and move.at == now else None
            record(session, mine or _who(move), _change(move, late=mine is None), tenant=store.tenant, now=now)
            announce(session, store.tenant, "release.live", _told(move), now=now)
    return len(missing)


def _noted(session: Session, store: TenantStore) -> set[str]:
    """The times of the moves that have an entry."""
    entries: Iterable[Mapping[str, Any] | None] = session.scalars(
        select(AuditRow.after)
        .where(AuditRow.chain == store.tenant.value, AuditRow.action.in_(_ACTIONS))
        .order_by(AuditRow.number.desc())
        .limit(_LOOKED_AT)
    )
    return {str(after["moved_at"]) for after in entries if after is not None}


def _missing(history: Iterable[PointerMove], noted: set[str]) -> list[PointerMove]:
    """The moves without an entry, oldest first; where none has one, those before the newest are of a time before the
    audit log was kept."""
    moves = list(history)
    if not noted:
        return moves[-1:]
    known = [place for place, move in enumerate(moves) if move.at.isoformat() in noted]
    begin = known[0] if known else 0  # what is older was removed from the log, or is older than the log
    return [move for move in moves[begin:] if move.at.isoformat() not in noted]


def _change(move: PointerMove, *, late: bool) -> Change:
    after = {
        "version": move.version,
        "moved_at": move.at.isoformat(),
        "reason": move.reason,
        "forced": move.forced,
    }
    return Change(
        action="release.promote" if move.action == "promote" else "release.rollback",
        object_kind="release",
        object_id=move.version,
        before={"version": move.replaced},
        after=after | ({"noted_later": True} if late else {}),
    )


def _told(move: PointerMove) -> dict[str, JsonValue]:
    """What webhooks hear of a move."""
    return {
        "version": move.version,
        "replaced": move.replaced,
        "moved_at": move.at.isoformat(),
        "reason": move.reason,
        "forced": move.forced,
    }


def _who(move: PointerMove) -> Actor:
    """Whoever the pointer's history names; more is not known of a move that is noted later."""
    return Actor(kind=SYSTEM.kind, id=SYSTEM.id, name=move.actor, source=SYSTEM.source)


def _name(by: Actor) -> str:
    """How the pointer's history names an actor: `cli:<user>`, `run <id>`, `member <e-mail>` …"""
    if by.kind == "command":
        return f"cli:{by.id}"
    return by.name if by.kind == "system" else f"{by.kind} {by.name}"
