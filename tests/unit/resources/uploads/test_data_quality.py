"""The quality of a tenant's data, from the mart of the last run and the reports of newer uploads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsaas_assets.features.quality_findings import QUESTIONS, findings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake, write_parquet
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.training.readiness import measure_readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload
from resources.uploads.tenant_quality import MART, QualitySummary, TenantQuality, tenant_quality

BLUE = TenantId("blue")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS = "item_id,title,category,price\ni1,Lamp,Light,10\ni2,,,\ni3,Chair,,\n"
INTERACTIONS = "user_id,item_id,interaction_type,timestamp\nana,i1,view,2026-02-27T12:00:00Z\nbo,i9,view,2026-02-27\n"


@pytest.fixture
def lake(tmp_path: Path, db: ControlDb) -> Lake:
    create_tenant(db, BLUE, name="Blue", now=NOW)
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


def upload(lake: Lake, db: ControlDb, kind: Kind, text: str, *, now: datetime = NOW) -> str:
    return store_upload(
        TenantStore(lake, db, BLUE),
        IncomingUpload(kind, text.encode(), filename="a.csv", origin="cli", received_at=now),
        UploadPolicy(TenantSettings(), max_bytes=10**6),
    ).upload_id


def mart_row(upload_id: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "upload_id": upload_id, "kind": kind, "sequence": 1, "created_at": NOW, "rows_total": 10, "rows_accepted": 8,
        "rows_rejected": 1, "rows_duplicate": 1, "rows_current": 7, "unknown_item_share": None, "completeness": 0.5,
        "validity": 0.9, "uniqueness": 8 / 9, "newest_interaction_at": None, "freshness_hours": None,
        "usual_rows": None, "volume_ratio": None, "is_volume_anomaly": False, **more,
    }  # fmt: skip


def measure(lake: Lake, db: ControlDb) -> TenantQuality:
    return tenant_quality(TenantStore(lake, db, BLUE), now=NOW)


def test_before_the_first_run_the_reports_speak(lake: Lake, db: ControlDb) -> None:
    items = upload(lake, db, Kind.ITEMS, ITEMS)
    interactions = upload(lake, db, Kind.INTERACTIONS, INTERACTIONS)
    found = measure(lake, db)
    assert [(u.upload_id, u.source, u.rows_current) for u in found.uploads] == [
        (interactions, "report", None),
        (items, "report", None),
    ]
    assert found.summary == QualitySummary(
        freshness_hours=36,
        completeness_percent=7.14,  # 2 of 14 values of two items, 0 of 10 of two interactions: half of 1/7
        validity_percent=80,
        uniqueness_percent=100,
        unknown_item_percent=50,
        uploads=2,
    )


def test_the_mart_speaks_for_what_it_has_and_reports_for_the_rest(lake: Lake, db: ControlDb) -> None:
    measured = upload(lake, db, Kind.ITEMS, ITEMS)
    newer = upload(lake, db, Kind.INTERACTIONS, INTERACTIONS)
    rows = [
        mart_row(measured, "items", usual_rows=100.0, volume_ratio=0.1, is_volume_anomaly=True),
        mart_row("events", "interactions", created_at=None, newest_interaction_at=NOW - timedelta(hours=1)),
    ]
    write_parquet(lake.tenant(BLUE).dbt / MART, pl.DataFrame(rows))
    found = measure(lake, db)
    assert [(u.upload_id, u.source) for u in found.uploads] == [
        ("events", "pipeline"),
        (newer, "report"),
        (measured, "pipeline"),
    ]
    assert found.uploads[2].rows_current == 7
    assert "10 rows, where 100 are usual. Check that the items export is whole" in found.uploads[2].quality.warnings[-1]
    assert (found.summary.freshness_hours, found.summary.unusual_uploads) == (1, (measured,))


def test_a_mart_of_an_older_version_is_left_aside(lake: Lake, db: ControlDb) -> None:
    items = upload(lake, db, Kind.ITEMS, ITEMS)
    write_parquet(lake.tenant(BLUE).dbt / MART, pl.DataFrame({"upload_id": [items], "kind": ["items"]}))
    assert [u.source for u in measure(lake, db).uploads] == ["report"]


def test_every_question_is_answered_and_a_bad_answer_says_what_to_do(lake: Lake, db: ControlDb) -> None:
    def answers() -> dict[str, str | None]:
        found = findings(measure(lake, db), measure_readiness(TenantStore(lake, db, BLUE)))
        assert [finding.name for finding in found] == list(QUESTIONS)
        return {finding.name: None if finding.passed else finding.description for finding in found}

    empty = answers()
    assert {name for name, answer in empty.items() if answer} == {"data_is_fresh", "enough_to_train"}

    upload(lake, db, Kind.ITEMS, ITEMS)
    upload(lake, db, Kind.INTERACTIONS, INTERACTIONS.replace("2026-02", "2026-01"))
    poor = answers()
    assert "66.7% of the rows of items-" in (poor["data_is_valid"] or "")
    assert "14.3% of the optional values of items-" in (poor["data_is_complete"] or "")
    assert "32 days old" in (poor["data_is_fresh"] or "")
    assert "50.0% of the items of interactions-" in (poor["items_are_known"] or "")
    assert "The data is trainable. For evaluable: 198 more interactions" in (poor["enough_to_train"] or "")
    assert (poor["data_is_unique"], poor["data_volume_is_usual"]) == (None, None)


@pytest.mark.parametrize(
    ("named", "described", "why"),
    [
        ("sku-1", "SKU-1", "case"),
        ("17", "00017", "leading zeros"),
        ("123", "gid://shopify/Product/123", "a prefix"),
        ("17850.0", "17850", "decimals"),
        ("a b", "ab", "blanks"),
    ],
)
def test_ids_that_can_never_match_are_found(lake: Lake, db: ControlDb, named: str, described: str, why: str) -> None:
    folder = lake.tenant(BLUE).dbt
    write_parquet(folder / "stg_items.parquet", pl.DataFrame({"item_id": [described, "i2"]}))
    features = {"item_id": [named, "i2", described, "elsewhere"], "interaction_count": [3, 4, 0, 1]}
    write_parquet(folder / "item_features.parquet", pl.DataFrame(features))
    (unmatched,) = measure(lake, db).unmatched_ids
    assert (unmatched.column, unmatched.count) == ("item_id", 1)
    (pair,) = unmatched.examples
    assert (pair.in_interactions, pair.in_file, pair.differs_by) == (named, described, why)
    finding = {each.name: each for each in findings(measure(lake, db), measure_readiness(TenantStore(lake, db, BLUE)))}
    assert finding["ids_match"].passed is False
    assert f"{named!r} for {described!r}" in finding["ids_match"].description
