"""A small shop, built for real; every expected value is worked out by hand."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsaas_assets.features.dbt_runner import DbtResult, run_dbt
from resources.storage.lake import TenantLake, read_parquet
from resources.tenants.settings import InteractionWeights, TenantSettings
from resources.uploads.contract.quality import volume_of

MODELS = {
    "stg_items": 13,
    "stg_users": 5,
    "stg_interactions": 13,
    "stg_rejected": 5,
    "int_interaction_signals": 6,
    "int_kept_lines": 11,
    "int_sessions": 9,
    "user_features": 18,
    "item_features": 16,
    "popular_items": 7,
    "interaction_weights": 5,
    "data_quality": 22,
}


def event(user: str, item: str, kind: str, when: datetime, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "interaction_type": kind, "timestamp": when, "upload_id": "log", **more}


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, target_dir: Path, make_tenant: Any) -> TenantLake:
    lake = make_tenant(
        tmp_path_factory.mktemp("shop"),
        items=[
            {"item_id": "lamp", "title": "Old lamp", "price": 5.0, "available": True, "upload_id": "i1",
             "row_number": 2},
            {"item_id": "lamp", "title": "Lampe 'Ü'", "category": "Licht", "price": 10.0, "available": True,
             "upload_id": "i2", "row_number": 2},
            {"item_id": "椅子 🪑", "title": "Chair", "category": "座", "price": 40.0, "available": False,
             "upload_id": "i1", "row_number": 3},
        ],
        users=[{"user_id": "Zoë", "extra_country": "BE", "upload_id": "u1", "row_number": 2}],
        interactions=[
            event("ana", "lamp", "view", day(1), row_number=2),
            event("ana", "lamp", "view", day(1), row_number=3),  # the same moment again
            event("ana", "lamp", "purchase", day(1, 13), price=10.0, quantity=3.0, row_number=4),
            event("ana", "椅子 🪑", "rating", day(31), rating=5.0, row_number=5),
            event("bo", "lamp", "click", day(31), event_id="e1", row_number=6),
            event("bo", "lamp", "click", day(30), event_id="e1", row_number=7),  # a retry
            event("bo", "椅子 🪑", "purchase", day(2), row_number=8),
            event("bo", "椅子 🪑", "dislike", day(3), row_number=9),
            event("bo", "not in the catalogue", "like", day(31), row_number=10),
        ],
        uploads=[
            {"upload_id": "i1", "kind": "items", "sequence": 1, "created_at": day(1), "rows_accepted": 2,
             "rows_rejected": 6, "rows_duplicate": 0},
            {"upload_id": "i2", "kind": "items", "sequence": 2, "created_at": day(2), "rows_accepted": 1,
             "rows_rejected": 0, "rows_duplicate": 0},
            {"upload_id": "u1", "kind": "users", "sequence": 3, "created_at": day(2), "rows_accepted": 1,
             "rows_rejected": 0, "rows_duplicate": 0},
            {"upload_id": "log", "kind": "interactions", "sequence": 4, "created_at": day(31), "rows_accepted": 9,
             "rows_rejected": 0, "rows_duplicate": 0},
        ],
        settings=TenantSettings(weights=InteractionWeights(purchase=7.0, cap=7.5)),
    )  # fmt: skip
    run_dbt(["build", "--exclude-resource-type", "unit_test"], tenant_lake=lake, target_dir=target_dir)
    return lake


def rows(lake: TenantLake, model: str, *key: str) -> dict[Any, dict[str, Any]]:
    frame = read_parquet(lake.dbt / f"{model}.parquet")
    return {tuple(r[k] for k in key) if len(key) > 1 else r[key[0]]: r for r in frame.to_dicts()}


def test_the_latest_upload_of_an_item_wins(shop: TenantLake) -> None:
    items = rows(shop, "stg_items", "item_id")
    assert items.keys() == {"lamp", "椅子 🪑"}
    assert (items["lamp"]["title"], items["lamp"]["price"]) == ("Lampe 'Ü'", 10.0)


def test_columns_the_contract_does_not_list_become_attributes(shop: TenantLake) -> None:
    users = rows(shop, "stg_users", "user_id")
    assert json.loads(users["Zoë"]["attributes"]) == {"extra_country": "BE"}


def test_an_interaction_is_kept_once(shop: TenantLake) -> None:
    frame = read_parquet(shop.dbt / "stg_interactions.parquet")
    assert sorted(frame["row_number"]) == [2, 4, 5, 6, 8, 9, 10]
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")


def test_signals_follow_the_tenants_settings(shop: TenantLake) -> None:
    signals = rows(shop, "int_interaction_signals", "user_id", "item_id", "interaction_type")
    assert {key: row["signal"] for key, row in signals.items()} == {
        ("ana", "lamp", "view"): 1.0,
        ("ana", "lamp", "purchase"): 7.0,
        ("ana", "椅子 🪑", "rating"): 3.0,  # the middle of 0–10 is the middle of 1–5
        ("bo", "lamp", "click"): 2.0,
        ("bo", "椅子 🪑", "purchase"): 7.0,
        ("bo", "椅子 🪑", "dislike"): -1.0,
        ("bo", "not in the catalogue", "like"): 3.0,
    }


def test_weights_are_capped_and_a_dislike_removes_the_pair(shop: TenantLake) -> None:
    weights = rows(shop, "interaction_weights", "user_id", "item_id")
    assert {key: row["weight"] for key, row in weights.items()} == {
        ("ana", "lamp"): 7.5,
        ("ana", "椅子 🪑"): 3.0,
        ("bo", "lamp"): 2.0,
        ("bo", "not in the catalogue"): 3.0,
    }
    assert weights[("ana", "lamp")]["last_timestamp"] == day(1, 13)


def test_user_features_take_the_newest_interaction_as_now(shop: TenantLake) -> None:
    users = rows(shop, "user_features", "user_id")
    assert users.keys() == {"ana", "bo", "Zoë"}
    assert users["ana"] == {
        "user_id": "ana", "interaction_count": 3, "view_count": 1, "click_count": 0, "add_to_cart_count": 0,
        "purchase_count": 1, "rating_count": 1, "distinct_items": 2, "distinct_categories": 2, "avg_rating": 5.0,
        "avg_duration_seconds": None, "total_spend": 30.0, "avg_purchase_price": 10.0, "purchase_rate": 1 / 3,
        "active_days": 2, "tenure_days": 30, "days_since_last_interaction": 0, "favourite_category": "Licht",
    }  # fmt: skip
    assert users["Zoë"]["interaction_count"] == 0
    assert users["Zoë"]["days_since_last_interaction"] is None


def test_item_features(shop: TenantLake) -> None:
    items = rows(shop, "item_features", "item_id")
    assert items.keys() == {"lamp", "椅子 🪑", "not in the catalogue"}
    lamp = items["lamp"]
    assert (lamp["interaction_count"], lamp["distinct_users"], lamp["revenue"]) == (3, 2, 30.0)
    assert (lamp["conversion_rate"], lamp["cart_rate"]) == (0.5, 0.0)
    # view, purchase and click; the first two are 30 and 29 d 23 h old, the half-life is 30 days
    assert lamp["popularity_score"] == pytest.approx(0.5 + 7 * 0.5 ** ((29 + 23 / 24) / 30) + 2)
    assert lamp["trending_score"] == pytest.approx(math.log(2))  # one click in the last week, nothing the week before
    assert lamp["price_percentile_in_category"] == 0.0


def test_popular_items_are_available_ones_of_the_catalogue(shop: TenantLake) -> None:
    assert rows(shop, "popular_items", "scope", "category", "item_id").keys() == {
        ("overall", "", "lamp"),
        ("category", "Licht", "lamp"),
    }


def test_data_quality_per_upload(shop: TenantLake) -> None:
    quality = rows(shop, "data_quality", "upload_id")
    assert quality.keys() == {"i1", "i2", "u1", "log"}
    assert (quality["i1"]["rows_total"], quality["i1"]["rows_current"], quality["i1"]["validity"]) == (8, 1, 0.25)
    assert quality["i1"]["completeness"] == pytest.approx(3 / 14)  # two prices and a category of 2 × 7 values
    assert (quality["log"]["rows_current"], quality["log"]["unknown_items"]) == (7, 1)


def test_sessions_split_where_the_user_was_away(shop: TenantLake) -> None:
    sessions = rows(shop, "int_sessions", "user_id", "session_source", "session_id")
    assert sorted(sessions) == [
        ("ana", "derived", "1"), ("ana", "derived", "2"), ("ana", "derived", "3"),
        ("bo", "derived", "1"), ("bo", "derived", "2"), ("bo", "derived", "3"),
    ]  # fmt: skip
    assert sessions[("bo", "derived", "3")]["interaction_count"] == 2


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, target_dir: Path, make_tenant: Any) -> tuple[TenantLake, DbtResult]:
    """A tenant without any rows, built with everything there is: models, data tests and unit tests."""
    lake = make_tenant(tmp_path_factory.mktemp("empty"))
    return lake, run_dbt(["build"], tenant_lake=lake, target_dir=target_dir)


def test_a_tenant_without_any_rows_gets_empty_files_with_all_columns(empty: tuple[TenantLake, DbtResult]) -> None:
    """dbt-duckdb's own `external` would write one row of nulls."""
    lake, result = empty
    shapes = {name: read_parquet(lake.dbt / f"{name}.parquet").shape for name in MODELS}
    assert shapes == {name: (0, width) for name, width in MODELS.items()}
    assert {node.name: node.rows for node in result.models()} == dict.fromkeys(MODELS, 0)


