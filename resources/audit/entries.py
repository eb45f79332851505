"""Adding to the audit log: each entry has the hash of the one before it, so that a changed row is found."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import Insert, Table, Update, bindparam, insert, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from resources.access.actor import Actor
from resources.audit.cleaning import cleaned, storable
from resources.base.tenant import TenantId
from resources.control_db.tables.audit import AuditHeadRow, AuditRow
from resources.databases.inserting import insert_into

PLATFORM_CHAIN = "_platform"
"""The chain of what belongs to no tenant; no tenant's id has this form."""
NOTHING_BEFORE = "0" * 64
"""What the first entry of a chain has in place of a hash before it."""
_ENTRIES, _HEADS = cast(Table, AuditRow.__table__), cast(Table, AuditHeadRow.__table__)
_HASHED = tuple(sorted(column.key for column in _ENTRIES.columns if column.key not in ("seq", "hash")))
_MAX_REASON = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done, to what, and what it was before and after (JSON).

    `action` is `<noun>.<verb>`, one of `resources.audit.actions.ACTIONS`. `before` is None for what is new, `after` for
    what is gone. Ids of shoppers stand in none of them (see `resources.audit.subjects`).
    """

    action: str
    object_kind: str
    object_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def record(session: Session, by: Actor, change: Change, *, tenant: TenantId | None, now: datetime) -> None:
    """Add an entry to the tenant's chain, or to the platform's, in the transaction that makes the change.

    Two transactions of one chain take turns: the second waits until the first has ended. Those of other chains do not
    wait. Whoever writes into both chains writes the tenant's first, or two could wait for each other.
    """
    chain = chain_of(tenant)
    number, previous = _next(session, chain)
    fields = {
        "chain": chain,
        "number": number,
        "at": now.astimezone(UTC),
        "actor_kind": by.kind,
        "actor_id": storable(by.id, 80),
        "actor_name": storable(by.name, 254),
        "acting_for": None if by.acting_for is None else storable(by.acting_for, 254),
        "reason": None if by.reason is None else storable(by.reason, _MAX_REASON),
        "action": change.action,
        "object_kind": change.object_kind,
        "object_id": storable(change.object_id, 256),
        "before": cleaned(change.before),
        "after": cleaned(change.after),
        "source": by.source,
        "address": None if by.address is None else storable(by.address, 64),
        "request_id": None if by.request_id is None else storable(by.request_id, 128),
        "previous": previous,
    }
    fields["hash"] = hash_of_fields(fields)
    connection = session.connection()
    connection.execute(_statements().add, fields)
    connection.execute(_statements().close, {"of_chain": chain, "new_hash": fields["hash"]})


def chain_of(tenant: TenantId | None) -> str:
    """The name of a tenant's chain, or of the platform's with None."""
    return PLATFORM_CHAIN if tenant is None else tenant.value


def hash_of(row: AuditRow) -> str:
    """SHA-256 of an entry: its fields as JSON in the order of their names, `previous` among them, without `hash`."""
    return hash_of_fields({name: getattr(row, name) for name in _HASHED})


def hash_of_fields(fields: Mapping[str, Any]) -> str:
    """As `hash_of`, of the columns of an entry by name; `seq` and `hash` do not count."""
    named = {name: fields[name] for name in _HASHED}
    named["at"] = fields["at"].astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(named, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def subject_key(session: Session, tenant: TenantId | None) -> bytes:
    """The key of the hashes that stand for ids of shoppers in a chain, whose head is made where there is none."""
    chain = chain_of(tenant)
    while (head := session.get(AuditHeadRow, chain)) is None:
        _begin_chain(session, chain)
    return bytes.fromhex(head.subject_key)


def _next(session: Session, chain: str) -> tuple[int, str]:
    """Take the next number of a chain, with the hash before it; the chain is ours until the transaction ends."""
    connection = session.connection()
    while (taken := connection.execute(_statements().take, {"of_chain": chain}).one_or_none()) is None:
        _begin_chain(session, chain)
    return int(taken.number), str(taken.hash)


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is asked of the database for each entry."""

    take: ReturningUpdate[tuple[int, str]]
    add: Insert
    close: Update


@cache
def _statements() -> _Statements:
    """Made once, without values in them: to make them for each entry took most of its time."""
    held = _HEADS.c.chain == bindparam("of_chain")
    return _Statements(
        take=update(_HEADS).where(held).values(number=_HEADS.c.number + 1).returning(_HEADS.c.number, _HEADS.c.hash),
        add=insert(_ENTRIES),
        close=update(_HEADS).where(held).values(hash=bindparam("new_hash")),
    )


def _begin_chain(session: Session, chain: str) -> None:
    head = insert_into(session.get_bind(), _HEADS).values(
        chain=chain,
        number=0,
        hash=NOTHING_BEFORE,
        removed_until=0,
        removed_hash=NOTHING_BEFORE,
        subject_key=secrets.token_hex(32),
    )
    session.execute(head.on_conflict_do_nothing(index_elements=["chain"]))
