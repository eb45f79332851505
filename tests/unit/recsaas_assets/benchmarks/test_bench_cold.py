"""What `recsaas bench cold` says of a small invented shop, whose tastes follow categories, brands and prices."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from upath import UPath

from recsaas_assets.benchmarks.models import cold
from recsaas_assets.recommender.data.dataset import build_training_set
from recsaas_assets.sample.shop import generate_shop
from resources.storage.lake import write_parquet

WORTH = {"view": 1.0, "click": 2.0, "add_to_cart": 3.0, "purchase": 5.0}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("shop")
    shop = generate_shop(400, 300, 12_000, seed=5, end=datetime(2025, 1, 1, tzinfo=UTC))
    signals = shop.interactions.select(
        "user_id",
        "item_id",
        pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
        "interaction_type",
        signal=pl.col("interaction_type").replace_strict(WORTH),
    )
    write_parquet(UPath(folder / "stg_items.parquet"), shop.items)
    write_parquet(UPath(folder / "int_interaction_signals.parquet"), signals)
    data: Any = SimpleNamespace(
        training_set=build_training_set(signals, shop.items["item_id"], 10), tenant=SimpleNamespace(dbt=UPath(folder))
    )
    return cold._measure(data, 7)


def ndcg(part: dict[str, Any], model: str) -> float:
    value: float = part["models"][model]["ndcg@10"]["value"]
    return value


@pytest.mark.e2e
def test_hidden_items_are_found_by_content_and_not_by_the_popularity_of_their_category(answer: dict[str, Any]) -> None:
    hidden = answer["hidden_items"]
    assert 15 < hidden["items"] < 45
    part = hidden["among_new_items"]
    assert ndcg(part, "served") > ndcg(part, "category_popularity")
    assert part["minus_category_popularity"]["served"]["ndcg@10"]["low"] > 0
    assert ndcg(part, "served") > 1.5 * ndcg(part, "chance")
    assert hidden["chosen"].startswith("words")
    assert set(hidden["among_all_items"]["models"]) == {"popularity", "category_popularity", "served"}
    assert ndcg(hidden["among_all_items"], "popularity") == 0  # nobody has an item that is hidden


@pytest.mark.e2e
def test_it_says_what_was_chosen_and_what_every_way_of_choosing_gave(answer: dict[str, Any]) -> None:
    chosen = answer["chosen"]
    assert chosen["method"] in chosen["ndcg"] and "category popularity" in chosen["ndcg"]
    assert chosen["ndcg"][chosen["method"]] > chosen["ndcg"]["category popularity"] >= 0
    assert set(answer["new_users"]) == {"1_events", "2_events", "3_events", "5_events"}
    assert answer["warm_items"]["known_targets"]["users"] > 50
