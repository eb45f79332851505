"""Id maps, pair weights, the time split, and the round trip of a training set."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set, pair_weights
from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.schemas import validate_training_set
from resources.base.errors import InvalidInput

START = datetime(2024, 1, 1, tzinfo=UTC)
NO_CATALOGUE = pl.Series("item_id", [], dtype=pl.String)


def signals(rows: list[tuple[str, str, float, float]]) -> pl.DataFrame:
    """Rows of (user, item, day, signal)."""
    return pl.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "timestamp": pl.Series([START + timedelta(days=row[2]) for row in rows], dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * len(rows),
            "signal": pl.Series([row[3] for row in rows], dtype=pl.Float64),
        }
    )


TEN_DAYS = [(f"u{day % 3}", f"i{day}", float(day), 1.0) for day in range(10)]


def test_id_map_answers_minus_one_for_an_unknown_id() -> None:
    ids = IdMap.from_ids(["b", "ä", "a", "b"])
    assert ids.ids == ("a", "b", "ä")
    assert ids.rows(["ä", "nobody", "a", "ä"]).tolist() == [2, -1, 0, 2]
    assert ids.rows([]).tolist() == []


def test_empty_id_map_knows_nobody() -> None:
    assert IdMap.from_ids([]).rows(["a"]).tolist() == [-1]


def test_id_map_round_trip_and_gap() -> None:
    ids = IdMap.from_ids(["日本", "x"])
    frame = ids.to_polars(id_column="item_id", row_column="item_row")
    assert IdMap.from_polars(frame, id_column="item_id", row_column="item_row") == ids
    with pytest.raises(InvalidInput, match="contiguous"):
        IdMap.from_polars(frame.tail(1), id_column="item_id", row_column="item_row")
    with pytest.raises(InvalidInput, match="twice"):
        IdMap(("a", "a"))


def test_pairs_group_repeats_and_sort() -> None:
    pairs = Pairs.of([1, 0, 1], [2, 0, 2], [1.0, 2.0, 4.0], [9.0, 1.0, 3.0])
    assert pairs.user_row.tolist() == [0, 1]
    assert pairs.item_row.tolist() == [0, 2]
    assert pairs.weight.tolist() == [2.0, 5.0]
    assert pairs.age_days.tolist() == [1.0, 3.0]
    assert pairs.csr(2, 3).toarray().tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 5.0]]


def test_a_dislike_anywhere_removes_the_pair_and_the_cap_holds() -> None:
    weights = pair_weights(
        signals([("u", "a", 0, 5), ("u", "a", 1, -1), ("u", "b", 0, 4), ("u", "b", 2, 4), ("u", "c", 0, 0)]), cap=6
    )
    assert weights.rows() == [("u", "b", 6.0, START + timedelta(days=2))]


def test_split_is_80_10_10_by_time() -> None:
    training_set = build_training_set(signals(TEN_DAYS), NO_CATALOGUE, 10)
    split = training_set.split
    assert (split.validation_start, split.test_start) == (START + timedelta(days=8), START + timedelta(days=9))
    assert (split.train_interactions, split.validation_interactions, split.test_interactions) == (8, 1, 1)
    assert [len(pairs) for pairs in training_set.parts.values()] == [8, 1, 9, 1, 10]
    validate_training_set(training_set)


def test_equal_times_stay_on_one_side_of_the_split() -> None:
    rows = [("u", f"i{n}", 0.0 if n < 7 else float(n), 1.0) for n in range(10)]
    training_set = build_training_set(signals([*rows, ("v", "i8", 8.0, 1.0)]), NO_CATALOGUE, 10)
    # 11 rows: the row at place 8 is at day 8, and both rows of day 8 go to validation.
    assert training_set.split.validation_interactions == 2


def test_a_future_row_changes_nothing_before_the_test() -> None:
    """A leaked future row would show as another weight, age or pair in train, validation or before_test."""
    plain = build_training_set(signals([*TEN_DAYS, ("u2", "x", 9.5, 1.0)]), NO_CATALOGUE, 10)
    leaky = build_training_set(signals([*TEN_DAYS, ("u0", "i0", 9.5, -1.0)]), NO_CATALOGUE, 10)
    assert plain.split == leaky.split

    def named(part: Pairs, of: TrainingSet) -> list[tuple[str, str, float, float]]:
        columns = (part.user_row, part.item_row, part.weight, part.age_days)
        return sorted(
            (of.users.ids[u], of.items.ids[i], float(w), float(a)) for u, i, w, a in zip(*columns, strict=True)
        )

    for part in ("train", "validation", "before_test"):
        assert named(getattr(plain, part), plain) == named(getattr(leaky, part), leaky)
    # In the data for the release the dislike does remove the pair.
    assert ("u0", "i0") not in {row[:2] for row in named(leaky.full, leaky)}


def test_catalogue_items_without_interactions_get_a_row() -> None:
    training_set = build_training_set(signals(TEN_DAYS), pl.Series(["never", "i3"]), 10)
    assert training_set.n_items == 11
    assert training_set.full.users_per_item(11)[training_set.items.rows(["never"])].tolist() == [0]


@pytest.mark.parametrize("rows", [TEN_DAYS[:1], TEN_DAYS[:2], [("u", "i", 0.0, 1.0), ("v", "i", 0.0, 1.0)]])
def test_too_little_to_split_says_so(rows: list[tuple[str, str, float, float]]) -> None:
    training_set = build_training_set(signals(rows), NO_CATALOGUE, 10)
    assert not training_set.split.evaluable
    assert "too few different times" in training_set.split.reason
    assert len(training_set.train) == len(training_set.full) == len(rows)
    assert len(training_set.validation) == len(training_set.test) == 0
    validate_training_set(training_set)


def test_nothing_to_train_on_names_the_next_step() -> None:
    with pytest.raises(InvalidInput, match="upload an interactions file"):
        build_training_set(signals([]), NO_CATALOGUE, 10)
    with pytest.raises(InvalidInput, match="no interaction says that anybody likes anything"):
        build_training_set(signals([("u", "i", 0, -1)]), NO_CATALOGUE, 10)


@pytest.mark.parametrize("rows", [TEN_DAYS, TEN_DAYS[:1]])
def test_save_and_load_give_the_same_contents(tmp_path: Path, rows: list[tuple[str, str, float, float]]) -> None:
    training_set = build_training_set(signals(rows), pl.Series(["ünïcode 日本"]), 10)
    training_set.save(UPath(tmp_path))
    loaded = TrainingSet.load(UPath(tmp_path))
    assert loaded.fingerprint == training_set.fingerprint
    assert loaded.split == training_set.split
    assert loaded.items == training_set.items


def test_fingerprint_sees_changed_rows_of_equal_count() -> None:
    other = [*TEN_DAYS[:-1], ("u0", "i8", 9.0, 1.0)]
    first = build_training_set(signals(TEN_DAYS), NO_CATALOGUE, 10)
    assert first.fingerprint != build_training_set(signals(other), pl.Series(["i9"]), 10).fingerprint


def test_load_refuses_files_that_do_not_belong_together(tmp_path: Path) -> None:
    build_training_set(signals(TEN_DAYS), NO_CATALOGUE, 10).save(UPath(tmp_path))
    pl.read_parquet(tmp_path / "test.parquet").with_columns(pl.col("weight") + 1).write_parquet(
        tmp_path / "test.parquet"
    )
    with pytest.raises(InvalidInput, match="damaged"):
        TrainingSet.load(UPath(tmp_path))


def test_validation_names_every_broken_rule() -> None:
    good = build_training_set(signals(TEN_DAYS), NO_CATALOGUE, 10)
    bad = Pairs.from_polars(
        pl.DataFrame({"user_row": [0, 0, 99], "item_row": [1, 1, 2], "weight": [1.0, 0.0, 1.0], "age_days": [0.0] * 3})
    )
    broken = TrainingSet(
        good.users, good.items, bad, good.validation, good.before_test, good.test, good.full, good.split
    )
    with pytest.raises(InvalidInput) as caught:
        validate_training_set(broken)
    fields = {each.field for each in caught.value.details}
    assert {"train.user_row", "train.weight"} <= fields
    assert any("multiple_fields_uniqueness" in each.message for each in caught.value.details)


def test_what_the_live_release_has_seen_and_what_came_after_and_after_the_search(tmp_path: Path) -> None:
    rows = signals([(f"u{n % 3}", f"i{n}", n, 1.0) for n in range(20)])
    plain = build_training_set(rows, pl.Series(["i0"]), 10)
    assert (len(plain.before_live), len(plain.since_live), plain.live_fingerprint) == (0, 0, "")
    late, early = (
        build_training_set(rows, pl.Series(["i0"]), 10, live_until=START + timedelta(days=n)) for n in (18, 3)
    )
    assert (len(late.before_live), len(late.since_live)) == (19, 1)
    # The release is older than the test period: what lies between chose the hyper-parameters and is no target.
    assert (len(early.before_live), len(early.since_live)) == (4, 2)
    assert plain.fingerprint == late.fingerprint == early.fingerprint
    assert late.live_fingerprint != early.live_fingerprint
    late.save(UPath(tmp_path))
    loaded = TrainingSet.load(UPath(tmp_path))
    assert loaded.split == late.split
    assert loaded.live_fingerprint == late.live_fingerprint
    early.since_live.to_polars().write_parquet(tmp_path / "since_live.parquet")
    with pytest.raises(InvalidInput, match="damaged"):
        TrainingSet.load(UPath(tmp_path))


def test_dislikes_are_kept_beside_the_parts_and_older_sets_have_none(tmp_path: Path) -> None:
    rows = [*TEN_DAYS, ("u0", "i0", 5.0, -1.0), ("u0", "i0", 6.0, -1.0), ("u1", "x", 2.0, -1.0), ("u2", "z", 3.0, 0.0)]
    built = build_training_set(signals(rows), NO_CATALOGUE, 10)
    pairs = built.disliked
    named = {(built.users.ids[u], built.items.ids[i]) for u, i in zip(pairs.user_row, pairs.item_row, strict=True)}
    assert named == {("u0", "i0"), ("u1", "x")} and len(pairs) == 2
    assert len(built.full.without(pairs, built.n_items)) == len(built.full)
    validate_training_set(built)
    built.save(UPath(tmp_path))
    loaded = TrainingSet.load(UPath(tmp_path))
    assert loaded.disliked.to_polars().equals(pairs.to_polars())
    without = replace(built, disliked=Pairs.empty())
    assert without.fingerprint != built.fingerprint
    without.save(UPath(tmp_path))
    (tmp_path / "disliked.parquet").unlink()
    assert TrainingSet.load(UPath(tmp_path)).fingerprint == without.fingerprint


@pytest.mark.parametrize(
    ("pieces", "weight"),
    [
        ((3, -1), 5 * 2 / 3),
        ((1, 1, -1), 5.0),
        ((2, -2), None),
        ((-1,), None),
        ((0,), None),
        ((1, -5), None),
        ((7,), 5.0),
    ],
)
def test_returned_pieces_take_their_share_of_the_purchases(pieces: tuple[float, ...], weight: float | None) -> None:
    rows = [
        {"user_id": "u", "item_id": "i", "interaction_type": "purchase", "pieces": float(each),
         "signal": 5.0 if each > 0 else 0.0, "timestamp": datetime(2026, 1, 1 + n, tzinfo=UTC)}
        for n, each in enumerate(pieces)
    ]  # fmt: skip
    seen = {**rows[0], "interaction_type": "view", "pieces": None, "signal": 1.0}
    other = {**rows[0], "user_id": "v", "pieces": 1.0, "signal": 5.0}
    frame = pl.DataFrame([*rows, seen, other], schema_overrides={"pieces": pl.Float64})
    found = {row["user_id"]: row["weight"] for row in pair_weights(frame, 100).to_dicts()}
    assert found == {"u": pytest.approx(1 + (weight or 0)), "v": 5.0}
    alone = pair_weights(frame.filter(pl.col("pieces").is_not_null() & (pl.col("user_id") == "u")), 100)
    assert alone["weight"].to_list() == ([] if weight is None else [pytest.approx(weight)])


def test_what_rounding_leaves_of_nothing_is_no_pair() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"user_id": "u", "item_id": "i", "interaction_type": "rating", "timestamp": when, "signal": 1e-300}
    assert pair_weights(pl.DataFrame([row]), 10).is_empty()