def test_dbt_unit_tests_pass(empty: tuple[TenantLake, DbtResult]) -> None:
    unit_tests = [node for node in empty[1].nodes if node.resource_type == "unit_test"]
    assert len(unit_tests) == 21
    assert {node.status for node in unit_tests} == {"pass"}


def test_a_tenant_with_one_item_and_one_user(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    lake = make_tenant(
        tmp_path,
        items=[{"item_id": "only", "title": "Only", "available": True, "upload_id": "x", "row_number": 2}],
        users=[{"user_id": "only", "upload_id": "y", "row_number": 2}],
    )
    result = run_dbt(["run"], tenant_lake=lake, target_dir=target_dir)
    filled = {node.name: node.rows for node in result.models() if node.rows}
    assert filled == {"stg_items": 1, "stg_users": 1, "item_features": 1, "user_features": 1, "data_quality": 2}


def test_sql_and_python_agree_on_what_is_unusual(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    """The mart judges old uploads and `volume_of` new ones: the same sizes must get the same answer."""
    rng = random.Random(7)
    sizes = [rng.choice((0, 1, 33, 34, 90, 100, 110, 300, 301, 5000)) for _ in range(60)]
    uploads = [
        {"upload_id": f"u{n}", "kind": "users", "sequence": n, "created_at": day(1), "rows_accepted": 0,
         "rows_rejected": size, "rows_duplicate": 0}
        for n, size in enumerate(sizes)
    ]  # fmt: skip
    lake = make_tenant(tmp_path, uploads=uploads)
    run_dbt(["run"], tenant_lake=lake, target_dir=target_dir)
    mart = read_parquet(lake.dbt / "data_quality.parquet").sort("sequence")
    expected = [volume_of(size, sizes[:n]) for n, size in enumerate(sizes)]
    assert mart["is_volume_anomaly"].to_list() == [volume.anomaly for volume in expected]
    assert mart["usual_rows"].to_list() == [volume.usual for volume in expected]
    assert mart["volume_ratio"].to_list() == [volume.ratio for volume in expected]
    assert 0 < mart["is_volume_anomaly"].sum() < len(sizes)
