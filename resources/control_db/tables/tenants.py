"""Tenants, a number that grows with their changes, and their writes with an idempotency key."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, UtcDateTime


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
