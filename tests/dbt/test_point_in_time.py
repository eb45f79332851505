"""Features as of a time see nothing that came later, and neither does what a model is fitted on before its test."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from upath import UPath

from recsaas_assets.features.dbt_runner import run_dbt
from recsaas_assets.features.point_in_time import features_as_of
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from resources.base.errors import InvalidInput
from resources.storage.lake import TenantLake, read_parquet

SPLIT = datetime(2026, 2, 1, tzinfo=UTC)
Row = dict[str, Any]


def past() -> list[Row]:
    """Four users, five items, forty interactions in January, the last of them a microsecond before the split."""
    kinds = ("view", "click", "add_to_cart", "purchase")
    rows = [
        {
            "user_id": f"user {n % 4}",
            "item_id": f"item {n * n % 5}",
            "interaction_type": kinds[n % 3 if n % 7 else 3],
            "timestamp": SPLIT - timedelta(hours=17 * n, microseconds=1),
            "price": float(n + 1),
            "event_id": f"e{n}",
            "received_at": SPLIT + timedelta(days=30),
            "upload_id": "u1",
            "row_number": n + 2,
        }
        for n in range(40)
    ]
    return rows


def planted() -> list[Row]:
    """Rows from the split on that would change every figure: another clock, a dislike, a retry, a deletion."""
    common = {"upload_id": "u2", "user_id": "user 1", "item_id": "item 1", "received_at": SPLIT + timedelta(days=10)}
    day = timedelta(days=1)
    return [
        {**common, "interaction_type": "purchase", "timestamp": SPLIT, "price": 1e6, "row_number": 2},
        {**common, "interaction_type": "dislike", "timestamp": SPLIT + 9 * day, "row_number": 3},
        {**common, "interaction_type": "view", "timestamp": SPLIT + day, "event_id": "e3", "row_number": 4},
        {**common, "interaction_type": "view", "timestamp": SPLIT + 2 * day, "event_id": "e4", "deleted": True,
         "received_at": SPLIT + 300 * day, "row_number": 5},
        {**common, "user_id": "new", "item_id": "new", "interaction_type": "view", "timestamp": SPLIT + day,
         "row_number": 6},
    ]  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.parquet")}


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory, make_tenant: Any) -> tuple[TenantLake, TenantLake]:
    """The same shop without the planted rows, and with them."""
    home = tmp_path_factory.mktemp("shops")
    items = [{"item_id": f"item {n}", "title": "t", "category": f"c{n % 2}", "price": 1.0 * n} for n in range(5)]
    return tuple(
        make_tenant(home, name, items=items, interactions=rows)
        for name, rows in (("without", past()), ("with-future", past() + planted()))
    )  # type: ignore[return-value]


def test_features_as_of_a_time_are_the_same_byte_for_byte_with_later_rows(
    lakes: tuple[TenantLake, TenantLake], tmp_path: Path, target_dir: Path
) -> None:
    for lake, name in zip(lakes, ("without", "with"), strict=True):
        result = features_as_of(lake, SPLIT, tmp_path / name, target_dir=target_dir, memory_bytes=10**9)
        assert "data_quality" not in {node.name for node in result.models()}
        assert not lake.dbt.exists() or not list(lake.dbt.glob("*.parquet"))
    without, with_future = (digests(tmp_path / name) for name in ("without", "with"))
    # A file of rows may say "no nulls here" in two ways, depending on rows that were filtered out: its rows count.
    frames = [read_parquet(UPath(tmp_path / name / "stg_interactions.parquet")) for name in ("without", "with")]
    assert frames[0].equals(frames[1])
    del without["stg_interactions.parquet"], with_future["stg_interactions.parquet"]
    assert len(without) == 9
    assert with_future == without
    features = read_parquet(UPath(tmp_path / "with" / "user_features.parquet"))
    assert features["interaction_count"].sum() == 40
    log = (target_dir / "logs" / str(lakes[1].tenant) / "dbt.log").read_text()
    assert "Unable to do partial parsing" not in log


def test_without_as_of_the_planted_rows_count(
    lakes: tuple[TenantLake, TenantLake], tmp_path: Path, target_dir: Path
) -> None:
    """So the test above would notice them; and the pairs before the test are the same, whatever comes after it."""
    run_dbt(["run", "--exclude", "data_quality"], tenant_lake=lakes[1], target_dir=target_dir)
    run_dbt(["run", "--exclude", "data_quality"], tenant_lake=lakes[0], target_dir=target_dir)
    features = [read_parquet(lake.dbt / "user_features.parquet").sort("user_id") for lake in lakes]
    assert features[0].filter(pl.col("user_id") == "user 1").row(0) != features[1].filter(
        pl.col("user_id") == "user 1"
    ).row(0)


def signals(rows: int) -> pl.DataFrame:
    """`rows` interactions, one a day, of 3 users and 4 items."""
    return pl.DataFrame(
        {
            "user_id": [f"u{n % 3}" for n in range(rows)],
            "item_id": [f"i{n * n % 4}" for n in range(rows)],
            "timestamp": [SPLIT + timedelta(days=n) for n in range(rows)],
            "interaction_type": ["view"] * rows,
            "signal": [1.0] * rows,
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def before_the_test(training_set: TrainingSet) -> dict[str, list[tuple[Any, ...]]]:
    """The pairs of train and of train with validation, by their ids."""
    found = {}
    for part in ("train", "before_test"):
        pairs = training_set.parts[part]
        users = [training_set.users.ids[row] for row in pairs.user_row]
        items = [training_set.items.ids[row] for row in pairs.item_row]
        found[part] = sorted(zip(users, items, pairs.weight.tolist(), pairs.age_days.tolist(), strict=True))
    return found


def test_rows_planted_in_the_test_period_change_nothing_before_it() -> None:
    """The split is by shares of the interactions: it stays where it was when planted rows take the places of others."""
    honest = signals(50)
    split = build_training_set(honest, pl.Series([], dtype=pl.String), 10).split
    assert split.test_start is not None
    later = pl.col("timestamp") > split.test_start
    changed = honest.with_columns(
        user_id=pl.when(later).then(pl.lit("intruder")).otherwise("user_id"),
        item_id=pl.when(later).then(pl.lit("i1")).otherwise("item_id"),
        interaction_type=pl.when(later).then(pl.lit("dislike")).otherwise("interaction_type"),
        signal=pl.when(later).then(-1.0).otherwise("signal"),
    )
    built = [build_training_set(frame, pl.Series([], dtype=pl.String), 10) for frame in (honest, changed)]
    assert built[0].split == built[1].split
    assert before_the_test(built[0]) == before_the_test(built[1])
    assert len(built[0].test) != len(built[1].test)


def test_a_time_without_offset_and_the_tenants_own_folder_are_refused(
    lakes: tuple[TenantLake, TenantLake], tmp_path: Path, target_dir: Path
) -> None:
    with pytest.raises(InvalidInput, match="no offset"):
        features_as_of(lakes[0], datetime(2026, 1, 1), tmp_path, target_dir=target_dir, memory_bytes=10**9)
    own = Path(str(lakes[0].dbt))
    with pytest.raises(InvalidInput, match="current features"):
        features_as_of(lakes[0], SPLIT, own, target_dir=target_dir, memory_bytes=10**9)
