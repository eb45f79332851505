"""What is done for a tenant between its runs, one tick at a time, on an instance that runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetMaterialization, DagsterInstance, Definitions, SensorResult, SkipReason, build_sensor_context

from recsaas_assets.defs.common.metadata import preview
from resources.base.tenant import TenantId
from resources.control_db.event_exports import list_event_exports
from resources.control_db.uploads import list_uploads, mark_ingested
from resources.dagster_resources import PlatformResource
from resources.events import export as event_export
from resources.events.log import Event, EventLog
from resources.jobs.kinds.erasures import (
    Erasure,
    complete_erasure,
    forget_user,
    get_erasure,
    mark_retrained,
    request_erasure,
    tenants_to_retrain,
)
from resources.storage.run_lock import tenant_run_lock
from resources.uploads.contract.columns import Kind
from tests.defs.site import FIRST_DAY, Site, interactions_csv

APPLE, BERRY, CHERRY = (TenantId(name) for name in ("apple", "berry", "cherry"))
Tick = Callable[..., Any]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def tick(site: Site, instance: DagsterInstance, definitions: Definitions) -> Tick:
    """Evaluate a sensor once; returns what it answered and its cursor."""

    def evaluate(name: str, cursor: str | None = None) -> tuple[Any, str | None]:
        platform = PlatformResource(home=str(site.home))
        with build_sensor_context(instance=instance, resources={"platform": platform}, cursor=cursor) as context:
            result = definitions.resolve_sensor_def(name)(context)
            return result, result.cursor if isinstance(result, SensorResult) else context.cursor

    return evaluate


def track(site: Site, tenant: TenantId, *ids: str) -> None:
    events = [Event(event_id=i, user_id="u", item_id="i", interaction_type="view", timestamp=FIRST_DAY) for i in ids]
    EventLog(site.db).append(tenant, events, now=FIRST_DAY)


def exported(site: Site, tenant: TenantId) -> int:
    return sum(piece.rows for piece in list_event_exports(site.db, tenant))


def test_new_events_are_exported_and_recorded_for_their_tenants(site: Site, tick: Tick) -> None:
    site.create("apple", "berry", "cherry")
    assert isinstance(tick("event_export")[0], SkipReason)
    track(site, APPLE, "a", "b")
    track(site, BERRY, "a")
    result, cursor = tick("event_export")
    found = {event.partition: event.metadata for event in result.asset_events}
    assert all(isinstance(event, AssetMaterialization) for event in result.asset_events)
    assert {event.asset_key.path[-1] for event in result.asset_events} == {"tracked_events"}
    assert {tenant: metadata["dagster/row_count"].value for tenant, metadata in found.items()} == {
        "apple": 2,
        "berry": 1,
    }
    assert (found["apple"]["first_seq"].value, found["apple"]["last_seq"].value) == (1, 2)
    assert isinstance(tick("event_export", cursor)[0], SkipReason)
    track(site, APPLE, "c")
    result, _ = tick("event_export", cursor)
    assert [event.partition for event in result.asset_events] == ["apple"]
    assert exported(site, APPLE) == 3


def test_a_run_is_left_alone_and_the_others_are_served(site: Site, tick: Tick) -> None:
    site.create("apple", "berry")
    for tenant in (APPLE, BERRY):
        track(site, tenant, "a")
    with tenant_run_lock(site.home, APPLE, wait_seconds=0, run_id="run-1"):
        result, _ = tick("event_export")
    assert [event.partition for event in result.asset_events] == ["berry"]
    assert [event.partition for event in tick("event_export")[0].asset_events] == ["apple"]


def test_a_tenant_whose_piece_is_damaged_holds_back_nobody(site: Site, tick: Tick) -> None:
    site.create("apple", "berry")
    track(site, APPLE, "a")
    tick("event_export")
    (piece,) = list_event_exports(site.db, APPLE)
    Path(site.lake("apple").events / piece.file).write_bytes(b"x")
    for tenant in (APPLE, BERRY):
        track(site, tenant, "b")
    result, _ = tick("event_export")
    assert [event.partition for event in result.asset_events] == ["berry"]
    assert "recsaas events export apple --again" in tick("event_export")[0].skip_message


def test_an_error_nobody_expected_holds_back_no_other_tenant(site: Site, tick: Tick) -> None:
    """Else each tick would begin with the same tenant, and end with it."""
    site.create("apple", "berry")
    for tenant in (APPLE, BERRY):
        track(site, tenant, "e1")
    folder = Path(str(site.whole_lake.tenant(APPLE).events))
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where a folder should be")
    tick("event_export")
    assert (exported(site, APPLE), exported(site, BERRY)) == (0, 1)
    first, second = (request_erasure(site.db, tenant, "u", FIRST_DAY) for tenant in (APPLE, BERRY))
    raw = Path(str(site.whole_lake.tenant(APPLE).root)) / "raw"
    raw.mkdir()
    (raw / "users.parquet").write_text("no table")
    message = tick("pending_erasures")[0].skip_message
    assert f"{second.id} is done." in message and f"{first.id}: " in message
    assert get_erasure(site.db, APPLE, first.id).status == "pending"


def test_a_short_tick_begins_where_the_last_one_stopped(
    site: Site, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsaas_assets.defs.data.event_sensors.EXPORTS_PER_TICK", 1)
    monkeypatch.setattr(event_export, "EVENTS_AT_ONCE", 1)
    site.create("apple", "berry", "cherry")
    for tenant in (APPLE, BERRY, CHERRY):
        track(site, tenant, "a", "b")
    served, cursor = [], None
    for _ in range(4):
        track(site, APPLE, f"{len(served)}")
        result, cursor = tick("event_export", cursor)
        served += [event.partition for event in result.asset_events]
    assert served == ["apple", "berry", "cherry", "apple"]


def test_an_erasure_is_done_when_the_run_has_ended_and_one_that_cannot_be_done_holds_back_nobody(
    site: Site, tick: Tick
) -> None:
    site.create("apple", "berry")
    assert tick("pending_erasures")[0].skip_message == "No erasure waits."
    first = request_erasure(site.db, APPLE, "u", FIRST_DAY)
    second = request_erasure(site.db, BERRY, "u", FIRST_DAY)
    with tenant_run_lock(site.home, APPLE, wait_seconds=0, run_id="run-1"):
        message = tick("pending_erasures")[0].skip_message
    assert f"{first.id}: Another run of tenant apple is still going" in message
    assert f"{second.id} is done." in message
    assert tick("pending_erasures")[0].skip_message == f"{first.id} is done."
    assert get_erasure(site.db, APPLE, first.id).status == "completed"


def test_an_erasure_that_fails_slowly_holds_back_nobody(
    site: Site, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.create("apple", "berry")
    first, second = (request_erasure(site.db, tenant, "u", FIRST_DAY) for tenant in (APPLE, BERRY))
    first, second = sorted((first, second), key=lambda each: each.id)
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr("recsaas_assets.defs.data.event_sensors.time.monotonic", lambda: next(clock))
    with tenant_run_lock(site.home, first.tenant, wait_seconds=0):
        result, cursor = tick("pending_erasures")
        assert first.id in result.skip_message and second.id not in result.skip_message
        assert tick("pending_erasures", cursor)[0].skip_message == f"{second.id} is done."


def test_an_erasure_that_has_to_be_trained_for_starts_a_run(site: Site, instance: DagsterInstance, tick: Tick) -> None:
    site.create("apple")
    instance.add_dynamic_partitions("tenants", ["apple"])
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    site.upload("apple", Kind.INTERACTIONS, interactions_csv("a", 2, 2, rows=3), now=long_ago)
    mark_ingested(site.db, APPLE, [u.upload_id for u in list_uploads(site.db, APPLE)], run_id="run-0")
    assert not tick("new_uploads")[0].run_requests
    complete(site, request_erasure(site.db, APPLE, "u", long_ago), long_ago)
    assert [request.partition_key for request in tick("new_uploads")[0].run_requests] == ["apple"]
    mark_retrained(site.db, APPLE, "run-1")
    assert tenants_to_retrain(site.db) == {}
    assert not tick("new_uploads")[0].run_requests


def complete(site: Site, erasure: Erasure, now: datetime) -> None:
    sequence = max(upload.sequence for upload in list_uploads(site.db, erasure.tenant))
    assert forget_user(site.db, erasure, {}, uploads_until=sequence, retrain=True)
    complete_erasure(site.db, erasure, {}, now=now)


def test_a_preview_does_not_tell_who_a_user_is() -> None:
    import polars as pl

    hidden = ["user_id", "session_id", "event_id", "extra_mail", "nickname"]
    frame = pl.DataFrame({**{name: [f"{name} of zoe", None] for name in hidden}, "item_id": ["i1", "i2"], "n": [1, 2]})
    text = preview(frame).value
    assert text is not None and "zoe" not in text and "i1" in text and "•••" in text
    items = preview(pl.DataFrame({"item_id": ["i1"], "title": ["Mug"], "extra_colour": ["red"]})).value
    assert items is not None and "Mug" in items and "red" not in items
