"""Tenants, a number that grows with their changes, and their writes with an idempotency key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from resources.base.tenant import TenantId
from resources.control_db.tables.base import Base, UtcDateTime
from resources.databases.opening import is_postgresql


class TenantRow(Base):
    """One shop. `status` is `importing`, `active`, `suspended` or `retired`; of one that was erased the id alone stays.

    `erase_after` is when it is to be erased, until which that can be undone. `currency` is of ISO 4217, `timezone` an
    IANA name. `created_by` and `suspended_by` name who made it and who stopped it, as `<kind>:<id>`.
    """

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16))
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    plan: Mapped[str | None] = mapped_column(String(64))
    currency: Mapped[str | None] = mapped_column(String(3))
    timezone: Mapped[str | None] = mapped_column(String(64))
    created_by: Mapped[str | None] = mapped_column(String(254))
    suspended_reason: Mapped[str | None] = mapped_column(Text)
    suspended_by: Mapped[str | None] = mapped_column(String(254))
    suspended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erase_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TenantVersionRow(Base):
    """A number that grows with every change of a tenant's items or rules: answers made before it are out of date."""

    __tablename__ = "tenant_versions"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


class WriteKeyRow(Base):
    """A write that came with an idempotency key, and how it was answered."""

    __tablename__ = "write_keys"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def take_turns(session: Session, tenant: TenantId) -> None:
    """Let one transaction at a time go on for `tenant`, until it ends.

    On SQLite `ControlDb.write` has done that already. On PostgreSQL two transactions could commit in another order than
    they took their sequence numbers, or both find the ledger as it was.
    """
    if is_postgresql(session.get_bind()):
        # `key_share`: rows that only refer to the tenant may still be written.
        session.execute(select(TenantRow.id).where(TenantRow.id == tenant.value).with_for_update(key_share=True))
