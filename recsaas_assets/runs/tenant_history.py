"""What Dagster keeps of a tenant: its runs with their events and logs, events of its partition, the partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from sqlalchemy import Connection, delete, func, select

from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.dagster_resources import PARTITION_TAG

PARTITIONS = "tenants"
_WORKING = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class DagsterHistory:
    """A place of an erasure, see `resources.tenancy.places.ErasurePlace`."""

    instance: DagsterInstance
    name: str = "Dagster: runs, events, partition"

    def count(self, tenant: TenantId) -> int:
        """Count the runs, the events outside of runs, and the partition."""
        runs = self.instance.get_runs_count(_of(tenant))
        partition = self.instance.has_dynamic_partition(PARTITIONS, tenant.value)
        with self._events() as connection:
            events = connection.scalar(select(func.count()).where(SqlEventLogStorageTable.c.partition == tenant.value))
        return runs + int(partition) + (events or 0)

    def empty(self, tenant: TenantId) -> None:
        """Remove them. The tick of a sensor may name the tenant, and goes after a week by itself.

        Raises:
            Conflict: a run of the tenant has not ended.
        """
        self.instance.delete_dynamic_partition(PARTITIONS, tenant.value)
        while runs := self.instance.get_runs(_of(tenant), limit=_AT_ONCE):
            for run in runs:
                if run.status in _WORKING:
                    raise Conflict(f"A run of tenant {tenant} has not ended yet; its erasure goes on after it.")
                self.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                self.instance.delete_run(run.run_id)
        ours = select(SqlEventLogStorageTable.c.id).where(SqlEventLogStorageTable.c.partition == tenant.value)
        with self._events() as connection:
            connection.execute(delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(ours)))
            connection.execute(
                delete(SqlEventLogStorageTable).where(SqlEventLogStorageTable.c.partition == tenant.value)
            )

    @contextmanager
    def _events(self) -> Iterator[Connection]:
        storage: Any = self.instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        with storage.index_connection() as connection:
            yield connection


def _of(tenant: TenantId) -> RunsFilter:
    return RunsFilter(tags={PARTITION_TAG: tenant.value})
