"""Runs of a tenant whose upload was withdrawn, or is more than a run can work with."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from resources.base.tenant import TenantId
from resources.control_db.uploads import get_upload, list_uploads
from resources.decisions.store import open_decisions
from resources.storage.lake import read_parquet
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.lineage import trace_upload
from resources.uploads.tenant_quality import tenant_quality
from resources.uploads.withdraw import withdraw
from tests.defs.site import Site, items_csv, open_shop, users_csv

BLUE = TenantId("blue")


def model(site: Site, name: str) -> pl.DataFrame:
    return read_parquet(site.lake("blue").dbt / f"{name}.parquet")


def test_a_run_after_a_withdrawal_is_without_its_rows_and_says_so(site: Site) -> None:
    site.create("blue")
    open_shop(site, "blue", "b")
    wrong = site.upload("blue", Kind.USERS, "user_id,country\nghost,XX\nbu001,XX\n")
    assert site.run("blue").success
    assert set(model(site, "stg_users")["user_id"]) >= {"ghost", "bu001"}
    withdraw(site.db, BLUE, wrong.upload_id, now=datetime.now(UTC))
    assert site.run("blue").success
    users = model(site, "stg_users").filter(pl.col("user_id").is_in(["ghost", "bu001"]))
    assert users.select("user_id", "attributes").rows() == [("bu001", '{"extra_country":"DE"}')]
    assert wrong.upload_id not in set(model(site, "data_quality")["upload_id"])
    record = get_upload(site.db, BLUE, wrong.upload_id)
    assert record.ingested_run != record.left_out_run is not None
    decisions = open_decisions(site.settings.decisions_url)
    trace = trace_upload(TenantStore(site.whole_lake, site.db, BLUE), decisions, wrong.upload_id)
    decisions.close()
    assert (trace.rows_current, len(trace.releases), trace.live) == (0, 1, False)


def test_a_run_sets_aside_what_is_over_the_limit_and_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.create("blue")
    open_shop(site, "blue", "b")
    giant = site.upload("blue", Kind.USERS, users_csv("x", users=900))
    monkeypatch.setenv("RECSAAS_MAX_TENANT_ROWS", "1500")
    outcome = site.run("blue")
    assert outcome.success, outcome
    assert site.releases("blue").current() is not None
    assert not set(model(site, "stg_users")["user_id"]) & {"xu001", "xu899"}
    record = get_upload(site.db, BLUE, giant.upload_id)
    assert record.set_aside_reason is not None
    assert "RECSAAS_MAX_TENANT_ROWS" in record.set_aside_reason
    (aside,) = tenant_quality(TenantStore(site.whole_lake, site.db, BLUE), now=datetime.now(UTC)).set_aside
    assert (aside.upload_id, aside.reason) == (giant.upload_id, record.set_aside_reason)
    assert [each.upload_id for each in list_uploads(site.db, BLUE) if each.set_aside_at] == [giant.upload_id]


def test_a_model_with_room_for_few_keeps_the_most_active(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.create("blue")
    open_shop(site, "blue", "b")
    invented = "\n".join(f"once{n},ghost{n},view,2026-01-02T00:00:00Z" for n in range(300))
    site.upload("blue", Kind.INTERACTIONS, f"user_id,item_id,interaction_type,timestamp\n{invented}\n")
    monkeypatch.setenv("RECSAAS_MAX_TRAINING_USERS", "80")
    monkeypatch.setenv("RECSAAS_MAX_TRAINING_ITEMS", "24")
    outcome = site.run("blue")
    assert outcome.success, outcome
    users = read_parquet(site.lake("blue").training / "users.parquet")["user_id"]
    items = read_parquet(site.lake("blue").training / "items.parquet")["item_id"]
    assert (len(users), len(items)) == (80, 24)
    assert not [each for each in (*users, *items) if each.startswith(("once", "ghost"))]
    assert items_csv("b").count("\n") == 25
