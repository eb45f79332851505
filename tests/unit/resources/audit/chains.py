"""Chains of the audit log for tests, and what somebody does to them who can write the database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.audit.verifying import Verification, verify_chain
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb

JANE = Actor(
    kind="member",
    id="member-1",
    name="jane@example.com",
    source="api",
    address="192.0.2.7",
    request_id="request-1",
)


def change(number: int, **values: Any) -> Change:
    return Change(action="rule.add", object_kind="rule", object_id=f"rule-{number}", after={"n": number}, **values)


def write_chain(db: ControlDb, tenant: TenantId | None, count: int, now: datetime) -> None:
    """Entries of which each is a minute later than the one before."""
    with db.write() as session:
        for number in range(count):
            record(session, JANE, change(number + 1), tenant=tenant, now=now + timedelta(minutes=number))


def verified(db: ControlDb, chain: str, **options: Any) -> Verification:
    with db.read() as session:
        return verify_chain(session, chain, **options)


def tamper(db: ControlDb, *statements: str, **values: Any) -> None:
    """Run SQL past everything that keeps the log."""
    with db.write() as session:
        for statement in statements:
            session.execute(text(statement), values)
