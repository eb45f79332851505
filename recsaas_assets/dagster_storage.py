"""Where Dagster keeps runs, ticks and events: its own SQLite files, opened and looked at less often.

Dagster opens its storages anew for every tick of a sensor, and each time has Alembic read all migrations to find that
there is nothing to do: 90 ms of processor time a tick, a third of a core while nothing happens. Here a process looks at
a file once. And it makes an engine and opens a file some seven times per event, which is a quarter of the processor
time of a small tenant's run. Each run has a file of its own, so only those used last stay open.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

_FILES_OPEN = 4
_looked_at: set[str] = set()
"""Files whose tables this process has seen to be there, and of the newest revision."""


def _is_ready(file: str) -> bool:
    return file in _looked_at and os.path.exists(file)


class RunStorage(SqliteRunStorage):
    """The same file as `SqliteRunStorage`."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> RunStorage:
        """What Dagster calls with the `config` of dagster.yaml."""
        base_dir = config_value["base_dir"]
        file = os.path.join(base_dir, "runs.db")
        if _is_ready(file):
            return cls(create_db_conn_string(base_dir, "runs"), inst_data)
        storage = cls.from_local(base_dir, inst_data)
        _looked_at.add(file)
        return storage


class ScheduleStorage(SqliteScheduleStorage):
    """The same file as `SqliteScheduleStorage`."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> SqliteScheduleStorage:
        """What Dagster calls with the `config` of dagster.yaml."""
        base_dir = config_value["base_dir"]
        file = os.path.join(base_dir, "schedules.db")
        if _is_ready(file):
            return cls(create_db_conn_string(base_dir, "schedules"), inst_data)
        storage = cls.from_local(base_dir, inst_data)
        _looked_at.add(file)
        return storage


class OpenEventLogStorage(SqliteEventLogStorage):
    """The same files and the same rows as `SqliteEventLogStorage`. A process calls it from any thread."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(*args, **more)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> OpenEventLogStorage:
        """What Dagster calls with the `config` of dagster.yaml."""
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
