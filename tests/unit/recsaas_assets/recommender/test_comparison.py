"""Candidate against live release: what each may have seen, and who wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import sparse

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.comparison import NotComparable, compare_with_live
from recsaas_assets.recommender.evaluation.gate import decide
from recsaas_assets.recommender.evaluation.live_model import TABLE_RECIPE, LiveModel
from recsaas_assets.recommender.evaluation.model_report import report_on
from recsaas_assets.recommender.evaluation.report_text import how_compared
from recsaas_assets.recommender.item_models.fitted import FittedTable
from recsaas_assets.recommender.item_models.recipes import item_table_of
from recsaas_assets.recommender.lifecycle.model_config import default_config
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from tests.unit.recsaas_assets.recommender.live_shop import (
    CONFIG,
    START,
    as_live,
    item_models_of,
    shuffled,
    two_communities,
)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return two_communities(live_until=1090)


@pytest.fixture(scope="module")
def model(data: TrainingSet) -> TrainedModel:
    return train(TrainingInputs(data), CONFIG, seed=1)


def test_the_candidate_is_fitted_on_what_the_release_has_seen(data: TrainingSet, model: TrainedModel) -> None:
    """Other rows since the release: the vectors that are compared with it stay as they are."""
    assert model.before_live is not None
    assert not len(data.before_live.without(data.full, data.n_items))
    later = replace(data, since_live=data.test, full=shuffled(data).full)
    again = train(TrainingInputs(later), CONFIG, seed=1).before_live
    assert again is not None
    assert np.array_equal(again.users, model.before_live.users)
    assert np.array_equal(again.items, model.before_live.items)


def test_the_same_vectors_are_a_draw(data: TrainingSet, model: TrainedModel) -> None:
    found = compare_with_live(data, model, as_live(data, model), seed=0)
    assert (found.holdout, found.since) == ("since_live", data.split.live_until)
    assert found.users >= 20
    assert {(d.value, d.low, d.high) for d in found.differences.values()} == {(0.0, 0.0, 0.0)}
    assert found.against_popularity.low > 0
    assert set(found.cohorts) == {"tail_items", "many_interactions"}, "the other cohorts have too few users"


def test_a_candidate_of_shuffled_labels_is_held_with_a_readable_reason(data: TrainingSet, model: TrainedModel) -> None:
    candidate = train(TrainingInputs(shuffled(data)), CONFIG, seed=1)
    found = compare_with_live(data, candidate, as_live(data, model), seed=0)
    assert found.differences["ndcg@10"].high < 0
    report = report_on(data, model, item_models_of(data), seed=0).model_copy(update={"comparison": found})
    verdict = decide(report.model_copy(update={"live": as_live(data, model).summary}))
    assert verdict.outcome == "hold"
    assert verdict.reasons[0].startswith(
        "Held, the live release stays: the candidate is worse than release 20240101T000000Z-00000000: NDCG@10 −0."
    )


def test_users_without_a_vector_are_answered_by_popularity(data: TrainingSet, model: TrainedModel) -> None:
    popularity = np.random.default_rng(0).permutation(data.n_items).astype(np.float64)
    live = replace(as_live(data, model), popularity=np.concatenate([[99.0], popularity[::-1]]))
    stranger = replace(live, user_vectors=np.zeros_like(live.user_vectors))
    by_popularity = replace(live, algorithm="popularity", user_vectors=live.user_vectors[:0])
    known = np.ones(data.n_items, dtype=bool)
    users = np.arange(5, dtype=np.int32)
    expected = np.argsort(-popularity)[:10]
    for each in (stranger, by_popularity):
        rows, _ = each.scorer(data, known).top_k(users, 10, None)
        assert rows.tolist() == [expected.tolist()] * 5


def test_an_item_the_release_does_not_know_is_never_in_its_lists(data: TrainingSet, model: TrainedModel) -> None:
    live = as_live(data, model)
    short = replace(
        live, item_ids=live.item_ids[:-1], item_vectors=live.item_vectors[:-1], popularity=live.popularity[:-1]
    )
    rows, _ = short.scorer(data, np.ones(data.n_items, dtype=bool)).top_k(np.arange(60, dtype=np.int32), 40, None)
    assert set(rows.ravel()) == {-1, *range(1, data.n_items)}
    assert (rows[:, -1] == -1).all()


def test_hardly_anything_new_fits_the_recipe_of_the_release_again(model: TrainedModel, data: TrainingSet) -> None:
    fresh = two_communities(live_until=1199)
    candidate = train(TrainingInputs(fresh), CONFIG, seed=1)
    assert candidate.before_live is None
    same = as_live(data, model, hyperparameters={**CONFIG.model_dump(mode="json"), "epochs": candidate.epochs})
    drawn = compare_with_live(fresh, candidate, same, seed=0)
    assert (drawn.holdout, drawn.same_recipe, drawn.since) == ("test", True, fresh.split.test_start)
    other = compare_with_live(fresh, candidate, replace(same, seed=2), seed=0)
    assert not other.same_recipe
    assert other.differences["ndcg@10"].value != 0
    incremental = replace(candidate, start=candidate.start.model_copy(update={"mode": "incremental"}))
    assert not compare_with_live(fresh, incremental, same, seed=0).same_recipe
    recipe = {**same.hyperparameters, "start": "incremental"}
    unknown = compare_with_live(fresh, candidate, replace(same, hyperparameters=recipe), seed=0)
    assert (unknown.same_recipe, unknown.live_start) == (True, "incremental")
    assert "the two cannot be told apart" in how_compared(unknown)


def test_another_release_than_the_set_was_split_for_is_compared_by_recipe(
    data: TrainingSet, model: TrainedModel
) -> None:
    """It may have seen what the split takes for new."""
    newer = as_live(data, model, events_until=START + timedelta(hours=1150))
    assert compare_with_live(data, model, newer, seed=0).holdout == "test"


def test_an_unreadable_recipe_is_said_and_not_guessed(data: TrainingSet, model: TrainedModel) -> None:
    fresh, live = two_communities(live_until=1199), as_live(data, model, hyperparameters={"epochs": 3, "magic": 1})
    candidate = replace(model, before_live=None)
    with pytest.raises(NotComparable, match="cannot repeat"):
        compare_with_live(fresh, candidate, live, seed=0)
    report = report_on(fresh, candidate, item_models_of(fresh), seed=0, live=live)
    assert report.comparison is None
    verdict = decide(report)
    assert verdict.outcome == "hold"
    assert "Not compared with the live release: release 2024" in verdict.reasons[0]


def test_a_two_tower_recipe_is_not_repeated_without_its_features(data: TrainingSet, model: TrainedModel) -> None:
    recipe = default_config("two_tower", 60, 30, 900).model_dump(mode="json")
    live = as_live(data, model, algorithm="two_tower", hyperparameters={**recipe, "epochs": 2})
    with pytest.raises(NotComparable, match="no features to repeat it"):
        compare_with_live(two_communities(live_until=1199), replace(model, before_live=None), live, seed=0)


def test_without_anybody_to_evaluate_nothing_is_compared(data: TrainingSet, model: TrainedModel) -> None:
    nobody = replace(data, test=Pairs.empty(), since_live=Pairs.empty())
    with pytest.raises(NotComparable, match="nobody can be evaluated"):
        compare_with_live(nobody, model, as_live(data, model), seed=0)


@pytest.fixture(scope="module")
def knn(data: TrainingSet) -> FittedTable:
    return item_models_of(data).fits["item_knn"]


def live_table(data: TrainingSet, model: TrainedModel, fitted: FittedTable) -> LiveModel:
    """The release that the table fitted on ``before_live`` would have become, in the rows of `as_live`."""
    assert fitted.before_live is not None
    turned = np.arange(data.n_items)[::-1]
    weights = sparse.csr_array(
        (fitted.before_live.values, fitted.before_live.items, fitted.before_live.indptr), shape=(data.n_items,) * 2
    )
    moved = sparse.csr_array(sparse.block_diag([sparse.csr_array((1, 1)), weights[turned][:, turned]], format="csr"))
    moved.sort_indices()
    table = item_table_of(moved, np.concatenate([[5.0], fitted.before_live.prior[turned]]).astype(np.float32))
    table.check()
    recipe = {TABLE_RECIPE: fitted.recipe.model_dump(mode="json")}
    plain = as_live(data, model)
    return replace(plain, algorithm="item_knn", item_table=table, hyperparameters={**plain.hyperparameters, **recipe})


def test_a_live_table_answers_for_itself(data: TrainingSet, model: TrainedModel, knn: FittedTable) -> None:
    live = live_table(data, model, knn)
    found = compare_with_live(data, model, live, seed=0, fitted=knn)
    assert (found.holdout, found.same_recipe) == ("since_live", False)
    assert {(d.value, d.low, d.high) for d in found.differences.values()} == {(0.0, 0.0, 0.0)}, "the same table"
    against_vectors = compare_with_live(data, model, live, seed=0)
    assert against_vectors.models["live"] == found.models["live"]
    assert against_vectors.models["candidate"] != found.models["candidate"]
    turned = compare_with_live(data, model, as_live(data, model), seed=0, fitted=knn)
    assert turned.models["live"] == against_vectors.models["candidate"]
    assert turned.differences["ndcg@10"].value == pytest.approx(-against_vectors.differences["ndcg@10"].value)


def test_the_recipe_of_a_live_table_is_repeated_where_hardly_anything_is_new(
    data: TrainingSet, model: TrainedModel, knn: FittedTable
) -> None:
    fresh = two_communities(live_until=1199)
    fitted = replace(item_models_of(fresh).fits["item_knn"], recipe=knn.recipe)
    candidate = replace(model, before_live=None)
    live = live_table(data, model, knn)
    same = compare_with_live(fresh, candidate, live, seed=0, fitted=fitted)
    assert (same.holdout, same.same_recipe) == ("test", True)
    other = replace(fitted, recipe=knn.recipe.model_copy(update={"popularity_weight": 3.0}))
    assert not compare_with_live(fresh, candidate, live, seed=0, fitted=other).same_recipe
    recipe = {**live.hyperparameters, TABLE_RECIPE: {"kind": "magic"}}
    with pytest.raises(NotComparable, match="cannot repeat"):
        compare_with_live(fresh, candidate, replace(live, hyperparameters=recipe), seed=0)


def test_a_table_against_vectors_of_the_candidates_own_recipe(data: TrainingSet, model: TrainedModel) -> None:
    fresh = two_communities(live_until=1199)
    candidate = train(TrainingInputs(fresh), CONFIG, seed=1)
    live = as_live(data, model, hyperparameters={**CONFIG.model_dump(mode="json"), "epochs": candidate.epochs})
    fitted = item_models_of(fresh).fits["ease"]
    found = compare_with_live(fresh, candidate, live, seed=0, fitted=fitted)
    assert (found.holdout, found.same_recipe) == ("test", False)
    assert found.differences["ndcg@10"].value != 0


def test_the_report_compares_the_contender_too(data: TrainingSet, model: TrainedModel) -> None:
    blind = train(TrainingInputs(shuffled(data)), CONFIG, seed=1)
    tables = item_models_of(data)
    report = report_on(data, blind, tables, seed=0, live=as_live(data, model))
    assert report.contender in tables.fits
    assert report.comparison is not None and report.contender_comparison is not None
    assert report.tables_digest == tables.digest
    ours, theirs = (each.models["candidate"]["ndcg@10"] for each in (report.contender_comparison, report.comparison))
    assert ours > theirs
    assert decide(report).serves == report.contender
