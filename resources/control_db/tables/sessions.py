"""What a person who has logged in holds: sessions of browsers, refresh tokens, and the keys that sign tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, UtcDateTime


class SessionRow(Base):
    """One browser that is logged in. Only the hash of its cookie is stored.

    `app` is `customer` or `office`. `acting` says for which shop somebody of the office acts, why, until when, and
    whether they may write. `member_version` is the member's when the session began.
    """

    __tablename__ = "sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id"), index=True)
    member_version: Mapped[int] = mapped_column(Integer)
    app: Mapped[str] = mapped_column(String(16))
    kept: Mapped[bool] = mapped_column(Boolean)
    acting: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UnfinishedLoginRow(Base):
    """One log-in that waits for its second step: the code of a second factor, or the way back from the SSO provider.

    Only the hash of what stands in the browser's cookie is stored; the row goes with the second step.
    """

    __tablename__ = "unfinished_logins"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    failures: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class RefreshTokenRow(Base):
    """One refresh token. Those that followed from one log-in are a family, and end together."""

    __tablename__ = "refresh_tokens"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    family: Mapped[str] = mapped_column(String(40), index=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id"), index=True)
    member_version: Mapped[int] = mapped_column(Integer)
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.id"))
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SigningKeyRow(Base):
    """One key that access tokens are signed with; a retired one only checks those that are still valid."""

    __tablename__ = "signing_keys"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(16))
    private_key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginFailureRow(Base):
    """Failed log-ins of late, of one account or from one address (`name`, hashed)."""

    __tablename__ = "login_failures"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
