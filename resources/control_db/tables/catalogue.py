"""Changes of items, and merchandising rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, Serial, UtcDateTime


class ItemChangeRow(Base):
    """One change of an item by API, in the order of acknowledgement: `put` (all fields), `patch` (some) or `delete`."""

    __tablename__ = "item_changes"
    __table_args__ = (
        Index("ix_item_changes_tenant_seq", "tenant_id", "seq"),
        Index("ix_item_changes_item", "tenant_id", "item_id", "seq"),
        {"sqlite_autoincrement": True},  # a number is never used twice: releases have watermarks
    )
    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    item_id: Mapped[str] = mapped_column(String(256))
    action: Mapped[str] = mapped_column(String(8))
    fields: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ItemIntakeRow(Base):
    """Up to which change of an item a run has taken a tenant's changes in."""

    __tablename__ = "item_intakes"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[str] = mapped_column(String(64))


class RuleRow(Base):
    """One merchandising rule of a tenant."""

    __tablename__ = "rules"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    rule: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
