"""Where Dagster keeps the events of runs: its own SQLite files, with connections that stay open.

Dagster's storage makes an engine and opens a file some seven times per event, which is a quarter of the processor time
of a small tenant's run. Each run has a file of its own, so only those used last stay open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool

_FILES_OPEN = 4


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
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
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
