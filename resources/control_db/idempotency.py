"""Idempotency keys of writes: a request that comes again with its key changes nothing and has the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.tables.tenants import WriteKeyRow

REMEMBERED = timedelta(days=7)
"""How long a key is known after it came."""


@dataclass(frozen=True, slots=True)
class WriteKey:
    """The key of a request and a hash of what it asks for; a key is the tenant's own."""

    key: str
    request_hash: str

    @classmethod
    def of(cls, key: str | None, *request: object) -> WriteKey | None:
        """Return the key of a request that consists of these parts (JSON); None without a key."""
        if key is None:
            return None
        text = json.dumps(request, sort_keys=True, ensure_ascii=True, default=str)
        return cls(key, hashlib.sha256(text.encode()).hexdigest())

    @property
    def hash(self) -> str:
        """SHA-256 of the key, which is stored in its place: clients may put anything into a key."""
        return hashlib.sha256(self.key.encode(errors="surrogatepass")).hexdigest()


def earlier_answer(session: Session, tenant: TenantId, key: WriteKey | None) -> dict[str, Any] | None:
    """Return what the request was answered when it came before; None when it did not, or has no key.

    The caller has taken its turn for the tenant.

    Raises:
        Conflict: the key came before with another request.
    """
    row = None if key is None else session.get(WriteKeyRow, (tenant.value, key.hash))
    if row is None or key is None:
        return None
    if row.request_hash != key.request_hash:
        raise Conflict("This Idempotency-Key came before with another request, and nothing was stored. Use a new key.")
    return row.answer


def remember_answer(
    session: Session, tenant: TenantId, key: WriteKey | None, answer: Mapping[str, Any], *, now: datetime
) -> None:
    """Store the answer with the write itself, and forget keys that are older than `REMEMBERED`."""
    if key is None:
        return
    _forget_old(session, now)
    session.add(
        WriteKeyRow(
            tenant_id=tenant.value,
            key_hash=key.hash,
            request_hash=key.request_hash,
            answer=dict(answer),
            created_at=now,
        )
    )


def _forget_old(session: Session, now: datetime) -> None:
    """Remove keys that are too old, also of other tenants; those that somebody else is removing are left to them.

    On PostgreSQL two transactions that removed the same rows in another order would wait for each other for ever.
    """
    names = (WriteKeyRow.tenant_id, WriteKeyRow.key_hash)
    old = select(*names).where(WriteKeyRow.created_at < now - REMEMBERED).with_for_update(skip_locked=True)
    session.execute(delete(WriteKeyRow).where(tuple_(*names).in_(old)).execution_options(synchronize_session=False))
