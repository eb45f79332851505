"""The parts of `recsaas bench models --all`: what is held back, who is surely ahead, and one set left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recsaas_assets.benchmarks.matrix import command
from recsaas_assets.benchmarks.matrix.figures import SERVED, compared, surely_ahead
from recsaas_assets.benchmarks.matrix.keeping import KeptSets, MatrixOptions
from recsaas_assets.benchmarks.matrix.left_out import SetOfCandidates, leave_one_out
from recsaas_assets.benchmarks.matrix.matrix import code_digest
from recsaas_assets.benchmarks.matrix.shops import chosen_sets, hold_back, matrix_sets
from recsaas_assets.benchmarks.matrix.yardsticks import Yardsticks
from recsaas_assets.benchmarks.pipeline.training_cost import LARGE, ShopSize, sizes, views_of_a_shop
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.holdout import Holdout
from resources.base.errors import InvalidInput

OPTIONS = MatrixOptions(budget=4, seed=7, seeds=1, smoke=False, code="abc")


def interactions(n: int = 100) -> pl.DataFrame:
    """One a day, of ten users with seven items, newest first; every tenth without a user."""
    days = pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 1, 1) + pl.duration(days=n - 1), eager=True)
    return pl.DataFrame(
        {
            "user_id": [None if day % 10 == 9 else f"u{day % 10}" for day in range(n)],
            "item_id": [f"i{day % 7}" for day in range(n)],
            "timestamp": days.dt.strftime("%Y-%m-%dT00:00:00Z"),
        }
    ).reverse()


def test_the_newest_tenth_is_held_back_and_nothing_of_it_is_uploaded() -> None:
    rows = interactions()
    shop = hold_back(pl.DataFrame({"item_id": ["i0"]}), rows)
    assert (len(shop.interactions), len(shop.later)) == (81, 9)  # of the 90 that have a user
    assert shop.interactions["timestamp"].max() < shop.later["timestamp"].min()  # type: ignore[operator]
    assert (
        pl.concat([shop.interactions, shop.later])
        .sort("timestamp")
        .equals(rows.filter(pl.col("user_id").is_not_null()).sort("timestamp"))
    )


def test_what_happens_at_the_time_of_the_cut_is_all_held_back() -> None:
    rows = interactions(20).with_columns(timestamp=pl.lit("2025-01-01T00:00:00Z"))
    older = rows.head(1).with_columns(timestamp=pl.lit("2024-01-01T00:00:00Z"), user_id=pl.lit("u1"))
    shop = hold_back(pl.DataFrame({"item_id": ["i0"]}), pl.concat([rows, older]))
    assert shop.interactions["timestamp"].to_list() == ["2024-01-01T00:00:00Z"]


def test_a_part_has_a_share_of_the_users_with_all_that_they_did() -> None:
    shop = hold_back(pl.DataFrame({"item_id": [f"i{n}" for n in range(9)]}), interactions())
    part = shop.of_some_users(1 / 3, seed=1)
    users = part.interactions["user_id"].unique().to_list()
    assert len(users) == 3
    for whole, some in ((shop.interactions, part.interactions), (shop.later, part.later)):
        assert some.equals(whole.filter(pl.col("user_id").is_in(users)))
    assert set(part.items["item_id"]) == set(part.interactions["item_id"])
    assert shop.of_some_users(1 / 3, seed=1).interactions.equals(part.interactions)
    assert not shop.of_some_users(1 / 3, seed=2).interactions.equals(part.interactions)


def test_the_matrix_has_sets_of_eight_origins_and_parts_of_two() -> None:
    sets = matrix_sets()
    assert len({each.name for each in sets}) == len(sets) == 12
    assert len({each.origin for each in sets}) == 8
    assert {each.split for each in sets} == {"time", "random"}
    with pytest.raises(InvalidInput, match="nothing is not in the matrix"):
        chosen_sets(("nothing",))


def test_invented_sets_differ_and_can_all_be_bought() -> None:
    shops = {each.name: each.read(7) for each in matrix_sets(smoke=True)}
    assert {len(shop.interactions) + len(shop.later) for shop in shops.values()} == {6_000}
    assert all("available" not in shop.items.columns for shop in shops.values())
    frames = [shop.interactions for shop in shops.values()]
    assert not frames[0].equals(frames[1]) and not frames[1].equals(frames[2])


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """300 users of two tastes: one half takes even items, the other odd ones."""
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(300), 12)
    items = 2 * rng.integers(0, 20, len(users)) + users % 2
    signals = pl.DataFrame(
        {
            "user_id": [f"u{user:03}" for user in users],
            "item_id": [f"i{item:02}" for item in items],
            "interaction_type": "view",
            "signal": 1.0,
            "timestamp": pl.Series(rng.integers(0, 10**8, len(users)) * 1_000_000, dtype=pl.Datetime("us", "UTC")),
        }
    )
    return build_training_set(signals, pl.Series([], dtype=pl.String), 10.0)


def test_baselines_find_the_tastes_leave_out_what_was_seen_and_come_out_the_same_again(data: TrainingSet) -> None:
    users = np.arange(0, 300, 10, dtype=np.int32)
    found = {each.name: each for each in Yardsticks(data, users, budget=2, seed=1).all()}
    assert {"popularity", "recent_popularity", "study_lightgcn", "item_knn", "ease"} <= set(found)
    odd = np.array([int(item[1:]) % 2 for item in data.items.ids])
    for name in ("item_knn", "ease", "study_lightgcn"):
        lists = found[name].lists
        assert lists is not None and lists.shape == (30, 20)
        first = lists[:, :5]
        assert (odd[first] == (users % 2)[:, None]).mean() > 0.9, name
        seen = data.full.csr(data.n_users, data.n_items)
        assert not any(seen[user, item] for user, row in zip(users, lists, strict=True) for item in row if item >= 0)
    again = {each.name: each for each in Yardsticks(data, users, budget=2, seed=1).all()}
    for name, each in found.items():
        assert again[name].chosen == each.chosen and np.array_equal(again[name].lists, each.lists), name  # type: ignore[arg-type]


def test_a_baseline_is_surely_ahead_by_the_whole_interval() -> None:
    # Users 40 to 69 know one item each, so that every item may be ranked; the first 40 know the last one.
    holdout = Holdout(
        Pairs.of(np.concatenate([np.arange(30) + 40, np.arange(40)]), np.concatenate([np.arange(30), np.full(40, 29)])),
        Pairs.of(np.arange(40), np.zeros(40)),
        70,
        30,
    )
    users = np.arange(40, dtype=np.int32)
    right = np.tile(np.arange(20, dtype=np.int32), (40, 1))
    wrong = np.tile(np.arange(5, 25, dtype=np.int32), (40, 1))
    one_right = wrong.copy()
    one_right[0] = right[0]
    table = compared(holdout, users, {SERVED: one_right, "right": right, "wrong": wrong}, seed=1)
    assert table["right"]["figures"]["ndcg@10"]["value"] == 1.0 and table["wrong"]["figures"]["recall@20"]["value"] == 0
    assert table["right"]["served_minus_this"]["ndcg@10"]["value"] == pytest.approx(-39 / 40)
    ahead = surely_ahead(table)
    assert [(each["baseline"], each["metric"]) for each in ahead] == [("right", "ndcg@10"), ("right", "recall@20")]
    assert "served_minus_this" not in table[SERVED]


def test_a_default_is_chosen_by_the_other_origins_alone() -> None:
    sets = {
        "a": SetOfCandidates("a", {"x": 0.10, "y": 0.20}, own_choice=0.19),
        "a-10": SetOfCandidates("a", {"x": 0.01, "y": 0.90}),  # a part of a: must not speak for a
        "b": SetOfCandidates("b", {"x": 0.30, "y": 0.15}),
        "c": SetOfCandidates("c", {"x": 0.50, "y": 0.45}),
    }
    rows = {row["left_out"]: row for row in leave_one_out(sets)}
    assert rows["a"] == {
        "left_out": "a",
        "chosen_by_others": "x",
        "mean_relative_ndcg@10": 1.0,
        "ndcg@10": 0.1,
        "best": "y",
        "best_ndcg@10": 0.2,
        "own_choice_ndcg@10": 0.19,
    }
    # x: (0.5 + 0.01/0.9 + 1) / 3 = 0.504, y: (1 + 1 + 0.9) / 3 = 0.967
    assert (rows["b"]["chosen_by_others"], rows["b"]["mean_relative_ndcg@10"]) == ("y", 0.9667)
    assert rows["b"]["ndcg@10"] == 0.15 and rows["b"]["own_choice_ndcg@10"] is None


def test_what_a_set_itself_measured_never_chooses_for_it() -> None:
    others = {"b": SetOfCandidates("b", {"x": 0.2, "y": 0.1}), "c": SetOfCandidates("c", {"x": 0.2, "y": 0.1})}
    for own in ({"x": 0.0, "y": 1.0}, {"x": 1.0, "y": 0.0}):
        row = leave_one_out({"a": SetOfCandidates("a", own), **others})[0]
        assert (row["chosen_by_others"], row["ndcg@10"]) == ("x", own["x"])
    assert leave_one_out({"a": others["b"]}) == []
    nothing = {"n": SetOfCandidates("n", {"x": 0.0, "y": 0.0}), **others}
    assert leave_one_out(nothing)[1]["chosen_by_others"] == "x"


def test_kept_sets_are_of_one_set_of_options_and_one_version(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    KeptSets(file, OPTIONS).add("a", {"seconds": 1})
    assert KeptSets(file, OPTIONS).sets == {"a": {"seconds": 1}}
    for other in (MatrixOptions(4, 8, 1, False, "abc"), MatrixOptions(4, 7, 1, False, "abd")):
        with pytest.raises(InvalidInput, match="name another file with --keep"):
            KeptSets(file, other)
    file.write_text("[1]")
    with pytest.raises(InvalidInput, match="does not hold measured sets"):
        KeptSets(file, OPTIONS)
    assert code_digest() == code_digest() and len(code_digest()) == 16


def test_the_command_says_who_is_surely_ahead_and_exits_with_1_only_when_strict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beaten = {
        "set": "a",
        "baseline": "item_knn",
        "metric": "ndcg@10",
        "served_minus_this": {"value": -0.02, "low": -0.03, "high": -0.01},
    }
    answer = {"surely_beaten": [beaten], "sets": {}, "leave_one_set_out": [], "seconds": 1.0, "seconds_of_this_run": 1}
    monkeypatch.setattr(
        "recsaas_assets.benchmarks.matrix.matrix.measure_matrix", lambda *arguments, **options: dict(answer)
    )
    asked = ["--all", "--smoke", "--keep", str(tmp_path / "kept.json")]
    done = CliRunner().invoke(command.models, [*asked, "--json"], catch_exceptions=False)
    assert done.exit_code == 0 and json.loads(done.stdout)["surely_beaten"] == [beaten]
    strict = CliRunner().invoke(command.models, [*asked, "--strict"], catch_exceptions=False)
    assert strict.exit_code == 1 and "item_knn is surely ahead of what is served" in strict.stdout


@pytest.mark.parametrize("option", [["--strict"], ["--smoke"], ["--seeds", "2"], ["--keep", "x.json"]])
def test_options_of_the_matrix_need_it(option: list[str]) -> None:
    done = CliRunner().invoke(command.models, ["--dataset", "sample", *option])
    assert done.exit_code == 2 and "--all" in done.output
    assert CliRunner().invoke(command.models, ["--dataset", "gowalla-20"]).exit_code == 2


def test_shops_of_rising_size_have_views_alone() -> None:
    assert [size.interactions for size in sizes(100_000, 1_000)] == [10_000, 30_000, 100_000, 100_000, 100_000]
    large = sizes(1_000_000, 100_000)[-1]
    assert (large.about, large.users, large.items, large.interactions) == (LARGE, 52_000, 57_000, 314_000)
    assert max(size.interactions for size in sizes(10_000_000, 100)) == 10_000_000
    shop = views_of_a_shop(ShopSize("test", 200, 100, 3_000), seed=1)
    assert len(shop.interactions) == 3_000 and set(shop.interactions["interaction_type"]) == {"view"}
    sold = shop.interactions.group_by("item_id").len()["len"].sort(descending=True)
    assert sold[:20].sum() > 0.4 * sold.sum()  # a fifth of the items, and a tail
