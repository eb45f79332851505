"""Sensors, one tick at a time, on an instance that runs nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    Failure,
    RunRequest,
    SkipReason,
    build_run_status_sensor_context,
    job,
    op,
)
from sqlalchemy import update

from recsaas_assets.runs.run_failures import failure_of
from resources.base.tenant import TenantId
from resources.control_db.items import ItemEdit, append_item_changes, mark_items_taken_in
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.uploads import list_uploads, mark_ingested
from resources.dagster_resources import PlatformResource
from resources.events.log import Event, EventLog
from resources.storage.lake import write_bytes
from resources.storage.run_lock import tenant_run_lock
from resources.training.runs import list_runs, note_end
from resources.uploads.contract.columns import Kind
from tests.defs.site import FIRST_DAY, Site, interactions_csv, items_csv
from tests.defs.ticks import LONG_AGO, PARTITION, nothing, reason, requested, run_of


@op
def boom() -> None:
    """Fails with one error inside another."""
    try:
        raise ValueError("the file has no rows; upload one that has")
    except ValueError as error:
        raise Failure("the step failed") from error


@job
def noop() -> None:
    """Succeeds."""
    nothing()


@job
def explodes() -> None:
    """Fails."""
    boom()


def items(site: Site, tenant: str, *, now: datetime = LONG_AGO) -> None:
    site.upload(tenant, Kind.ITEMS, items_csv(tenant, items=2), now=now)


def interactions(site: Site, tenant: str, *, seed: int = 1, now: datetime = LONG_AGO) -> None:
    site.upload(tenant, Kind.INTERACTIONS, interactions_csv(tenant, 2, 2, rows=3, seed=seed), now=now)


def take_in(site: Site, tenant: str) -> None:
    uploads = list_uploads(site.db, TenantId(tenant))
    mark_ingested(site.db, TenantId(tenant), [u.upload_id for u in uploads], run_id="run-1")


def settle(site: Site) -> None:
    """The upload of this moment settles, without waiting for it."""
    fresh = [u.upload_id for u in list_uploads(site.db, TenantId("apple")) if u.created_at > LONG_AGO]
    mark_ingested(site.db, TenantId("apple"), fresh, run_id="run-0")


def test_the_mirror_adds_the_partitions_that_are_missing(site: Site, instance: DagsterInstance, tick: Any) -> None:
    assert isinstance(tick("tenant_mirror"), SkipReason)
    site.create("apple", "berry")
    instance.add_dynamic_partitions("tenants", ["apple"])
    (request,) = tick("tenant_mirror").dynamic_partitions_requests
    assert list(request.partition_keys) == ["berry"]
    instance.add_dynamic_partitions("tenants", ["berry"])
    assert isinstance(tick("tenant_mirror"), SkipReason)


def test_uploads_of_one_tenant_make_one_run(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    assert reason(tick()) == "No uploads are waiting."

    items(site, "apple")
    assert requested(tick()) == [], "items alone train nothing"

    interactions(site, "apple", now=datetime.now(UTC))
    assert requested(tick()) == [], "more may be on its way"

    interactions(site, "apple", seed=2)
    settle(site)
    first = tick()
    assert requested(first) == ["apple"]
    run_of(instance, first.run_requests[0], DagsterRunStatus.FAILURE)
    assert "failed" in reason(tick()), "a run that failed is not repeated for ever"

    interactions(site, "apple", seed=3)
    second = tick()
    assert requested(second) == ["apple"]
    assert second.run_requests[0].run_key != first.run_requests[0].run_key
    run = run_of(instance, second.run_requests[0], DagsterRunStatus.NOT_STARTED)
    assert "a run is going on" in reason(tick())
    take_in(site, "apple")
    instance.report_run_canceled(run)
    assert reason(tick()) == "No uploads are waiting."


def test_a_good_run_that_left_something_lying_is_followed_by_another(
    site: Site, instance: DagsterInstance, tick: Any
) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    interactions(site, "apple")
    run_of(instance, tick().run_requests[0], DagsterRunStatus.SUCCESS)
    assert requested(tick()) == ["apple"]


def test_a_queued_run_takes_later_uploads_along(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple", "berry")
    instance.add_dynamic_partitions("tenants", ["apple", "berry"])
    for tenant in ("apple", "berry"):
        interactions(site, tenant)
    waiting_run(instance, "another_job", "apple")
    assert requested(tick()) == ["apple", "berry"]
    waiting = waiting_run(instance, "tenant_pipeline", "apple")
    interactions(site, "berry", seed=2)
    assert requested(tick()) == ["berry"]
    instance.report_run_canceled(waiting)
    assert requested(tick()) == ["apple", "berry"], "neither request has become a run"


def waiting_run(instance: DagsterInstance, name: str, tenant: str) -> DagsterRun:
    """A run that has not begun; one that is queued would need a code server to come from."""

    @job(name=name)
    def pipeline() -> None:
        nothing()

    return instance.create_run_for_job(pipeline, status=DagsterRunStatus.NOT_STARTED, tags={PARTITION: tenant})


def test_a_dropped_file_is_enough(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple", "berry")
    instance.add_dynamic_partitions("tenants", ["apple", "berry"])
    csv = interactions_csv("a", 2, 2, rows=3).encode()
    for tenant, name in (("apple", "monday.csv"), ("berry", ".half-written.csv")):
        write_bytes(site.whole_lake.landing(TenantId(tenant), "interactions") / name, csv)
    assert requested(tick()) == [], "the file may still grow"
    for tenant in ("apple", "berry"):
        for file in site.whole_lake.landing(TenantId(tenant), "interactions").iterdir():
            os.utime(str(file), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    assert requested(tick()) == ["apple"]


def test_a_file_of_the_same_name_size_and_time_is_another_one(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    path = site.whole_lake.landing(TenantId("apple"), "interactions") / "a.csv"
    keys = set()
    for user in "xy":
        write_bytes(path, interactions_csv(user, 2, 2, rows=3).encode())
        os.utime(str(path), (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
        (request,) = tick().run_requests
        keys.add(request.run_key)
        run_of(instance, request, DagsterRunStatus.FAILURE)
        assert requested(tick()) == []
    assert len(keys) == 2
    path.rename(path.with_name("b.csv"))
    assert requested(tick()) == ["apple"]


def test_folders_that_belong_to_no_tenant_are_nobody_s(site: Site, instance: DagsterInstance, tick: Any) -> None:
    for name in ("No Tenant", "ghost", ".hidden"):
        write_bytes(site.whole_lake.landing_root / name / "interactions" / "a.csv", b"x")
    assert reason(tick()) == "No uploads are waiting."


def test_tracked_events_are_interactions_too(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    items(site, "apple")
    assert requested(tick()) == []
    view = Event(event_id="e1", user_id="u", item_id="i", interaction_type="view", timestamp=FIRST_DAY)
    EventLog(site.db).append(TenantId("apple"), [view], now=FIRST_DAY)
    assert requested(tick()) == ["apple"]


def test_items_changed_by_api_wait_and_make_one_run(site: Site, instance: DagsterInstance, tick: Any) -> None:
    def change(price: float, now: datetime) -> int:
        edit = ItemEdit("a", "put", {"title": "A", "price": price})
        return append_item_changes(site.db, TenantId("apple"), [edit], now=now).last_seq

    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    change(1.0, LONG_AGO)
    assert reason(tick()) == "No uploads are waiting."  # nothing to train on
    interactions(site, "apple")
    take_in(site, "apple")
    last = change(2.0, datetime.now(UTC))  # somebody goes on changing items
    assert requested(tick()) == ["apple"]
    mark_items_taken_in(site.db, TenantId("apple"), up_to=last, run_id="run-1")
    change(3.0, datetime.now(UTC))
    assert reason(tick()) == "No uploads are waiting."  # it has not waited long enough
    interactions(site, "apple", seed=2)
    assert requested(tick()) == ["apple"]  # and holds nothing back


def test_several_tenants_but_none_that_is_suspended(site: Site, instance: DagsterInstance, tick: Any) -> None:
    names = ["apple", "berry", "cherry", "damson"]
    site.create(*names)
    for name in names:
        interactions(site, name)
    instance.add_dynamic_partitions("tenants", ["apple", "berry", "cherry"])
    with site.db.write() as session:
        session.execute(update(TenantRow).where(TenantRow.id == "berry").values(status="suspended"))
    assert requested(tick()) == ["apple", "cherry"]

    for name in ("apple", "cherry"):
        take_in(site, name)
    skipped = tick()
    assert reason(skipped) == "damson: its partition is not there yet."


def end_sensor(site: Site, instance: DagsterInstance, definitions: Definitions, name: str, run_id: str) -> None:
    """Evaluate a sensor that looks at the end of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    ends = {
        DagsterRunStatus.FAILURE: DagsterEventType.RUN_FAILURE,
        DagsterRunStatus.SUCCESS: DagsterEventType.RUN_SUCCESS,
        DagsterRunStatus.CANCELED: DagsterEventType.RUN_CANCELED,
    }
    (entry,) = instance.all_logs(run_id, of_type=ends[run.status])
    assert entry.dagster_event is not None
    context = build_run_status_sensor_context(
        sensor_name=name,
        dagster_event=entry.dagster_event,
        dagster_instance=instance,
        dagster_run=run,
        resources={"platform": PlatformResource(home=str(site.home))},
    )
    with context:
        definitions.resolve_sensor_def(name)(context)


