"""Reading and writing the decision log."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring as quoted  # non-ASCII text stays as it is
from typing import Any

from sqlalchemy import Engine, RowMapping, delete, func, insert, select
from sqlalchemy.schema import CreateIndex, CreateTable

from resources.base.ids import spelled
from resources.base.tenant import TenantId
from resources.databases.copying import CopyProgress, TableCopy, copy_database
from resources.databases.locks import long_turn, wait_for_turn
from resources.databases.opening import Opening, is_postgresql, open_engine
from resources.databases.sqlite import WRITE
from resources.decisions.decision import Decision, DecisionKind, ShownItem
from resources.decisions.tables import decisions, erased_users, metadata

_PRUNED_AT_ONCE = 5_000
_ERASED_KEPT = timedelta(hours=1)
"""Far longer than a worker keeps decisions before it writes them."""
_BUSY_SECONDS = 30.0
_SANDBOX: DecisionKind = "sandbox"
_ERASING = "erase from the decision log"
_PRAGMAS = {
    "secure_delete": "ON",  # an erased user's bytes do not stay in unused space of the file
    "synchronous": "NORMAL",  # a power cut may cost the last seconds, and never the file
}
_SERVER = {"synchronous_commit": "off"}  # as much on PostgreSQL
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = tuple(column.name for column in decisions.columns if column.name != "seq")
_INSERT = "INSERT INTO decisions ({}) VALUES ({})".format(
    ", ".join(f'"{name}"' for name in _COLUMNS), ", ".join("?" * len(_COLUMNS))
)


@dataclass(frozen=True, slots=True)
class DecisionStore:
    """The decision log of all tenants; every read names its tenant."""

    engine: Engine

    def add(self, new: Sequence[Decision]) -> None:
        """Store decisions in one transaction, without those about users that were erased after them."""
        with self._write() as connection:
            wait_for_turn(connection, _ERASING, shared=True)  # or an erasure could end between the look and the rows
            erased = connection.execute(select(erased_users)).mappings().all()
            rows = [_row(each) for each in new if not (erased and _is_erased(each, erased))]
            if rows and not is_postgresql(self.engine):  # SQLite, without the time that a statement is made of
                connection.exec_driver_sql(_INSERT, rows)
            elif rows:
                connection.execute(insert(decisions), [dict(zip(_COLUMNS, row, strict=True)) for row in rows])

    def get(self, tenant: TenantId, recommendation_id: str) -> Decision | None:
        """Return the decision with this id; `None` when the tenant has none."""
        found = select(decisions).where(
            decisions.c.recommendation_id == recommendation_id, decisions.c.tenant_id == tenant.value
        )
        with self.engine.connect() as connection:
            row = connection.execute(found).mappings().first()
        return None if row is None else _decision(row)

    def of_user(self, tenant: TenantId, user_id: str) -> tuple[Decision, ...]:
        """Return every decision about the user, oldest first."""
        found = select(decisions).where(*_about(tenant, user_id)).order_by(decisions.c.seq)
        with self.engine.connect() as connection:
            return tuple(_decision(row) for row in connection.execute(found).mappings())

    def of_tenant(
        self, tenant: TenantId, *, since: datetime | None = None, size: int = 10_000
    ) -> Iterator[tuple[Decision, ...]]:
        """Yield the tenant's decisions in the order they were stored, without those of sandboxes, `size` at once."""
        conditions = [decisions.c.tenant_id == tenant.value, decisions.c.kind != _SANDBOX]
        if since is not None:
            conditions.append(decisions.c.at >= _micros(since))
        last = 0
        while True:
            found = select(decisions).where(*conditions, decisions.c.seq > last).order_by(decisions.c.seq).limit(size)
            with self.engine.connect() as connection:
                rows = connection.execute(found).mappings().all()
            if not rows:
                return
            last = rows[-1]["seq"]
            yield tuple(_decision(row) for row in rows)

    def count_of_tenant(self, tenant: TenantId, *, most: int | None = None) -> int:
        """Return how many decisions the tenant has; with `most`, counting ends there."""
        some = select(decisions.c.seq).where(decisions.c.tenant_id == tenant.value).limit(most).subquery()
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(some)) or 0

    def erase_tenant(self, tenant: TenantId) -> int:
        """Remove everything of the tenant, a piece at a time; return how many decisions that were."""
        mine = select(decisions.c.seq).where(decisions.c.tenant_id == tenant.value).limit(_PRUNED_AT_ONCE)
        gone = 0
        while True:
            with self._write() as connection:
                found = connection.scalars(mine).all()
                if not found:
                    connection.execute(delete(erased_users).where(erased_users.c.tenant_id == tenant.value))
                    return gone
                connection.execute(delete(decisions).where(decisions.c.seq.in_(found)))
            gone += len(found)

    def count(self, tenant: TenantId, user_id: str) -> int:
        """Return how many decisions about the user there are."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).where(*_about(tenant, user_id))) or 0

    def count_of_releases(self, tenant: TenantId, versions: Collection[str]) -> int:
        """Return how many answers these releases gave, to sandboxes not counted."""
        live = decisions.c.tenant_id == tenant.value, decisions.c.kind != _SANDBOX
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).where(*live, decisions.c.release_version.in_(versions))) or 0

    def erase_user(self, tenant: TenantId, user_id: str, *, until: datetime) -> None:
        """Remove the decisions about the user, and keep out those made until then that a worker has yet to write."""
        salt = secrets.token_hex(16)
        digest = _user_digest(salt, tenant.value, user_id)
        with self._write() as connection:
            wait_for_turn(connection, _ERASING)
            connection.execute(delete(decisions).where(*_about(tenant, user_id)))
            connection.execute(delete(erased_users).where(erased_users.c.until < _micros(until - _ERASED_KEPT)))
            connection.execute(
                insert(erased_users).values(tenant_id=tenant.value, salt=salt, user_digest=digest, until=_micros(until))
            )

    def prune(self, before: datetime) -> int:
        """Remove up to 5,000 decisions that are older than `before`; return how many there were.

        They are stored in the order of time, but for the few that wait in several workers at once, so that the oldest
        rows are enough to look at.
        """
        oldest = select(decisions.c.seq, decisions.c.at).order_by(decisions.c.seq).limit(_PRUNED_AT_ONCE)
        limit = _micros(before)
        with self._write() as connection:
            old = [seq for seq, at in connection.execute(oldest) if at < limit]
            if old:
                connection.execute(delete(decisions).where(decisions.c.seq <= old[-1], decisions.c.at < limit))
        return len(old)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def _write(self) -> Any:
        return self.engine.execution_options(**WRITE).begin()


def open_decisions(url: str) -> DecisionStore:
    """Connect to `url` and make the tables that are not there yet.

    Raises:
        ConfigurationError: the URL is not one of SQLite or PostgreSQL, the driver is not installed, or the folder of
            its file cannot be made.
    """
    engine = open_engine(url, Opening("RECSAAS_DECISIONS", _BUSY_SECONDS, pragmas=_PRAGMAS, server_settings=_SERVER))
    store = DecisionStore(engine)
    with long_turn(engine.execution_options(**WRITE), "make the decision log") as connection:  # workers start together
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(CreateIndex(index, if_not_exists=True))
    return store


def copy_decisions(source: DecisionStore, target: DecisionStore, *, on_progress: CopyProgress) -> tuple[TableCopy, ...]:
    """Copy every row of a log on SQLite to an empty one on PostgreSQL, and compare them.

    Raises:
        Conflict, InvalidInput, CorruptArtifact: as `copy_database`; the target is as it was.
    """
    return copy_database(source.engine, target.engine, metadata, on_progress=on_progress)


def _about(tenant: TenantId, user_id: str) -> tuple[Any, Any]:
    # An earlier version asked for them in the form in which they came.
    return decisions.c.tenant_id == tenant.value, decisions.c.user_id.in_(spelled(user_id))


def _is_erased(each: Decision, erased: Sequence[RowMapping]) -> bool:
    return each.user_id is not None and any(
        row["tenant_id"] == each.tenant.value
        and _micros(each.at) <= row["until"]
        and _user_digest(row["salt"], each.tenant.value, each.user_id) == row["user_digest"]
        for row in erased
    )


def _user_digest(salt: str, tenant: str, user_id: str) -> str:
    return hashlib.sha256(f"{salt}\0{tenant}\0{user_id}".encode()).hexdigest()


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _row(each: Decision) -> tuple[Any, ...]:
    return (
        each.recommendation_id,
        each.tenant.value,
        _micros(each.at),
        each.kind,
        each.user_id,
        each.session_id,
        each.scenario,
        each.variant,
        each.release_version,
        each.algorithm,
        each.fallback_reason,
        each.degraded,
        _items(each.items),
        json.dumps(each.rules) if each.rules else "[]",
        each.event_watermark,
        each.events_seen,
        each.state_version,
        each.request_id,
        each.offset,
    )


def _items(items: tuple[ShownItem, ...]) -> str:
    """JSON by hand, in half the time: this runs once for every answer, in a process that has better things to do."""
    rows = [
        f'[{quoted(item_id)},{position},{score!r},"{source}",{propensity!r}]'
        for item_id, position, score, source, propensity in items
    ]
    return f"[{','.join(rows)}]"


def _decision(row: RowMapping) -> Decision:
    fields = {name: value for name, value in row.items() if name not in ("seq", "tenant_id", "at", "items", "rules")}
    return Decision(
        tenant=TenantId(row["tenant_id"]),
        at=_EPOCH + row["at"] * _MICROSECOND,
        items=tuple(ShownItem(*each) for each in json.loads(row["items"])),
        rules=tuple(json.loads(row["rules"])),
        **fields,
    )
