"""Inserts that may meet a row that is there already, as each kind of database writes them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from resources.databases.opening import is_postgresql


def insert_into(bind: Engine | Connection, table: Any) -> PostgresqlInsert | SqliteInsert:
    """Return an insert into a table, or into that of a row's class, which has `on_conflict_…`."""
    return postgresql_insert(table) if is_postgresql(bind) else sqlite_insert(table)
