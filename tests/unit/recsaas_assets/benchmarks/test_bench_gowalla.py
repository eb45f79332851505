"""`recsaas bench gowalla` on a graph of a few pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsaas_assets.benchmarks.training.gowalla import gowalla_config, measure
from recsaas_assets.benchmarks.training.gowalla_measure import PaperSplit, rank_everybody
from recsaas_assets.recommender.data.vectors import ModelVectors
from resources.base.errors import InvalidInput


def _write(folder: Path, name: str, pairs: list[tuple[int, int]]) -> None:
    pl.DataFrame(pairs, schema={"user": pl.Int32, "item": pl.Int32}, orient="row").write_parquet(
        folder / f"{name}.parquet"
    )


@pytest.fixture
def split(tmp_path: Path) -> PaperSplit:
    _write(tmp_path, "train", [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2)])
    _write(tmp_path, "test", [(0, 2), (2, 1), (2, 3)])
    return PaperSplit.read(tmp_path)


def test_all_users_with_test_pairs_count_and_training_items_are_left_out(split: PaperSplit) -> None:
    assert (split.n_users, split.n_items) == (3, 4)
    # Everybody likes item 0 most, then 1, 2, 3. User 0 (knows 0, 1) gets 2, 3; user 2 (knows 0, 2) gets 1, 3.
    items = np.array([[4.0], [3.0], [2.0], [1.0]], dtype=np.float32)
    users = np.ones((3, 1), dtype=np.float32)
    metrics = rank_everybody(split, ModelVectors(users, items, items, users, items))
    assert metrics == {"recall@20": 1.0, "ndcg@20": pytest.approx(1.0)}


def test_the_answer_holds_the_worst_of_the_seeds(split: PaperSplit) -> None:
    config = gowalla_config().model_copy(update={"steps": 20, "negatives": 4, "dim": 4})
    answer = measure(split, config, (1, 2))
    runs = answer["runs"]
    assert isinstance(runs, list) and [run["seed"] for run in runs] == answer["seed"] == [1, 2]
    assert answer["recall@20"] == min(run["recall@20"] for run in runs)
    assert answer["seconds_to_published"] == max(run["seconds_to_published"] for run in runs) >= 0  # rounded
    reference = answer["reference_seconds_extrapolated"]
    step = answer["reference_step_seconds"]
    # One batch holds all six pairs; 1,000 epochs; both are rounded.
    assert isinstance(reference, int) and isinstance(step, float)
    assert abs(reference - 1000 * step) < 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"train\.parquet is not there; set RECSAAS_BENCH_DATA"):
        PaperSplit.read(tmp_path)
