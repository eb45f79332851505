"""Storages of Dagster for runs, ticks and events: its own SQLite files, opened and looked at less often.

Dagster opens its storages anew for every tick of a sensor, and each time has Alembic read all migrations to find that
there is nothing to do. Here a process looks at a file once. And it makes an engine and opens a file some seven times
per event. Each run has a file of its own, so only those used last stay open. A run takes half of Dagster's own
processor time with that, and the platform at rest a third less (ADR 18).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

_FILES_OPEN = 4
Storage = TypeVar("Storage", bound=SqliteRunStorage | SqliteScheduleStorage)
_looked_at: set[str] = set()
"""Files whose tables this process has seen to be there, and of the newest revision."""


def _is_ready(file: str) -> bool:
    return file in _looked_at and os.path.exists(file)


def _opened(storage: type[Storage], name: str, base_dir: str, inst_data: Any) -> Storage:
    """Open the file of this name; Dagster's own look at its tables only where this process has not looked yet."""
    file = os.path.join(base_dir, f"{name}.db")
    if _is_ready(file):
        return cast(Storage, storage(create_db_conn_string(base_dir, name), inst_data))
    opened = storage.from_local(base_dir, inst_data)
    _looked_at.add(file)
    return cast(Storage, opened)


class RunStorage(SqliteRunStorage):
    """The same file as `SqliteRunStorage`."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> RunStorage:
        """Open the storage; Dagster calls this with the `config` of dagster.yaml."""
        return _opened(cls, "runs", config_value["base_dir"], inst_data)


class ScheduleStorage(SqliteScheduleStorage):
    """The same file as `SqliteScheduleStorage`."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> ScheduleStorage:
        """Open the storage; Dagster calls this with the `config` of dagster.yaml."""
        return _opened(cls, "schedules", config_value["base_dir"], inst_data)


class OpenEventLogStorage(SqliteEventLogStorage):
    """The same files and the same rows as `SqliteEventLogStorage`. A process calls it from any thread."""

    def __init__(self, *args: Any, **more: Any) -> None:
        # One that falls out is disposed of, for which cachetools needs a subclass, and it is slower (ADR 17).
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(*args, **more)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> OpenEventLogStorage:
        """Open the storage; Dagster calls this with the `config` of dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            file = self.path_for_shard(shard)
            if not _is_ready(file):
                self._initdb(engine)
                _looked_at.add(file)
            with engine.begin() as connection:
                yield connection

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
        self._engines[shard] = engine
        if len(self._engines) > _FILES_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return engine
