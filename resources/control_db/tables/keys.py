"""API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, UtcDateTime


class ApiKeyRow(Base):
    """One API key; only its hash is stored.

    `kind` is one of `resources.access.key_kinds.KEY_KINDS`. `addresses` and `origins` are what it is bound to. A key
    that was rotated names the next one in `rotated_to`, and ends at `expires_at`. `told_days` is the last warning
    before the end that went out, in days.
    """

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(24))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(16), server_default="secret", default="secret")
    made_by: Mapped[str | None] = mapped_column(String(200))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    rotated_to: Mapped[str | None] = mapped_column(String(32))
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_route: Mapped[str | None] = mapped_column(String(200))
    addresses: Mapped[list[str]] = mapped_column(JSON, server_default=text("'[]'"), default=list)
    origins: Mapped[list[str]] = mapped_column(JSON, server_default=text("'[]'"), default=list)
    told_days: Mapped[int | None] = mapped_column(Integer)