def test_a_failed_run_is_recorded_in_the_error_s_own_words(
    site: Site, instance: DagsterInstance, definitions: Definitions
) -> None:
    site.create("apple")
    run = explodes.execute_in_process(instance=instance, tags={PARTITION: "apple"}, raise_on_error=False)
    end_sensor(site, instance, definitions, "record_failed_runs", run.run_id)
    (record,) = list_runs(site.db, TenantId("apple"))
    assert (record.status, record.message) == ("failed", "the file has no rows; upload one that has")
    assert failure_of(instance, run.run_id)[0] == "boom"


def test_a_run_that_recorded_its_own_end_keeps_its_time(
    site: Site, instance: DagsterInstance, definitions: Definitions
) -> None:
    site.create("apple")
    run = noop.execute_in_process(instance=instance, tags={PARTITION: "apple"})
    note_end(site.db, TenantId("apple"), run.run_id, status="completed", message=None, now=FIRST_DAY)
    end_sensor(site, instance, definitions, "record_finished_runs", run.run_id)
    (record,) = list_runs(site.db, TenantId("apple"))
    assert (record.status, record.ended_at) == ("completed", FIRST_DAY)


def test_a_cancelled_run_does_not_look_as_if_it_were_running(
    site: Site, instance: DagsterInstance, definitions: Definitions
) -> None:
    site.create("apple")
    run = instance.create_run_for_job(noop, status=DagsterRunStatus.STARTED, tags={PARTITION: "apple"})
    instance.report_run_canceled(run)
    end_sensor(site, instance, definitions, "record_cancelled_runs", run.run_id)
    assert [record.status for record in list_runs(site.db, TenantId("apple"))] == ["cancelled"]


