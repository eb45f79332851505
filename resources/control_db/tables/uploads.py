"""Stored uploads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, Serial, UtcDateTime


class UploadRow(Base):
    """One stored upload; `sequence` orders uploads, later ones win.

    Its rows stop counting when its shop withdraws it or a run sets it aside; `left_out_run` is the first run without
    them.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        UniqueConstraint("tenant_id", "upload_id"),
        Index("ix_uploads_pending", "tenant_id", "ingested_run"),
    )
    sequence: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    upload_id: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64))
    filename: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    rows_accepted: Mapped[int] = mapped_column(BigInteger)
    rows_rejected: Mapped[int] = mapped_column(BigInteger)
    rows_duplicate: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ingested_run: Mapped[str | None] = mapped_column(String(64))
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    set_aside_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    set_aside_reason: Mapped[str | None] = mapped_column(Text)
    left_out_run: Mapped[str | None] = mapped_column(String(64))
