"""The item–item models of a run: what chose them, what they may have seen, and how they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.item_models import ease, item_knn
from recsaas_assets.recommender.item_models.choice import START, choose
from recsaas_assets.recommender.item_models.fitted import DOCUMENT, KINDS, ItemModels, fit_item_models
from recsaas_assets.recommender.item_models.recipes import EaseRecipe, KnnRecipe, TableKind
from recsaas_assets.recommender.item_models.table_scorer import TableScorer
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg
from recsaas_assets.recommender.metrics.scorers import Scorer
from resources.base.errors import CorruptArtifact
from tests.unit.recsaas_assets.recommender.live_shop import shuffled, two_communities

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return two_communities(live_until=1090)


@pytest.fixture(scope="module")
def models(data: TrainingSet) -> ItemModels:
    return fit_item_models(data, seed=1)


def _ndcg(scorer: Scorer, holdout: Holdout) -> float:
    users = np.unique(holdout.targets.user_row).astype(np.int32)
    ranked, _ = scorer.top_k(users, 10, holdout.seen)
    return float(ndcg(mark_relevant(users, ranked, holdout.targets, holdout.n_users, holdout.n_items), 10).mean())


@every_kind
def test_a_table_finds_the_communities_and_one_of_shuffled_labels_does_not(kind: TableKind) -> None:
    data = two_communities(users=200, rows=4000)
    holdout = Holdout.of_test(data)
    popularity = _ndcg(popularity_scorer(data.before_test, data.n_items), holdout)
    found, blind = (
        _ndcg(TableScorer.of(fit_item_models(each, seed=1).fits[kind].holdout, each.before_test, data.n_users), holdout)
        for each in (data, shuffled(data))
    )
    assert found > 2 * popularity
    assert blind - popularity < 0.2 * (found - popularity), "what is left is luck with a hundred users"


@every_kind
def test_no_later_row_reaches_what_is_measured(data: TrainingSet, models: ItemModels, kind: TableKind) -> None:
    """A planted future: every user takes up item 0 in the test period, with the weight of a bestseller."""
    users = np.arange(data.n_users)
    planted = Pairs.of(users, np.zeros(data.n_users), weight=np.full(data.n_users, 9.0))
    future = replace(data, test=planted, full=Pairs.of(*_both(data.full, planted)), since_live=planted)
    again = fit_item_models(future, seed=1).fits[kind]
    assert again.recipe == models.fits[kind].recipe
    for name, array in again.holdout.arrays.items():
        assert np.array_equal(array, models.fits[kind].holdout.arrays[name]), name
    assert not np.array_equal(again.release.values, models.fits[kind].release.values)


def _both(some: Pairs, others: Pairs) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([some.user_row, others.user_row]),
        np.concatenate([some.item_row, others.item_row]),
    )


@every_kind
def test_the_validation_period_chooses(kind: TableKind) -> None:
    """Everybody takes up what is new in the last weeks, whatever they had: only the prior can know."""
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(60), 8), rng.integers(0, 20, 480)
    item = np.where(np.arange(480) % 8 >= 6, 20 + rng.integers(0, 6, 480), item)
    age = np.where(item >= 20, 1.0, 90.0)
    validation = Pairs.of(np.arange(60), 20 + (np.arange(60) * 5) % 6)
    data = replace(two_communities(), train=Pairs.of(user, item, age_days=age), validation=validation)
    chosen = choose(data, kind, seed=1)
    assert chosen.recipe.popularity_weight > 0
    assert chosen.ndcg_at_10 is not None and chosen.ndcg_at_10 > 0.5
    few = choose(replace(data, validation=Pairs.of(np.arange(10), validation.item_row[:10])), kind, seed=1)
    assert (few.recipe, few.ndcg_at_10) == (START[kind], None)


@every_kind
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_many_users_get_the_numbers_of_one(data: TrainingSet, kind: TableKind, weight: float) -> None:
    recipe = (KnnRecipe if kind == "item_knn" else EaseRecipe)(popularity_weight=weight)
    table = recipe.table(data.full, data.n_users, data.n_items)
    table.check()
    found = TableScorer.of(table, data.full, data.n_users).scores(np.arange(data.n_users, dtype=np.int32)).numpy()
    history = data.full.csr(data.n_users, data.n_items)
    for user in range(data.n_users):
        rows = history.indices[history.indptr[user] : history.indptr[user + 1]].astype(np.int32)
        np.testing.assert_allclose(found[user], table.scores(rows), atol=2e-5)
    nobody = TableScorer.of(table, Pairs.empty(), 1).scores(np.array([0], dtype=np.int32)).numpy()
    assert np.array_equal(nobody[0], table.prior)


def test_the_same_data_and_seed_give_the_same_bits(data: TrainingSet, models: ItemModels) -> None:
    assert fit_item_models(data, seed=1).digest == models.digest
    assert fit_item_models(two_communities(live_until=1000), seed=1).digest != models.digest


def test_what_is_kept_comes_back(data: TrainingSet, models: ItemModels, tmp_path: Path) -> None:
    folder = UPath(tmp_path)
    models.save(folder)
    again = ItemModels.load(folder, data)
    assert again.digest == models.digest
    assert {kind: each.ndcg_at_10 for kind, each in again.fits.items()} == {
        kind: each.ndcg_at_10 for kind, each in models.fits.items()
    }
    other_live = ItemModels.load(folder, two_communities(live_until=1080))
    assert [each.before_live for each in other_live.fits.values()] == [None, None]
    with pytest.raises(CorruptArtifact, match="another training set"):
        ItemModels.load(folder, two_communities(rows=1100))
    (tmp_path / "ease_holdout.npz").write_bytes(b"PK")
    with pytest.raises(CorruptArtifact, match=r"ease_holdout\.npz is missing or damaged; materialise item_models"):
        ItemModels.load(folder, data)
    (tmp_path / DOCUMENT).write_text("{}")
    with pytest.raises(CorruptArtifact, match=r"item_models\.json is damaged"):
        ItemModels.load(folder, data)


def test_a_kind_that_is_gone_leaves_no_table_behind(
    data: TrainingSet, models: ItemModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.save(UPath(tmp_path))
    monkeypatch.setattr(ease, "MAX_SIDE", 29)
    monkeypatch.setattr(item_knn, "MAX_PRODUCTS", 29)
    none = fit_item_models(data, seed=1)
    none.save(UPath(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == [DOCUMENT]
    loaded = ItemModels.load(UPath(tmp_path), data)
    assert (dict(loaded.fits), loaded.digest) == ({}, none.digest)
    assert set(loaded.left_out) == set(KINDS)


def test_without_a_test_period_none_is_fitted() -> None:
    found = fit_item_models(two_communities(rows=1), seed=1)
    assert not found.fits
    assert set(found.left_out.values()) == {
        "1 interactions at too few different times to split into train, validation and test."
    }


@pytest.mark.parametrize(("users", "items"), [(1, 20), (20, 1), (2, 2)])
def test_the_smallest_shops(users: int, items: int) -> None:
    data = two_communities(users=users, items=items, rows=60)
    models = fit_item_models(data, seed=1)
    assert set(models.fits) == set(KINDS)
    for fitted in models.fits.values():
        for table in (fitted.holdout, fitted.release):
            table.check()
            ranked, _ = TableScorer.of(table, data.full, data.n_users).top_k(np.zeros(1, np.int32), 3, None)
            assert ranked.shape == (1, 3)


def test_it_asks_before_every_kind(data: TrainingSet) -> None:
    class Stop(Exception):
        pass

    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise Stop

    with pytest.raises(Stop):
        fit_item_models(data, seed=1, before_each=ask)
    assert len(asked) == 2
