"""What tenants have used: counts of each day, daily samples of what is stored, and monthly statements."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, UtcDateTime


class UsageRow(Base):
    """What one key or member of a tenant has used on one UTC day, by operation and class of status.

    No foreign key: a batch of counts holds many tenants, and shall not be refused for one that is gone.
    """

    __tablename__ = "usage_daily"
    tenant_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    key_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    operation: Mapped[str] = mapped_column(String(40), primary_key=True)
    status: Mapped[str] = mapped_column(String(8), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    recommended_items: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    uploaded_rows: Mapped[int] = mapped_column(BigInteger)
    training_ms: Mapped[int] = mapped_column(BigInteger)
    cpu_ms: Mapped[int] = mapped_column(BigInteger)


class UsageBatchRow(Base):
    """The number of the newest batch of counts that a process of the service has written: no batch is added twice."""

    __tablename__ = "usage_batches"
    worker: Mapped[str] = mapped_column(String(80), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UsageSampleRow(Base):
    """How much a tenant had stored on one UTC day: bytes by kind (`bytes:<folder>`), `items`, `users`."""

    __tablename__ = "usage_samples"
    tenant_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


class UsageOfRunRow(Base):
    """What a run of the pipeline has cost so far, so that the next note of it adds only what came since."""

    __tablename__ = "usage_runs"
    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(63), index=True)
    process: Mapped[str] = mapped_column(String(120))
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cpu_ms: Mapped[int] = mapped_column(BigInteger)


class UsageTurnRow(Base):
    """Who does a recurring piece of work, and until when nobody else may."""

    __tablename__ = "usage_turns"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class StatementRow(Base):
    """The statement of a tenant for one month (`2026-10`). `content` is JSON that never changes, `hash` its SHA-256.

    `told_at` is when the billing system of the platform has taken it.
    """

    __tablename__ = "usage_statements"
    __table_args__ = (Index("ix_usage_statements_month", "month"),)
    tenant_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    content: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
