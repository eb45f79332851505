"""The audit log: one chain of entries for each tenant, and one for the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from resources.control_db.tables.base import Base, Serial, UtcDateTime


class AuditRow(Base):
    """One change of state. `number` counts within the chain from 1; `hash` covers the entry and the hash before it.

    No foreign key: the entries of a tenant stay when it is erased.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        UniqueConstraint("chain", "number"),
        Index("ix_audit_log_time", "chain", "at"),
        Index("ix_audit_log_action", "chain", "action", "number"),
        Index("ix_audit_log_actor", "chain", "actor_id", "number"),
        Index("ix_audit_log_actor_name", "chain", "actor_name", "number"),
        Index("ix_audit_log_acting_for", "chain", "acting_for", "number"),
        Index("ix_audit_log_object", "chain", "object_id", "number"),
        {"sqlite_autoincrement": True},
    )
    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    chain: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(80))
    actor_name: Mapped[str] = mapped_column(String(254))
    acting_for: Mapped[str | None] = mapped_column(String(254))
    reason: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(64))
    object_kind: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(256))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    source: Mapped[str] = mapped_column(String(16))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(128))
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Base):
    """Both ends of a chain. Whoever writes the next entry holds this row until the transaction ends.

    `number` and `hash` are of the newest entry. `removed_until` is the number of the newest entry that was removed
    because of its age, 0 where none was, and `removed_hash` its hash, which the oldest one that is kept goes on from.
    `subject_key` (hex) is the key of the hashes that stand in the chain for ids of shoppers.
    """

    __tablename__ = "audit_heads"
    chain: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    removed_until: Mapped[int] = mapped_column(BigInteger)
    removed_hash: Mapped[str] = mapped_column(String(64))
    subject_key: Mapped[str] = mapped_column(String(64))


class ActingRow(Base):
    """One time that somebody of the office acted for a tenant; it ends at `ends_at`, or before that at `ended_at`.

    `acting_for` is the e-mail of the member, or the tenant's id where no member was named.
    """

    __tablename__ = "acting"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(64), index=True)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(80), index=True)
    actor_name: Mapped[str] = mapped_column(String(254))
    acting_for: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    ticket: Mapped[str | None] = mapped_column(String(80))
    writes: Mapped[bool]
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
