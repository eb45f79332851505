"""Items by file and by API, through raw items, dbt and release, to what is laid over the release."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from dagster import AssetKey, Definitions

from recsaas_assets.instance.home import dagster_instance
from resources.base.tenant import TenantId
from resources.control_db.items import (
    Action,
    ItemEdit,
    append_item_changes,
    last_item_change,
    list_item_changes,
    pending_item_changes,
)
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.recommendations.tenant_state import TenantState
from resources.release.load import LoadedRelease, load_release
from resources.storage.lake import read_parquet
from resources.uploads.contract.columns import Kind
from tests.defs.site import Site, open_shop, recsaas_home

APPLE, BERRY = TenantId("apple"), TenantId("berry")


def change(site: Site, tenant: TenantId, action: Action, item_id: str, **fields: str | float | bool | None) -> int:
    return append_item_changes(site.db, tenant, [ItemEdit(item_id, action, fields)], now=datetime.now(UTC)).last_seq


def live(site: Site, tenant: TenantId) -> LoadedRelease:
    version = site.releases(str(tenant)).current()
    assert version is not None
    return load_release(site.releases(str(tenant)).directory(version))


def overlay(site: Site, tenant: TenantId) -> ItemOverlay:
    return TenantState.load(site.db, tenant, live(site, tenant)).overlay


def prices(release: LoadedRelease, *item_ids: str) -> list[float | None]:
    return [release.catalogue.card(release.item_rows[item_id]).price for item_id in item_ids]


def in_catalogue(release: LoadedRelease, item_id: str) -> bool:
    return bool(release.catalogue.in_catalogue[release.item_rows[item_id]])


@pytest.fixture(scope="module")
def shop(shared_site: Site) -> Site:
    """A shop that changed items before its first run, and between two files of items."""
    site = shared_site
    site.create(str(APPLE), str(BERRY))
    open_shop(site, str(APPLE), "a-")
    change(site, APPLE, "patch", "a-i001", price=111.0)
    change(site, APPLE, "patch", "a-i002", price=222.0, title="Changed before the file")
    change(site, APPLE, "delete", "a-i003")
    change(site, APPLE, "delete", "a-i004")
    change(site, APPLE, "put", "a-new", title="New", category="left", price=5.0, available=True)
    header = "item_id,title,category,price\n"
    rows = "a-i002,From the file,right,2.5\na-i004,Item 4,right,5.50\na-i005,Item 5,left,6.50\n"
    assert site.upload(str(APPLE), Kind.ITEMS, header + rows).rows_accepted == 2  # item 5 says nothing new
    change(site, APPLE, "patch", "a-i004", available=False)
    change(site, BERRY, "put", "a-i001", title="Another shop's", price=1.0)
    outcome = site.run(str(APPLE))
    assert outcome.success, outcome.message
    return site


def test_the_later_acknowledgement_wins_in_the_release(shop: Site) -> None:
    release = live(shop, APPLE)
    assert prices(release, "a-i001", "a-i002", "a-i004", "a-new") == [111.0, 2.5, 5.5, 5.0]
    cards = {name: release.catalogue.card(release.item_rows[name]).title for name in ("a-i001", "a-i002")}
    assert cards == {"a-i001": "Item 1", "a-i002": "From the file"}
    assert not in_catalogue(release, "a-i003")
    assert in_catalogue(release, "a-i004") and not release.catalogue.available[release.item_rows["a-i004"]]
    stored = read_parquet(shop.lake(str(APPLE)).dbt / "stg_items.parquet")
    assert stored.filter(pl.col("upload_id") == "item_changes")["item_id"].sort().to_list() == [
        "a-i001",
        "a-i004",
        "a-new",
    ]


def test_what_the_release_has_is_laid_over_it_no_more(shop: Site) -> None:
    release = live(shop, APPLE)
    assert release.manifest.item_watermark == list_item_changes(shop.db, APPLE)[-1].seq
    assert not overlay(shop, APPLE)
    assert [pending.tenant for pending in pending_item_changes(shop.db)] == [BERRY]


def test_changes_since_the_release_are_laid_over_it_until_the_next_one(shop: Site) -> None:
    first = shop.releases(str(APPLE)).current()
    change(shop, APPLE, "patch", "a-i001", price=1.25)
    change(shop, APPLE, "delete", "a-new")
    over = overlay(shop, APPLE)
    assert over.closed == {"a-new"}
    assert {item_id: (item.given, item.price) for item_id, item in over.opened.items()} == {
        "a-i001": (frozenset({"price"}), 1.25)
    }
    outcome = shop.run(str(APPLE))
    assert outcome.success, outcome.message
    second = live(shop, APPLE)
    assert second.version != first
    assert prices(second, "a-i001") == [1.25]
    assert "a-new" not in second.item_rows or not in_catalogue(second, "a-new")
    assert not overlay(shop, APPLE)

    # Going back shows the old release with what has changed since it, and nothing from before it.
    assert first is not None
    shop.releases(str(APPLE)).promote(first, datetime.now(UTC), "test")
    assert (overlay(shop, APPLE).closed, set(overlay(shop, APPLE).opened)) == ({"a-new"}, {"a-i001"})
    shop.releases(str(APPLE)).promote(second.version, datetime.now(UTC), "test")


def test_a_release_never_claims_a_change_that_its_catalogue_does_not_have(shop: Site, definitions: Definitions) -> None:
    """A person writes raw items again, and then a release, without the steps in between."""
    before = live(shop, APPLE)
    change(shop, APPLE, "patch", "a-i001", price=7.75)
    job = definitions.resolve_job_def("tenant_pipeline")
    with dagster_instance(shop.settings) as instance, recsaas_home(shop.home):
        for name in ("raw_items", "release"):
            done = job.execute_in_process(
                instance=instance, partition_key=str(APPLE), asset_selection=[AssetKey(name)], raise_on_error=False
            )
            assert done.success, name
    release = live(shop, APPLE)
    assert prices(release, "a-i001") == prices(before, "a-i001")
    assert release.manifest.item_watermark <= before.manifest.item_watermark < last_item_change(shop.db, APPLE)
    assert overlay(shop, APPLE).opened["a-i001"].price == 7.75


def test_a_shop_without_a_catalogue_keeps_a_deleted_item_out(shop: Site) -> None:
    """Its releases serve every id that was interacted with."""
    tenant = TenantId("idsonly")
    shop.create(str(tenant))
    rows = "".join(f"u{n % 2},i{n},view,2026-01-0{n + 1}T00:00:00Z\n" for n in range(4))
    shop.upload(str(tenant), Kind.INTERACTIONS, f"user_id,item_id,interaction_type,timestamp\n{rows}")
    change(shop, tenant, "delete", "i2")
    outcome = shop.run(str(tenant))
    assert outcome.success, outcome.message
    release = live(shop, tenant)
    assert "i2" in release.item_rows and release.manifest.item_watermark > 0
    assert overlay(shop, tenant).closed == {"i2"}
