"""What an earlier version has stored and no way in takes today: the next run goes on without it, and says so.

Each value here has stopped a tenant's runs for good once. tests/hostile/test_poisoned_tenants.py looks for more.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from dagster import AssetKey

from recsaas_assets.instance.home import dagster_instance
from resources.base.tenant import TenantId
from resources.control_db.items import ItemEdit, append_item_changes
from resources.control_db.tenants import get_tenant
from resources.events.log import Event, EventLog
from resources.storage.lake import read_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.tenant_quality import tenant_quality
from tests.defs.site import FIRST_DAY, INTERACTION_COLUMNS, Site, interactions_csv, open_shop
from tests.hostile.poison import edit_rows, put_rule, put_settings

SHOP = "poisoned"
SETTINGS: dict[str, Any] = {
    "interaction_types": {"bought": "purchased", "gesehen": "view"},
    "rating_max": 1e308,
    "weights": {"view": math.nan, "cap": 1e308, "click": 2.5, "bid": 1},
    "training": {
        "model_type": "svd",
        "search_minutes": math.inf,
        "hyperparameters": {"learning_rate": 1e308, "half_life_days": 1e-300, "dim": 8, "no_such_one": 1},
    },
}


@pytest.fixture(scope="module")
def recovered(shared_site: Site) -> Site:
    """A shop with everything at once, after one run."""
    site = shared_site
    site.create(SHOP)
    open_shop(site, SHOP, "")
    edit_rows(site, SHOP, Kind.INTERACTIONS, _bad_interactions)
    edit_rows(site, SHOP, Kind.ITEMS, _bad_items)
    when = FIRST_DAY + timedelta(days=2)
    events = [
        Event(event_id="typo", user_id="u001", item_id="i001", interaction_type="purchased", timestamp=when),
        Event(event_id="back", user_id="u001", item_id="i003", interaction_type="view", quantity=-1, timestamp=when),
        Event(
            event_id="far", user_id="u001", item_id="i005", interaction_type="view", timestamp=when.replace(year=2300)
        ),
    ]
    EventLog(site.db).append(TenantId(SHOP), events, now=when)
    edits = [
        ("i010", "put", {"title": 5, "price": "cheap"}),
        ("i011", "upsert", {}),
        ("i012", "patch", {"price": 1e999}),
    ]
    for item, action, fields in edits:
        append_item_changes(site.db, TenantId(SHOP), [ItemEdit(item, action, fields)], now=when)  # type: ignore[arg-type]
    put_rule(site, SHOP, "sink", {"kind": "sink", "target": {"item_ids": ["i001"]}})
    put_settings(site, SHOP, SETTINGS)
    outcome = site.run(SHOP)
    assert outcome.success, outcome
    return site


def _far(when: datetime) -> datetime:
    return when.replace(year=2300)


def _bad_interactions(frame: pl.DataFrame) -> pl.DataFrame:
    times = [*frame["timestamp"][:2], None, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)]
    return frame.with_columns(_first(frame, "interaction_type", ["purchased", None]), _first(frame, "timestamp", times))


def _bad_items(frame: pl.DataFrame) -> pl.DataFrame:
    prices = [1.0, 1.0, math.nan, -5.0]
    return frame.with_columns(_first(frame, "title", [None, " "]), _first(frame, "price", prices))


def _first(frame: pl.DataFrame, column: str, values: list[Any]) -> pl.Series:
    """The column with other values in its first rows."""
    return pl.Series(column, [*values, *frame[column][len(values) :]], dtype=frame.schema[column], strict=False)


def test_the_run_ends_well_without_what_it_cannot_use(recovered: Site) -> None:
    assert recovered.releases(SHOP).current() is not None
    settings = get_tenant(recovered.db, TenantId(SHOP)).settings
    assert settings.interaction_types == {"gesehen": "view"}
    assert (settings.weights.click, settings.weights.view, settings.weights.cap) == (2.5, 1, 10)
    assert settings.training.hyperparameters == {"dim": 8}


def test_every_row_that_is_left_out_has_its_reason(recovered: Site) -> None:
    rejected = read_parquet(recovered.lake(SHOP).dbt / "stg_rejected.parquet")
    reasons = {(kind, reason): n for kind, reason, n in rejected.group_by("kind", "reason").len().rows()}
    assert reasons == {
        ("items", "title.empty"): 3,  # two lines of the file, and the item that was put without a title
        ("items", "price.not_a_number"): 1,
        ("items", "price.negative"): 1,
        ("interactions", "interaction_type.unknown"): 3,
        ("interactions", "timestamp.not_a_time"): 1,
        ("interactions", "timestamp.before_1990"): 1,
        ("interactions", "timestamp.in_the_future"): 2,
        ("interactions", "quantity.negative"): 1,
    }
    quality = tenant_quality(TenantStore(recovered.whole_lake, recovered.db, TenantId(SHOP)), now=datetime.now(UTC))
    left_out = {upload.kind if upload.created_at else "events": upload.rows_left_out for upload in quality.uploads}
    assert (left_out["events"], left_out[Kind.USERS], left_out[Kind.INTERACTIONS]) == (3, 0, 5)


def test_the_run_says_what_it_did_without(recovered: Site) -> None:
    with dagster_instance(recovered.settings) as instance:
        told = {
            key: instance.get_latest_materialization_event(AssetKey(key)).asset_materialization.metadata  # type: ignore[union-attr]
            for key in ("raw_items", "raw_uploads", "stg_rejected")
        }
    assert told["raw_items"]["unusable_item_changes"].value == 3
    unusable = str(told["raw_uploads"]["unusable"].value)
    for name in (
        "interaction_types.bought",
        "weights.view",
        "weights.cap",
        "training.model_type",
        "learning_rate",
        "sink",
    ):
        assert name in unusable
    assert "interaction_type.unknown" in str(told["stg_rejected"]["reasons"].value)


@pytest.mark.parametrize(
    "lines",
    [
        ["u,i,dislike,2026-01-01T00:00:00Z,,", "v,j,dislike,2026-01-02T00:00:00Z,,"],
        ["u,i,purchase,2026-01-01T00:00:00Z,,1", "u,i,purchase,2026-01-02T00:00:00Z,,-1"],
    ],
    ids=["dislikes", "everything came back"],
)
def test_data_that_say_nothing_end_in_not_ready(site: Site, lines: list[str]) -> None:
    site.create("nothing")
    site.upload("nothing", Kind.INTERACTIONS, "\n".join([f"{INTERACTION_COLUMNS},rating,quantity", *lines, ""]))
    outcome = site.run("nothing")
    assert not outcome.success
    assert (outcome.message or "").startswith("Not ready: no interaction says that anybody likes anything")


def test_ratings_next_to_nothing_and_all_at_one_time_train(site: Site) -> None:
    """A signal that is above 0 and nothing in single precision was a pair to one check and none to another."""
    site.create("ratings")
    head, *rows = interactions_csv("", users=20, items=8, rows=120).splitlines()
    small = [
        f"{','.join(row.split(',')[:2])},rating,2026-01-01T00:00:00Z,{'1e-300' if n % 2 else '10'}"
        for n, row in enumerate(rows)
    ]
    put_settings(site, "ratings", {"weights": {"rating_min": 0}})
    site.upload("ratings", Kind.INTERACTIONS, "\n".join([f"{head},rating", *small, ""]))
    outcome = site.run("ratings")
    assert outcome.success, outcome
