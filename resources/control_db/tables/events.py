"""Tracked interactions, and the pieces of them that are in the lake."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, Serial, UtcDateTime


class EventRow(Base):
    """One tracked interaction, in the order of acknowledgement."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "event_id"),
        Index("ix_events_user", "tenant_id", "user_id", "seq"),
        Index("ix_events_tenant_seq", "tenant_id", "seq"),
        Index("ix_events_session", "tenant_id", "session_id", "seq"),
        {"sqlite_autoincrement": True},  # a number is never used twice, also when the newest events were erased
    )
    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    event_id: Mapped[str] = mapped_column(String(256))
    user_id: Mapped[str] = mapped_column(String(256))
    item_id: Mapped[str | None] = mapped_column(String(256))
    interaction_type: Mapped[str] = mapped_column(String(32))
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime)
    rating: Mapped[float | None] = mapped_column(Float)
    quantity: Mapped[float | None] = mapped_column(Float)
    price: Mapped[float | None] = mapped_column(Float)
    duration_seconds: Mapped[float | None] = mapped_column(Float)
    session_id: Mapped[str | None] = mapped_column(String(256))
    recommendation_id: Mapped[str | None] = mapped_column(String(64))
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class EventExportRow(Base):
    """One piece of the event log that is in the lake: sequences `first_seq` to `last_seq` of one tenant."""

    __tablename__ = "event_exports"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