def test_a_run_without_a_tenant_is_nobody_s(site: Site, instance: DagsterInstance, definitions: Definitions) -> None:
    site.create("apple")
    run = explodes.execute_in_process(instance=instance, raise_on_error=False)
    end_sensor(site, instance, definitions, "record_failed_runs", run.run_id)
    assert list_runs(site.db, TenantId("apple")) == ()


def test_a_run_whose_process_died_is_ended(site: Site, instance: DagsterInstance, tick: Any) -> None:
    """Its lock is free but still names it; the run beside it holds its own."""
    site.create("apple", "berry")
    dead, alive = (
        instance.create_run_for_job(noop, status=DagsterRunStatus.STARTED, tags={PARTITION: tenant})
        for tenant in ("apple", "berry")
    )
    (site.home / "locks").mkdir()
    (site.home / "locks" / "apple.lock").write_text(dead.run_id)
    with tenant_run_lock(site.home, TenantId("berry"), wait_seconds=0, run_id=alive.run_id):
        assert dead.run_id in tick("dead_runs").skip_message
        assert tick("dead_runs").skip_message == "Every run has its process."
    statuses = [instance.get_run_by_id(run.run_id).status for run in (dead, alive)]  # type: ignore[union-attr]
    assert statuses == [DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED]
    (record,) = list_runs(site.db, TenantId("apple"))
    assert record.status == "failed"
    assert record.message is not None and record.message.endswith("recsaas run apple")


def test_requests_name_the_partition(site: Site, instance: DagsterInstance, tick: Any) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    interactions(site, "apple")
    (request,) = tick().run_requests
    assert isinstance(request, RunRequest)
    assert request.run_key.startswith("apple:")
