"""A tenant is stopped in the middle of a run, goes on, moves to another installation, and is erased, all for real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import DagsterInstance, Definitions, SensorResult, build_sensor_context

from recsaas_assets.instance.home import RunOutcome, dagster_instance
from recsaas_assets.runs.tenant_history import DagsterHistory
from resources import dagster_resources
from resources.access.actor import SYSTEM
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.items import ItemEdit, append_item_changes
from resources.control_db.tenants import resume_tenant, suspend_tenant
from resources.control_db.uploads import list_uploads
from resources.dagster_resources import PlatformResource
from resources.events.log import Event, EventLog
from resources.ranker.live import live_ranker
from resources.recommendations.batch import ListsOfAll, recommend_all
from resources.release.store import ReleaseStore
from resources.storage.lake import scan_parquet
from resources.stores.tenant_store import TenantStore
from resources.tenancy import erasing
from resources.tenancy.erasing import certificate_of_tenant, request_tenant_erasure
from resources.tenancy.exporting import export_tenant
from resources.tenancy.importing import import_tenant
from resources.training.runs import STOPPED, list_runs
from tests.defs.site import FIRST_DAY, Site, open_shop
from tests.postgresql.server import PostgresServer

EVENTS_AT = FIRST_DAY + timedelta(days=80)
BLUE, GREEN = TenantId("blue"), TenantId("green")


def tick(site: Site, instance: DagsterInstance, definitions: Definitions, name: str, cursor: str | None = None) -> Any:
    resources = {"platform": PlatformResource(home=str(site.home))}
    with build_sensor_context(instance=instance, resources=resources, cursor=cursor) as context:
        return definitions.resolve_sensor_def(name)(context)


def requested(result: Any) -> list[str]:
    return [str(each.partition_key) for each in result.run_requests or []] if isinstance(result, SensorResult) else []


@pytest.mark.parametrize("at", ["tracked_events", "training_set", "release"])
def test_a_run_ends_with_its_tenant_and_begins_again_with_it(
    site: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """It ends at the next stage, and nothing goes live; what it had taken in is not forgotten."""
    monkeypatch.setenv("RECSAAS_UPLOAD_SETTLE_SECONDS", "0")
    site.create("blue")
    open_shop(site, "blue", "b")
    noted = dagster_resources.note_stage

    def note_stage(db: ControlDb, tenant: TenantId, run_id: str, name: str, *, now: datetime) -> None:
        noted(db, tenant, run_id, name, now=now)
        if name == at:
            suspend_tenant(db, tenant, reason="Unpaid")

    with monkeypatch.context() as patch:
        patch.setattr(dagster_resources, "note_stage", note_stage)
        with pytest.raises(KeyboardInterrupt):  # as if a person had interrupted `recsaas run`
            site.run("blue")
    (run,) = list_runs(site.db, BLUE)
    assert (run.status, run.message) == ("cancelled", STOPPED)
    assert site.releases("blue").pointer() is None
    with dagster_instance(site.settings) as instance:
        assert requested(tick(site, instance, definitions, "new_uploads")) == []
        resume_tenant(site.db, BLUE)
        assert requested(tick(site, instance, definitions, "new_uploads")) == ["blue"]
    assert site.run("blue").success
    assert site.releases("blue").pointer() is not None
    with dagster_instance(site.settings) as instance:
        assert requested(tick(site, instance, definitions, "new_uploads")) == []


def test_nothing_is_exported_for_a_suspended_tenant_before_it_goes_on(site: Site, definitions: Definitions) -> None:
    site.create("blue", "green")
    for tenant in (BLUE, GREEN):
        event = Event(event_id="e", user_id="u", item_id="i", interaction_type="view", timestamp=FIRST_DAY)
        EventLog(site.db).append(tenant, [event], now=FIRST_DAY)
    suspend_tenant(site.db, BLUE)
    with DagsterInstance.ephemeral() as instance:
        tick(site, instance, definitions, "event_export")
        assert not site.lake("blue").events.exists() and site.lake("green").events.exists()
        resume_tenant(site.db, BLUE)
        tick(site, instance, definitions, "event_export")
    assert site.lake("blue").events.exists()


def test_an_erased_tenant_is_gone_from_dagster_as_well(
    site: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "SETTLE", timedelta())
    site.create("blue", "green")
    for tenant in ("blue", "green"):
        open_shop(site, tenant, tenant[0])
        assert site.run(tenant).success
    with dagster_instance(site.settings) as instance:
        tick(site, instance, definitions, "event_export")
        history = DagsterHistory(instance)
        before = {tenant: history.count(tenant) for tenant in (BLUE, GREEN)}
        assert min(before.values()) > 2
        request_tenant_erasure(
            site.db, BLUE, by=SYSTEM, reason=None, grace=timedelta(), at_once=False, now=datetime.now(UTC)
        )
        assert "is done" in str(tick(site, instance, definitions, "tenant_erasures").skip_message)
        assert (history.count(BLUE), history.count(GREEN)) == (0, before[GREEN])
        assert "No tenant" in str(tick(site, instance, definitions, "tenant_erasures").skip_message)
        mirrored = tick(site, instance, definitions, "tenant_mirror")
        assert not isinstance(mirrored, SensorResult)  # it is not made anew
    certificate = certificate_of_tenant(site.db, BLUE)
    assert {place.place: place.found for place in certificate.places}[history.name] == before[BLUE]
    assert files_with(site.home, b"bu0", b"bi0") == []
    assert site.run("green").success


def files_with(home: Path, *needles: bytes) -> list[str]:
    """Files below `home` in which the ids of the shop's users or items still stand."""
    return sorted(
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    )


