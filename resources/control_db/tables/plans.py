"""Plans, the exceptions of single tenants, what was warned of, and who asked for another plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text
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
    """That a tenant was told of a share (80 or 100 %) of a limit in a month (`2026-10`): it is told once."""

    __tablename__ = "quota_warnings"
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    share: Mapped[int] = mapped_column(primary_key=True)
    used: Mapped[str] = mapped_column(String(32))
    amount: Mapped[str] = mapped_column(String(32))
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
