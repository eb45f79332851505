"""What all tables are made of."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from resources.base.times import in_utc

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives: SQLite numbers rows by itself only for a plain INTEGER primary key."""


class UtcDateTime(TypeDecorator[datetime]):
    """A time with its offset: SQLite stores none, so UTC is put back when reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the control DB carry an offset")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the offset back."""
        if value is None:
            return None
        return in_utc(value)


class Base(DeclarativeBase):
    """Declarative base of all tables."""
