"""dbt features in the rows of a training set: read, kept, and refused where they do not belong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.feature_tables import (
    PARTS,
    FeatureHistory,
    Features,
    FeatureTable,
)
from recsaas_assets.recommender.data.id_map import IdMap
from resources.base.errors import CorruptArtifact
from resources.storage.lake import read_parquet, write_parquet

START = datetime(2024, 1, 1, tzinfo=UTC)


def training_set(rows: int) -> TrainingSet:
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n % 3}" for n in range(rows)],
            "item_id": [f"i{n % 2}" for n in range(rows)],
            "timestamp": pl.Series([START + timedelta(hours=n) for n in range(rows)], dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * rows,
            "signal": [1.0] * rows,
        }
    )
    return build_training_set(frame, pl.Series("item_id", ["i2"]), 10)


CATALOGUE = pl.DataFrame(
    {"item_id": ["i0", "i1", "i2"], "category": ["lamps", None, "lamps"], "price": [2.0, None, 4.0]},
    schema={"item_id": pl.String, "category": pl.String, "price": pl.Float64},
)


@pytest.fixture
def features(tmp_path: Path) -> Features:
    users = pl.DataFrame({"user_id": ["u2", "u0"], "view_count": [5, None], "favourite_category": ["lamps", None]})
    items = pl.DataFrame({"item_id": ["gone", "i1", "i0"], "view_count": [9, 2, 1]})
    write_parquet(UPath(tmp_path / "user_features.parquet"), users)
    write_parquet(UPath(tmp_path / "item_features.parquet"), items)
    return Features.from_dbt(UPath(tmp_path), CATALOGUE, training_set(20))


def test_values_stand_in_the_rows_of_the_training_set(features: Features) -> None:
    nan = float("nan")
    assert features.users.names == ("view_count", "favourite_category=lamps")
    np.testing.assert_array_equal(features.users.values, [[nan, 0], [nan, nan], [5, 1]])
    assert features.items.names == ("view_count", "price", "category=lamps")
    np.testing.assert_array_equal(features.items.values, [[1, 2, 1], [2, nan, 0], [nan, nan, nan]])
    assert features.users.values.dtype == features.items.values.dtype == np.float32


def test_truth_values_are_numbers_and_texts_and_times_are_left_out() -> None:
    frame = pl.DataFrame({"id": ["a"], "yes": [True], "text": ["b"], "when": [START]})
    table = FeatureTable.from_polars(frame, IdMap.from_ids(["a"]), id_column="id")
    assert (table.names, table.values.tolist()) == (("yes",), [[1.0]])


def test_save_and_load_give_the_same_at_every_time(features: Features, tmp_path: Path) -> None:
    doubled = Features(FeatureTable(features.users.names, features.users.values * 2), features.items)
    data, folder = training_set(20), UPath(tmp_path / "at")
    FeatureHistory(features, doubled, features).save(folder, data)
    loaded = FeatureHistory.load(folder, data)
    for part, expected in zip(PARTS, (features, doubled, features), strict=True):
        for side in ("users", "items"):
            assert getattr(loaded.of(part), side).names == getattr(expected, side).names
            np.testing.assert_array_equal(getattr(loaded.of(part), side).values, getattr(expected, side).values)


def test_an_erased_user_has_no_features_left(features: Features, tmp_path: Path) -> None:
    """An erasure takes the rows of the user out of every file with a user column."""
    data, folder = training_set(20), UPath(tmp_path / "at")
    FeatureHistory(features, features, features).save(folder, data)
    for part in PARTS:
        path = folder / f"{part}_users.parquet"
        write_parquet(path, read_parquet(path).filter(pl.col("user_id") != "u2"))
    users = FeatureHistory.load(folder, data).full.users.values
    assert np.isnan(users[2]).all() and not np.isnan(users[0]).all()


def test_features_of_another_training_set_and_damaged_ones_are_refused(features: Features, tmp_path: Path) -> None:
    folder = UPath(tmp_path / "at")
    FeatureHistory(features, features, features).save(folder, training_set(20))
    with pytest.raises(CorruptArtifact, match="another training set"):
        FeatureHistory.load(folder, training_set(21))
    (folder / "train_items.parquet").unlink()
    with pytest.raises(CorruptArtifact, match="train_items"):
        FeatureHistory.load(folder, training_set(20))
    (folder / "features.json").write_text("[]")
    with pytest.raises(CorruptArtifact, match="materialise training_features"):
        FeatureHistory.load(folder, training_set(20))


def test_enormous_values_are_finite() -> None:
    frame = pl.DataFrame({"item_id": ["a", "b", "c", "d"], "price": [1e308, float("inf"), -1e308, 2.0]})
    table = FeatureTable.from_polars(frame, IdMap(("a", "b", "c", "d", "e")), id_column="item_id")
    squares = table.values**2
    assert np.isfinite(squares[:4]).all()
    assert (np.isnan(squares[4]).all(), table.values[3, 0]) == (True, 2.0)
