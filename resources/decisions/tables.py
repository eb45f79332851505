"""The tables of the decision log: a database of its own.

Every commit of the control DB waits for the disk, because an acknowledged event must survive a power cut; an answer
must not wait like that, and must not make the readers of the control DB believe that something has changed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()
_serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for a plain INTEGER key

decisions = Table(
    "decisions",
    metadata,
    Column("seq", _serial, primary_key=True, autoincrement=True),
    Column("recommendation_id", String(32), nullable=False),
    Column("tenant_id", String(63), nullable=False),
    Column("at", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("kind", String(16), nullable=False),
    Column("user_id", Text),
    Column("session_id", Text),
    Column("scenario", Text),
    Column("variant", Text),
    Column("release_version", String(32), nullable=False),
    Column("algorithm", String(32), nullable=False),
    Column("fallback_reason", String(64)),
    Column("degraded", Boolean, nullable=False),
    Column("items", Text, nullable=False),  # JSON: [[item_id, position, score, source, propensity], …]
    Column("rules", Text, nullable=False),  # JSON: ids
    Column("event_watermark", BigInteger, nullable=False),
    Column("events_seen", BigInteger, nullable=False),
    Column("state_version", BigInteger, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("offset", Integer, nullable=False),
    Index("decisions_by_id", "recommendation_id", unique=True),
    Index("decisions_by_user", "tenant_id", "user_id"),
    Index("decisions_by_release", "tenant_id", "release_version"),
)

# Users that were erased moments ago: a worker may still hold decisions about them that it has not written yet.
erased_users = Table(
    "erased_users",
    metadata,
    Column("tenant_id", String(63), nullable=False),
    Column("salt", String(32), primary_key=True),
    Column("user_digest", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
)
