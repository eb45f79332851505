"""The instance that `prepare_dagster_home` writes, as Dagster reads it."""

from __future__ import annotations

from pathlib import Path

from dagster._core.run_coordinator import QueuedRunCoordinator

from recsaas_assets.dagster_home import dagster_instance, prepare_dagster_home
from resources.settings import load_settings


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


def test_a_changed_file_is_written_again(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    file = prepare_dagster_home(settings) / "dagster.yaml"
    wanted = file.read_text()
    file.write_text("telemetry:\n  enabled: true\n")
    prepare_dagster_home(settings)
    assert file.read_text() == wanted
    assert [path.name for path in file.parent.iterdir()] == ["dagster.yaml"]
