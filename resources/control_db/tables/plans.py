"""Plans of the tenants, and what they have used of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Date, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, UtcDateTime


class PlanRow(Base):
    """A plan that was made or changed here; those that come with the program have a row once they were changed.

    `content` is the plan as JSON (`resources.plans.model.Plan`).
    """

    __tablename__ = "plans"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[str] = mapped_column(String(254))


class QuotaOverrideRow(Base):
    """One limit of a tenant that is another than its plan's. `amount` is text; None: any number."""

    __tablename__ = "quota_overrides"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by: Mapped[str] = mapped_column(String(254))


class QuotaWarningRow(Base):
    """That a tenant was told of a share (80 or 100 %) of a limit in a month (`2026-10`): once of each amount."""

    __tablename__ = "quota_warnings"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    share: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[str] = mapped_column(String(32), primary_key=True)
    used: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlanRequestRow(Base):
    """A tenant's wish for another plan; done once it was put on one."""

    __tablename__ = "plan_requests"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    plan: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(String(254))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


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
