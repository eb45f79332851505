"""The whole job, for several tenants in one process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dagster import AssetCheckSeverity, AssetKey, DagsterInstance, Definitions

from recsaas_assets.instance.home import dagster_instance
from resources.base.tenant import TenantId
from resources.control_db.uploads import pending_uploads
from resources.events.log import Event, EventLog
from resources.release.manifest import TABLE_ALGORITHMS
from resources.storage.lake import read_parquet, write_parquet
from resources.training.runs import list_runs
from resources.uploads.contract.columns import Kind
from tests.defs.site import FIRST_DAY, INTERACTION_COLUMNS, Site, interactions_csv, items_csv, open_shop, recsaas_home

APPLE, BERRY = "apple", "berry"
ID_COLUMNS = ("user_id", "item_id")


@pytest.fixture(scope="module")
def shops(shared_site: Site) -> Site:
    """Two tenants, each run once, one after the other in this process."""
    shared_site.create(APPLE, BERRY)
    open_shop(shared_site, APPLE, "a-", seed=1)
    open_shop(shared_site, BERRY, "b-", seed=2)
    for tenant in (APPLE, BERRY):
        outcome = shared_site.run(tenant)
        assert outcome.success, outcome.message
    return shared_site


def ids_in(folder: Path) -> dict[str, set[str]]:
    """Every id in every Parquet file below `folder`, by file."""
    found = {}
    for file in folder.rglob("*.parquet"):
        columns = [name for name in ID_COLUMNS if name in pl.read_parquet_schema(file)]
        values = {value for name in columns for value in pl.read_parquet(file)[name].drop_nulls().to_list()}
        if values:
            found[str(file.relative_to(folder))] = values
    return found


def release_ids(site: Site, tenant: str) -> tuple[set[str], set[str]]:
    version = site.releases(tenant).current()
    assert version is not None
    folder = site.releases(tenant).directory(version)
    users = read_parquet(folder / "user_ids.parquet")["user_id"]
    return set(users), set(read_parquet(folder / "items.parquet")["item_id"])


@pytest.mark.parametrize(("tenant", "own", "other"), [(APPLE, "a-", b"b-u0"), (BERRY, "b-", b"a-u0")])
def test_no_file_of_a_tenant_has_an_id_of_the_other(shops: Site, tenant: str, own: str, other: bytes) -> None:
    root = Path(str(shops.lake(tenant).root))
    found = ids_in(root)
    for part in ("raw", "dbt", "training", "releases"):
        assert any(name.startswith(f"{part}/") for name in found), f"nothing to look at in {part}"
    strangers = {name: {i for i in ids if not i.startswith(own)} for name, ids in found.items()}
    assert {name: ids for name, ids in strangers.items() if ids} == {}
    plain = [path for path in root.rglob("*") if path.suffix in {".json", ".csv", ".md"}]
    assert [path.name for path in plain if other in path.read_bytes()] == []


def test_each_release_serves_its_whole_shop_by_what_is_best_there(shops: Site) -> None:
    for tenant, prefix in ((APPLE, "a-"), (BERRY, "b-")):
        users, items = release_ids(shops, tenant)
        assert len(users) == 80
        assert items == {f"{prefix}i{n:03}" for n in range(24)}
        (summary,) = shops.releases(tenant).list()
        assert summary.manifest is not None
        algorithm, reasons = summary.manifest.algorithm, " ".join(summary.manifest.gate.reasons)
        assert algorithm in ("lightgcn", *TABLE_ALGORITHMS)
        assert (algorithm in TABLE_ALGORITHMS) == (f"Served by {algorithm}, which is surely ahead" in reasons)
        assert {upload.kind for upload in summary.manifest.uploads} == {"items", "users", "interactions"}


def test_each_release_knows_what_goes_together_and_when_items_came(shops: Site) -> None:
    for tenant in (APPLE, BERRY):
        (summary,) = shops.releases(tenant).list()
        assert summary.manifest is not None and summary.manifest.bundles is not None
        folder = shops.releases(tenant).directory(summary.version)
        assert len(np.load(str(folder / "bundle_prior.npy"))) == 24
        assert len(np.load(str(folder / "bundle_items.npy"))) == summary.manifest.bundles.pairs
        assert read_parquet(folder / "items.parquet")["listed_at"].null_count() == 0


def test_metadata_and_checks_are_of_the_partition(shops: Site, definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    with dagster_instance(shops.settings) as instance:
        for tenant in (APPLE, BERRY):
            rows = {key.to_user_string(): metadata_of(instance, key, tenant) for key in graph.get_all_asset_keys()}
            assert [name for name, metadata in rows.items() if not metadata] == []
            assert rows["raw_items"]["dagster/row_count"] == 24
            assert rows["stg_items"]["dagster/row_count"] == 24
            assert rows["release"]["live"] is True
            assert rows["release"]["version"] == shops.releases(tenant).current()
        run_ids = {tenant: list_runs(shops.db, TenantId(tenant))[-1].run_id for tenant in (APPLE, BERRY)}
        for tenant, run_id in run_ids.items():
            evaluations = [
                entry.dagster_event.asset_check_evaluation_data
                for entry in instance.all_logs(run_id)
                if entry.dagster_event is not None and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
            ]
            assert {evaluation.asset_check_key for evaluation in evaluations} == set(graph.asset_check_keys)
            assert {evaluation.partition for evaluation in evaluations} == {tenant}
            failed = {evaluation.check_name for evaluation in evaluations if not evaluation.passed}
            assert failed == {"data_is_complete", "data_is_fresh", "enough_to_train"}, "an old and small shop is warned"
            assert all(e.severity is AssetCheckSeverity.WARN for e in evaluations if not e.passed)


def metadata_of(instance: DagsterInstance, key: AssetKey, tenant: str) -> dict[str, object]:
    for record in instance.fetch_materializations(key, limit=50).records:
        event = record.asset_materialization
        if event is not None and event.partition == tenant:
            return {name: value.value for name, value in event.metadata.items()}
    return {}


def test_the_same_upload_twice_changes_nothing(shops: Site) -> None:
    before = shops.releases(APPLE).list()
    report = shops.upload(APPLE, Kind.ITEMS, items_csv("a-"))
    assert report.rows_accepted == 24
    assert [upload for upload in pending_uploads(shops.db) if upload.tenant == TenantId(APPLE)] == []
    assert shops.releases(APPLE).list() == before


def test_new_rows_and_tracked_events_make_a_release_that_replaces_the_first(shops: Site) -> None:
    tenant = TenantId(APPLE)
    first, other = shops.releases(APPLE).current(), shops.releases(BERRY).current()
    shops.upload(APPLE, Kind.INTERACTIONS, interactions_csv("a-", rows=120, seed=9))
    events = [
        Event(
            event_id=f"e{n}",
            user_id="a-tracked",
            item_id=None if kind == "impression" else "a-i001",
            interaction_type=kind,
            timestamp=FIRST_DAY + timedelta(days=10, minutes=n),
        )
        for n, kind in enumerate(("view", "purchase", "impression"))
    ]
    stored = EventLog(shops.db).append(tenant, events, now=FIRST_DAY + timedelta(days=11))
    EventLog(shops.db).append(TenantId(BERRY), [events[0]], now=FIRST_DAY)

    outcome = shops.run(APPLE)
    assert outcome.success, outcome.message
    tracked = read_parquet(shops.lake(APPLE).raw("interactions")).filter(pl.col("upload_id") == "events")
    assert tracked.select("event_id", "user_id", "row_number").rows() == [
        (stored[n].event_id, "a-tracked", stored[n].seq) for n in (0, 1)
    ]
    manifest = shops.releases(APPLE).manifest(shops.releases(APPLE).list()[0].version)
    assert manifest.event_watermark == stored[1].seq
    assert manifest.dagster_run_id == outcome.run_id
    assert manifest.replaces == first
    assert shops.releases(APPLE).current() == manifest.version
    assert "a-tracked" in release_ids(shops, APPLE)[0]
    assert shops.releases(BERRY).current() == other


def test_a_tenant_without_interactions_is_told_what_to_upload(shops: Site) -> None:
    shops.create("empty")
    shops.upload("empty", Kind.ITEMS, items_csv("e-"))
    live = shops.releases(BERRY).current()
    outcome = shops.run("empty")
    assert not outcome.success
    assert outcome.failed_step == "training_set"
    assert outcome.message == (
        "Not ready: tenant empty has no interactions to train on. Upload some: recsaas upload empty interactions FILE"
    )
    (record,) = list_runs(shops.db, TenantId("empty"))
    assert (record.status, record.message) == ("failed", outcome.message)
    assert shops.releases("empty").current() is None
    assert shops.releases(BERRY).current() == live


def test_one_interaction_of_one_user_with_one_item_makes_a_release(shops: Site) -> None:
    shops.create("tiny")
    shops.upload("tiny", Kind.INTERACTIONS, f"{INTERACTION_COLUMNS}\nü,☂,view,2026-01-01T00:00:00Z\n")
    outcome = shops.run("tiny")
    assert outcome.success, outcome.message
    assert release_ids(shops, "tiny") == ({"ü"}, {"☂"})


def test_a_blocking_check_holds_back_its_own_tenant_only(
    shops: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tenant's ledger names fewer rows than are stored; the same step then runs for the other tenant."""
    ledger = shops.lake(APPLE).raw("raw_uploads")
    write_parquet(ledger, read_parquet(ledger).with_columns(rows_accepted=pl.lit(0, pl.Int64)))
    live = {tenant: shops.releases(tenant).current() for tenant in (APPLE, BERRY)}
    job = definitions.resolve_job_def("tenant_pipeline")
    selection = [AssetKey(name) for name in ("stg_items", "item_features", "data_quality", "release")]
    with dagster_instance(shops.settings) as instance, recsaas_home(shops.home):
        results = {
            tenant: job.execute_in_process(
                instance=instance, partition_key=tenant, asset_selection=selection, raise_on_error=False
            )
            for tenant in (APPLE, BERRY)
        }
    failed = [e for e in results[APPLE].get_asset_check_evaluations() if not e.passed]
    assert not results[APPLE].success
    assert {(e.partition, e.blocking) for e in failed} == {(APPLE, True)}
    assert shops.releases(APPLE).current() == live[APPLE]
    assert results[BERRY].success
    assert len(shops.releases(BERRY).list()) == 2


def test_one_asset_alone_and_no_partition(shops: Site, definitions: Definitions) -> None:
    """What the UI starts when a person chooses one asset."""
    job = definitions.resolve_job_def("tenant_pipeline")
    with dagster_instance(shops.settings) as instance, recsaas_home(shops.home):
        one = [AssetKey("raw_items")]
        alone = job.execute_in_process(instance=instance, partition_key=BERRY, asset_selection=one)
        homeless = job.execute_in_process(instance=instance, asset_selection=one, raise_on_error=False)
    assert [event.asset_key for event in alone.get_asset_materialization_events()] == one
    assert not homeless.success