@dataclass(frozen=True)
class Installation(Site):
    """One whose control DB may lie elsewhere."""

    database: str = ""

    def run(self, tenant: str) -> RunOutcome:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("RECSAAS_DATABASE", self.database)
            return Site.run(self, tenant)


@pytest.fixture
def installations(
    template: Path, tmp_path: Path, request: pytest.FixtureRequest, definitions: Definitions
) -> Iterator[list[Installation]]:
    """On SQLite, on PostgreSQL, and on SQLite again."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    urls = [f"sqlite:///{tmp_path}/0.db", server.url(server.database()), f"sqlite:///{tmp_path}/2.db"]
    made = []
    for number, url in enumerate(urls):
        home = tmp_path / f"home-{number}"
        shutil.copytree(template, home, ignore=shutil.ignore_patterns("work", "logs"))
        site = Installation(home, url)
        object.__setattr__(site, "db", open_control_db(url))
        made.append(site)
    yield made
    for site in made:
        site.db.close()


def track(site: Site, tenant: TenantId, *users: str) -> list[int]:
    events = [
        Event(event_id=user, user_id=user, item_id="bi003", interaction_type="purchase", timestamp=EVENTS_AT)
        for user in users
    ]
    return [each.seq for each in EventLog(site.db).append(tenant, events, now=datetime.now(UTC))]


def lists(site: Site) -> pl.DataFrame:
    ranker = live_ranker(site.whole_lake, BLUE)
    frames = recommend_all(site.db, BLUE, ranker, ListsOfAll(8), now=datetime.now(UTC))
    return pl.concat(list(frames)).sort("user_id", "rank")


def trained_rows(site: Site) -> pl.DataFrame:
    raw = scan_parquet([site.lake("blue").raw("interactions")]).collect()
    return raw.select("user_id", "item_id", "interaction_type", "timestamp", "upload_id").sort(pl.all())


@pytest.mark.e2e
@pytest.mark.postgresql
def test_a_trained_tenant_moves_to_postgresql_and_back(installations: list[Installation]) -> None:
    first = installations[0]
    first.create("green", "blue")
    track(first, GREEN, *(f"g{n}" for n in range(20)))
    open_shop(first, "blue", "b")
    track(first, BLUE, "bu001", "bu002")
    assert first.run("blue").success
    track(first, BLUE, "bu003", "newcomer")  # after the release: answers take them in
    append_item_changes(first.db, BLUE, [ItemEdit("bi005", "patch", {"available": False})], now=datetime.now(UTC))
    for number, there in enumerate(installations[1:], start=1):
        here = installations[number - 1]
        there.create("other")
        track(there, TenantId("other"), *(f"o{n}" for n in range(100 * number)))
        file = there.home / "blue.tar.gz"
        quiet = lambda what, share: None  # noqa: E731
        store = TenantStore(here.whole_lake, here.db, BLUE)
        export_tenant(store, file, now=datetime.now(UTC), told=quiet)
        import_tenant(there.whole_lake, there.db, file, as_id=None, by=SYSTEM, now=datetime.now(UTC), told=quiet)
        assert lists(there).equals(lists(here)) and lists(there).height > 500
        assert ReleaseStore(there.lake("blue")).pointer() == ReleaseStore(here.lake("blue")).pointer()
        newest = EventLog(there.db).last_seq(BLUE)
        (later,) = track(there, BLUE, f"later-{number}")
        assert later > newest
        track(here, BLUE, f"later-{number}")
        assert here.run("blue").success and there.run("blue").success
        assert trained_rows(there).equals(trained_rows(here)) and trained_rows(there).height > 900
        assert fingerprint(there) == fingerprint(here)
        assert {u.ingested_run for u in list_uploads(there.db, BLUE)} == {
            u.ingested_run for u in list_uploads(here.db, BLUE)
        }


def fingerprint(site: Site) -> str:
    store = site.releases("blue")
    return store.manifest(store.live_version()).training_set_fingerprint
