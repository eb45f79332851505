"""The Dagster instance of an installation: its folder, its settings, and one run outside the queue."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.storage.file_lock import file_lock
from resources.training.runs import note_end

if TYPE_CHECKING:
    from dagster import DagsterInstance

GROUPS = ("raw", "features", "training", "serving")
"""The groups of assets, in the order in which a run works through them."""

# Two runs fit a small machine; runs of one tenant take turns; crashed runs are noticed instead of lasting for ever.
_INSTANCE = """\
# Written by recsaas at every start.
nux:
  enabled: false
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      - key: dagster/partition
        value:
          applyLimitPerUniqueValue: true
        limit: 1
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
run_retries:
  # Only for runs whose process died: a run that failed on its data would fail again.
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
run_storage:
  module: recsaas_assets.instance.storage
  class: RunStorage
  config:
    base_dir: {history}
event_log_storage:
  module: recsaas_assets.instance.storage
  class: OpenEventLogStorage
  config:
    base_dir: {events}
schedule_storage:
  module: recsaas_assets.instance.storage
  class: ScheduleStorage
  config:
    base_dir: {schedules}
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 180
"""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The end of one run; `message` says why it failed, in words for a person."""

    run_id: str
    success: bool
    failed_step: str | None
    message: str | None
    seconds: float


def prepare_dagster_home(settings: Settings) -> Path:
    """Write the instance's settings and make every Dagster process of this installation use them."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    history = home / "history"
    folders = {"history": history, "events": history / "runs", "schedules": home / "schedules"}
    wanted = _INSTANCE.format(**{name: json.dumps(str(folder)) for name, folder in folders.items()})
    if not target.exists() or target.read_text() != wanted:
        beside = home / f".dagster.yaml.{os.getpid()}"
        beside.write_text(wanted)
        beside.replace(target)
    return home


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Open the installation's instance; the first to open it creates its databases."""
    from dagster import DagsterInstance

    home = prepare_dagster_home(settings)
    # Dagster does not: processes that create the tables at the same time break each other.
    with file_lock(home / ".opening.lock"):
        opened = DagsterInstance.from_config(str(home))
    with opened as instance:
        yield instance


def run_tenant(settings: Settings, db: ControlDb, tenant: TenantId, *, start_from: str = GROUPS[0]) -> RunOutcome:
    """Materialise the graph for one tenant in this process; the run is in the UI like any other.

    `start_from` is the first group of assets to run; those before it stay as they are. A run that a person interrupts
    raises KeyboardInterrupt when its end is recorded.
    """
    from dagster import AssetSelection

    from recsaas_assets.definitions import defs
    from recsaas_assets.defs.common.jobs import TENANT_JOB
    from recsaas_assets.defs.common.partitions import tenants_partitions
    from recsaas_assets.runs.run_failures import INTERRUPTED, fail_dead_runs, failure_of

    started = datetime.now(UTC)
    chosen = AssetSelection.groups(*GROUPS[GROUPS.index(start_from) :]).resolve(defs.resolve_asset_graph())
    with dagster_instance(settings) as instance:
        fail_dead_runs(instance, settings.home, db, now=started)
        instance.add_dynamic_partitions(str(tenants_partitions.name), [str(tenant)])
        result = defs.resolve_job_def(TENANT_JOB).execute_in_process(
            instance=instance,
            partition_key=str(tenant),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            asset_selection=None if start_from == GROUPS[0] else sorted(chosen),
            raise_on_error=False,
        )
        step, message = (None, None) if result.success else failure_of(instance, result.run_id)
    note_end(
        db,
        tenant,
        result.run_id,
        status="completed" if result.success else "cancelled" if message == INTERRUPTED else "failed",
        message=message,
        now=datetime.now(UTC),
    )
    if message == INTERRUPTED:
        raise KeyboardInterrupt  # Dagster has turned it into a failed step, and the next tenant would follow
    seconds = (datetime.now(UTC) - started).total_seconds()
    return RunOutcome(result.run_id, result.success, step, message, seconds)
