"""Training jobs from the row that the service writes to a release: the sensor, the run, and how both end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    SensorResult,
    SkipReason,
    build_sensor_context,
    job,
    op,
)
from dagster._daemon.monitoring.run_monitoring import monitor_starting_run
from sqlalchemy import update

from recsaas_assets.defs.models import model_training
from recsaas_assets.defs.runs.training_sensor import REINDEXED
from recsaas_assets.instance.home import dagster_instance
from resources import dagster_resources
from resources.base.tenant import TenantId
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import get_tenant
from resources.dagster_resources import TRAINING_JOB_TAG, PlatformResource
from resources.jobs.kinds.training import (
    TrainingJob,
    add_training_job,
    ask_to_cancel,
    begin_training_job,
    get_training_job,
)
from resources.tenants.training_request import TrainingKind, TrainingRequest
from resources.training.progress import progress_of
from resources.training.runs import find_run, list_runs
from tests.defs.site import FIRST_DAY, Site, open_shop, recsaas_home

APPLE, BERRY = TenantId("apple"), TenantId("berry")
SMALL = {"dim": 8, "steps": 6}


@op
def nothing() -> None:
    """Does nothing."""


@job(name="tenant_pipeline")
def pipeline() -> None:
    """Stands for the job where no run is meant to work."""
    nothing()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["apple", "berry"])
        yield instance


def ask(site: Site, tenant: TenantId = APPLE, **request: Any) -> TrainingJob:
    """What the service does with a request."""
    asked = TrainingRequest(**{"kind": TrainingKind.TRAIN, **request})
    return add_training_job(site.db, tenant, asked, estimated_seconds=10.0, now=datetime.now(UTC))


def tick(site: Site, instance: DagsterInstance, definitions: Definitions) -> Any:
    resources = {"platform": PlatformResource(home=str(site.home))}
    with build_sensor_context(instance=instance, resources=resources) as context:
        return definitions.resolve_sensor_def("training_jobs")(context)


def requests(result: Any) -> list[RunRequest]:
    return list(result.run_requests or []) if isinstance(result, SensorResult) else []


def why(result: Any) -> str:
    assert not requests(result)
    skipped = result if isinstance(result, SkipReason) else result.skip_reason
    assert skipped is not None and skipped.skip_message is not None
    return str(skipped.skip_message)


def run_of(instance: DagsterInstance, request: RunRequest, status: DagsterRunStatus) -> str:
    tags = {"dagster/partition": str(request.partition_key), **request.tags}
    return instance.create_run_for_job(pipeline, status=status, tags=tags).run_id


def test_a_queued_job_becomes_one_run_of_its_tenant(
    site: Site, instance: DagsterInstance, definitions: Definitions
) -> None:
    site.create("apple", "berry")
    assert why(tick(site, instance, definitions)) == "No training job waits."
    first, second = ask(site), ask(site, BERRY, kind=TrainingKind.REINDEX)
    found = requests(tick(site, instance, definitions))
    assert [(each.run_key, each.partition_key) for each in found] == [(first.id, "apple"), (second.id, "berry")]
    assert [each.tags[TRAINING_JOB_TAG] for each in found] == [first.id, second.id]
    assert [each.asset_selection for each in found] == [None, list(REINDEXED)]
    run_of(instance, found[0], DagsterRunStatus.NOT_STARTED)
    assert [each.run_key for each in requests(tick(site, instance, definitions))] == [second.id]


def test_reindexing_is_the_index_and_all_that_follows(definitions: Definitions) -> None:
    following = AssetSelection.assets("faiss_index").downstream().resolve(definitions.resolve_asset_graph())
    assert set(REINDEXED) == following


def test_a_job_waits_for_its_tenant(site: Site, instance: DagsterInstance, definitions: Definitions) -> None:
    site.create("apple", "cherry")
    queued = ask(site)
    ask(site, TenantId("cherry"))
    other = instance.create_run_for_job(pipeline, status=DagsterRunStatus.STARTED, tags={"dagster/partition": "apple"})
    waits = why(tick(site, instance, definitions))
    assert "another run of apple is going on" in waits and "the partition of cherry is not there yet" in waits
    instance.report_run_canceled(other)
    with site.db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == "apple").values(status="suspended"))
    assert "tenant apple is not active" in why(tick(site, instance, definitions))
    with site.db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == "apple").values(status="active"))
    assert [each.run_key for each in requests(tick(site, instance, definitions))] == [queued.id]


@pytest.mark.parametrize(
    ("status", "end"), [(DagsterRunStatus.FAILURE, "failed"), (DagsterRunStatus.CANCELED, "cancelled")]
)
def test_a_run_that_ends_before_it_begins_ends_its_job(
    site: Site, instance: DagsterInstance, definitions: Definitions, status: DagsterRunStatus, end: str
) -> None:
    site.create("apple")
    queued = ask(site)
    (request,) = requests(tick(site, instance, definitions))
    run_of(instance, request, status)
    assert queued.id in why(tick(site, instance, definitions))
    ended = get_training_job(site.db, APPLE, queued.id)
    assert ended.status == end and ended.message
    assert ask(site).id != queued.id


def test_a_run_that_the_machine_could_not_start_in_time_is_replaced(site: Site, definitions: Definitions) -> None:
    settings = {"run_monitoring": {"enabled": True, "start_timeout_seconds": 0}}
    with DagsterInstance.ephemeral(settings=settings) as instance:
        instance.add_dynamic_partitions("tenants", ["apple"])
        site.create("apple")
        queued = ask(site)
        (request,) = requests(tick(site, instance, definitions))
        run_id = run_of(instance, request, DagsterRunStatus.NOT_STARTED)
        late = instance.get_run_record_by_id(run_id)
        assert late is not None
        monitor_starting_run(instance, late, logging.getLogger())
        assert instance.get_run_by_id(run_id).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
        (again,) = requests(tick(site, instance, definitions))
        assert again.run_key == f"{queued.id}/1"
        assert get_training_job(site.db, APPLE, queued.id).status == "queued"


def test_a_job_whose_run_was_deleted_has_failed(
    site: Site, instance: DagsterInstance, definitions: Definitions
) -> None:
    site.create("apple")
    queued = ask(site)
    (request,) = requests(tick(site, instance, definitions))
    run_id = run_of(instance, request, DagsterRunStatus.STARTED)
    begin_training_job(site.db, APPLE, queued.id, run_id=run_id, now=FIRST_DAY)
    assert "is going on" in why(tick(site, instance, definitions))
    instance.delete_run(run_id)
    tick(site, instance, definitions)
    ended = get_training_job(site.db, APPLE, queued.id)
    assert ended.status == "failed"
    assert ended.message is not None and "gone from Dagster" in ended.message


def as_the_daemon(
    site: Site, instance: DagsterInstance, definitions: Definitions, request: RunRequest
) -> ExecuteInProcessResult:
    """Do what a request asks for, in this process."""
    with recsaas_home(site.home):
        return definitions.resolve_job_def("tenant_pipeline").execute_in_process(
            instance=instance,
            partition_key=str(request.partition_key),
            tags={**request.tags, "dagster/run_key": str(request.run_key)},
            asset_selection=request.asset_selection,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


def test_from_the_request_to_a_release_and_a_new_index(site: Site, definitions: Definitions) -> None:
    site.create("apple")
    open_shop(site, "apple", "a-")
    with dagster_instance(site.settings) as instance:
        instance.add_dynamic_partitions("tenants", ["apple"])
        asked = ask(site, hyperparameters=SMALL, auto_deploy=False)
        (request,) = requests(tick(site, instance, definitions))
        result = as_the_daemon(site, instance, definitions, request)
        assert result.success, [event.message for event in result.all_events if event.is_failure]
        running = get_training_job(site.db, APPLE, asked.id)
        assert (running.status, running.run_id) == ("running", result.run_id)
        assert asked.id in why(tick(site, instance, definitions))
        trained = get_training_job(site.db, APPLE, asked.id)
        assert (trained.status, trained.deployed) == ("completed", False)
        assert trained.seconds is not None and trained.seconds > 0
        run = find_run(site.db, APPLE, result.run_id)
        found = progress_of(trained, run, now=datetime.now(UTC))
        assert (found.phase, found.share, found.fit, found.total_epochs) == ("completed", 1.0, "release", found.epoch)
        assert set(found.metrics) == {"loss", "ndcg@10", "recall@20"}
        assert 0 < found.metrics["recall@20"] <= 1

        store = site.releases("apple")
        assert store.current() is None, "it was not to go live"
        assert trained.release_version is not None
        manifest = store.manifest(trained.release_version)
        assert (manifest.hyperparameters["dim"], manifest.hyperparameters["steps"]) == (8, 6)
        assert manifest.dagster_run_id == result.run_id and manifest.gate.outcome != "refused"
        assert get_tenant(site.db, APPLE).settings.training.hyperparameters == {}, "for this run only"
        assert site.lake("apple").trained_model.exists()

        again = ask(site, kind=TrainingKind.REINDEX)
        (request,) = requests(tick(site, instance, definitions))
        result = as_the_daemon(site, instance, definitions, request)
        assert result.success, [event.message for event in result.all_events if event.is_failure]
        made = {event.asset_key for event in result.get_asset_materialization_events()}
        assert made == {AssetKey("faiss_index"), AssetKey("release")}
        tick(site, instance, definitions)
        indexed = get_training_job(site.db, APPLE, again.id)
        assert (indexed.status, indexed.deployed) == ("completed", True)
        assert store.current() == indexed.release_version != trained.release_version
        assert indexed.release_version is not None
        reindexed = store.manifest(indexed.release_version)
        assert reindexed.training_set_fingerprint == manifest.training_set_fingerprint
        assert reindexed.hyperparameters == manifest.hyperparameters


def test_a_job_that_is_cancelled_while_it_trains_ends_its_run(
    site: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.create("apple")
    open_shop(site, "apple", "a-")
    monkeypatch.setattr(dagster_resources, "_SECONDS_BETWEEN_LOOKS", 0.0)
    with dagster_instance(site.settings) as instance:
        instance.add_dynamic_partitions("tenants", ["apple"])
        asked = ask(site, hyperparameters={"steps": 2000, "patience": 2000})
        (request,) = requests(tick(site, instance, definitions))
        note_epoch = model_training.note_epoch

        def cancelled_meanwhile(*args: Any, **figures: Any) -> None:
            note_epoch(*args, **figures)
            ask_to_cancel(site.db, APPLE, asked.id, now=datetime.now(UTC))

        with monkeypatch.context() as patched:
            patched.setattr(model_training, "note_epoch", cancelled_meanwhile)
            result = as_the_daemon(site, instance, definitions, request)
        run = instance.get_run_by_id(result.run_id)
        assert run is not None and run.status is DagsterRunStatus.CANCELED
        tick(site, instance, definitions)
        assert get_training_job(site.db, APPLE, asked.id).status == "cancelled"
        (record,) = list_runs(site.db, APPLE)
        assert record.epoch is not None and record.epoch < 2000
        assert site.releases("apple").list() == ()

        late = ask(site)
        (request,) = requests(tick(site, instance, definitions))
        ask_to_cancel(site.db, APPLE, late.id, now=datetime.now(UTC))
        result = as_the_daemon(site, instance, definitions, request)
        run = instance.get_run_by_id(result.run_id)
        assert run is not None and run.status is DagsterRunStatus.CANCELED
        assert find_run(site.db, APPLE, result.run_id) is None, "it stopped before its first stage"
        assert get_training_job(site.db, APPLE, late.id).run_id is None
