"""Adding to the audit log: each entry has the hash of the one before it, so that a changed row is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.base.tenant import TenantId
from resources.control_db.tables.audit import AuditHeadRow, AuditRow
from resources.databases.opening import is_postgresql

PLATFORM_CHAIN = "_platform"
"""The chain of what belongs to no tenant; no tenant's id has this form."""
NOTHING_BEFORE = "0" * 64
"""What the first entry of a chain has in place of a hash before it."""
SECRETS = ("password", "secret", "token", "hash", "api_key", "code")
"""Fields whose names hold one of these are left out of what was before and after."""
_LEFT_OUT = "(left out)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done, to what, and what it was before and after (JSON).

    `action` is `<noun>.<verb>`: `rule.add`, `key.revoke`. `before` is None for what is new, `after` for what is gone.
    """

    action: str
    object_kind: str
    object_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def record(session: Session, by: Actor, change: Change, *, tenant: TenantId | None, now: datetime) -> None:
    """Add an entry to the tenant's chain, or to the platform's, in the transaction that makes the change.

    Two transactions of one chain take turns: the second waits until the first has ended.
    """
    chain = PLATFORM_CHAIN if tenant is None else tenant.value
    head = _head(session, chain)
    row = AuditRow(
        chain=chain,
        number=head.number + 1,
        at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        acting_for=by.acting_for,
        reason=by.reason,
        action=change.action,
        object_kind=change.object_kind,
        object_id=change.object_id[:256],
        before=_without_secrets(change.before),
        after=_without_secrets(change.after),
        source=by.source,
        address=by.address,
        request_id=by.request_id,
        previous=head.hash,
    )
    row.hash = hash_of(row)
    session.add(row)
    head.number, head.hash = row.number, row.hash
    session.flush()


def hash_of(row: AuditRow) -> str:
    """SHA-256 of an entry: its fields as JSON in the order of their names, `previous` among them, without `hash`."""
    fields = {
        column.key: getattr(row, column.key)
        for column in AuditRow.__table__.columns
        if column.key not in ("seq", "hash")
    }
    fields["at"] = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _head(session: Session, chain: str) -> AuditHeadRow:
    insert = postgresql_insert if is_postgresql(session.get_bind()) else sqlite_insert
    new = insert(AuditHeadRow).values(chain=chain, number=0, hash=NOTHING_BEFORE)
    session.execute(new.on_conflict_do_nothing(index_elements=["chain"]))
    found = select(AuditHeadRow).where(AuditHeadRow.chain == chain).with_for_update()
    return session.scalars(found.execution_options(populate_existing=True)).one()


def _without_secrets(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if fields is None:
        return None
    return _cleaned_fields(json.loads(json.dumps(fields, default=str)))


def _cleaned_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    secret = {name for name in fields if any(word in name.lower() for word in SECRETS)}
    return {name: _LEFT_OUT if name in secret else _cleaned(value) for name, value in fields.items()}


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return _cleaned_fields(value)
    return [_cleaned(each) for each in value] if isinstance(value, list) else value
