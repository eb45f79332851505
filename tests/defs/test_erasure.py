"""A user is erased from everything that real runs made, and the next run trains without them."""

from __future__ import annotations

from datetime import UTC, datetime

from resources.base.tenant import TenantId
from resources.erasure.export import export_user
from resources.erasure.perform import perform_erasure
from resources.events.log import Event, EventLog
from resources.jobs.kinds.erasures import get_erasure, request_erasure, tenants_to_retrain
from resources.release.load import load_release
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from tests.defs.site import FIRST_DAY, Site, interactions_csv, items_csv
from tests.unit.resources.erasure.world import World, bytes_with

APPLE = TenantId("apple")
ZOE = "Zoë/erase me"


def test_a_user_leaves_every_artifact_of_a_run_and_stays_away(site: Site) -> None:
    site.create("apple")
    site.upload("apple", Kind.ITEMS, items_csv("a-", 6))
    csv = interactions_csv("a-", 8, 6, rows=60)
    site.upload("apple", Kind.INTERACTIONS, csv + f"{ZOE},a-i001,view,2026-01-02T00:00:00Z\n")
    site.upload("apple", Kind.USERS, f"user_id,town\n{ZOE},Ulm\na-u001,Bonn\n")
    event = Event(event_id="e1", user_id=ZOE, item_id="a-i002", interaction_type="like", timestamp=FIRST_DAY)
    EventLog(site.db).append(APPLE, [event], now=FIRST_DAY)
    assert site.run("apple").success
    world = World(site.home, site.whole_lake, site.db, APPLE)
    found = export_user(TenantStore(site.whole_lake, site.db, APPLE), world.decisions, ZOE, now=FIRST_DAY)
    assert found.in_training_set and len(found.releases) == 1 and set(found.seen_items) == {"a-i001", "a-i002"}
    assert {"stg_interactions", "stg_users", "user_features", "interaction_weights"} <= set(found.features)

    assert "control.db-wal" in bytes_with(site.home, ZOE)
    asked = request_erasure(site.db, APPLE, ZOE, datetime.now(UTC))
    certificate = perform_erasure(site.whole_lake, site.db, world.decisions, asked, datetime.now(UTC), home=site.home)
    assert world.places_with(ZOE) == []
    assert bytes_with(site.home, ZOE) == {}, "neither a database nor a log of Dagster or dbt names the user"
    places = {finding.place for finding in certificate.found}
    assert {"training", "model", "raw/interactions.parquet", "raw/users.parquet", "dbt/user_features.parquet"} <= places
    assert {tenant: erasure.id for tenant, erasure in tenants_to_retrain(site.db).items()} == {APPLE: asked.id}

    again = site.run("apple")
    assert again.success, again.message
    assert (world.places_with(ZOE), bytes_with(site.home, ZOE)) == ([], {})
    assert get_erasure(site.db, APPLE, asked.id).retrained_run == again.run_id
    live = site.releases("apple").current()
    assert live is not None
    release = load_release(site.releases("apple").directory(live))
    assert release.manifest.derived_from is None
    assert len(release.user_rows) == 8 and ZOE not in release.user_rows
