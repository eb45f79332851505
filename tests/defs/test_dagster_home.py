"""The instance that `prepare_dagster_home` writes, as Dagster reads it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dagster import DagsterInstance, DagsterRun
from dagster._core.instance import InstanceRef
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage

from recsaas_assets.instance.home import dagster_instance, prepare_dagster_home
from recsaas_assets.instance.storage import OpenEventLogStorage, RunStorage, ScheduleStorage
from resources.base.settings import load_settings

ROOT = Path(__file__).parents[2]


def test_the_runs_of_one_tenant_take_turns_and_crashed_runs_are_noticed(tmp_path: Path) -> None:
    with dagster_instance(load_settings(tmp_path)) as instance:
        config = instance.get_concurrency_config()
        assert config.run_queue_config is not None
        assert config.run_queue_config.max_concurrent_runs == 2
        assert config.run_queue_config.tag_concurrency_limits == [
            {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_start_timeout_seconds == 180
        assert not instance.telemetry_enabled
        assert Path(instance.root_directory) == tmp_path / "dagster"


def test_events_are_where_dagster_s_own_storage_looks_for_them(tmp_path: Path) -> None:
    with dagster_instance(load_settings(tmp_path)) as instance:
        run = instance.run_storage.add_run(DagsterRun(job_name="j"))
        instance.report_engine_event("hello", run)
        others = [instance.run_storage.add_run(DagsterRun(job_name="j")) for _ in range(6)]
        for other in others:
            instance.report_engine_event("there", other)
        instance.report_engine_event("again", run)
        storage = instance.event_log_storage
        assert isinstance(storage, OpenEventLogStorage)
        own = SqliteEventLogStorage(str(tmp_path / "dagster" / "history" / "runs"))
        for each in (storage, own):
            found = [event.dagster_event for event in each.get_logs_for_run(run.run_id)]
            assert [event.message for event in found if event] == ["hello", "again"]
        assert open_databases(tmp_path) < 1 + len(others), "not one for each run"
    assert open_databases(tmp_path) == 0


def test_runs_and_ticks_are_where_dagster_s_own_storages_look_for_them(tmp_path: Path) -> None:
    for _ in range(2):  # the second one from what the process knows of the files
        with dagster_instance(load_settings(tmp_path)) as instance:
            run = instance.run_storage.add_run(DagsterRun(job_name="j"))
            assert isinstance(instance.run_storage, RunStorage)
            assert isinstance(instance.schedule_storage, ScheduleStorage)
    own = SqliteRunStorage.from_local(str(tmp_path / "dagster" / "history"))
    assert own.has_run(run.run_id)
    assert SqliteScheduleStorage.from_local(str(tmp_path / "dagster" / "schedules")).all_instigator_state() == []
    shutil.rmtree(tmp_path / "dagster")
    with dagster_instance(load_settings(tmp_path)) as instance:  # removed under a living process: made anew
        assert not instance.run_storage.has_run(run.run_id)


def open_databases(home: Path) -> int:
    """Files of events that this process holds open."""
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(link.startswith(f"{home}/dagster/history/runs/") and link.endswith(".db") for link in links)


def test_a_changed_file_is_written_again(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    file = prepare_dagster_home(settings) / "dagster.yaml"
    wanted = file.read_text()
    file.write_text("telemetry:\n  enabled: true\n")
    prepare_dagster_home(settings)
    assert file.read_text() == wanted
    assert [path.name for path in file.parent.iterdir()] == ["dagster.yaml"]


def test_dagster_dev_in_the_checkout_reports_nothing_about_its_use(tmp_path: Path) -> None:
    # What it does when DAGSTER_HOME is not set.
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), config_dir=str(ROOT))) as instance:
        assert not instance.telemetry_enabled
