from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TimeSplit
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.report import Difference, LiveSummary
from recsaas_assets.recommender.second_stage.examples import Examples
from recsaas_assets.recommender.second_stage.model import SecondStageModel, train_second_stage, why_not
from recsaas_assets.recommender.second_stage.trees import NothingToLearn, fit_trees
from resources.base.errors import CorruptArtifact
from tests.unit.recsaas_assets.recommender.second_stage.conftest import Case


@pytest.fixture(scope="module")
def trained(case: Case) -> SecondStageModel:
    return train_second_stage(case.data, case.model, case.catalogue, seed=1)


def test_what_the_features_tell_and_the_model_does_not_goes_live(trained: SecondStageModel) -> None:
    verdict = trained.verdict

    assert verdict.goes_live and "goes live" in verdict.reason
    assert verdict.difference is not None and verdict.difference.low > 0.2
    assert "price" in max(verdict.gains, key=lambda name: verdict.gains[name])


def test_the_test_period_decides_and_teaches_nothing(case: Case, trained: SecondStageModel) -> None:
    # In the test period people take something else, and that row of the future is in `full` too.
    other = Pairs.of(case.data.test.user_row, case.data.test.item_row - 10)
    future = Pairs.of([*case.data.full.user_row, *other.user_row], [*case.data.full.item_row, *other.item_row])

    again = train_second_stage(replace(case.data, test=other, full=future), case.model, case.catalogue, seed=1)

    assert not again.verdict.goes_live
    assert again.verdict.reason.startswith("The second stage is dropped: it ")
    assert again.trees == trained.trees


def test_shuffled_labels_do_not_go_live(case: Case) -> None:
    users = np.arange(case.data.n_users)
    shuffled = Pairs.of(users, np.random.default_rng(4).integers(0, case.data.n_items, len(users)))

    trained = train_second_stage(replace(case.data, validation=shuffled), case.model, case.catalogue, seed=1)

    assert not trained.verdict.goes_live


def test_the_same_data_and_seed_give_the_same_bits(case: Case, trained: SecondStageModel) -> None:
    again = train_second_stage(case.data, case.model, case.catalogue, seed=1)

    assert (again.trees, again.verdict) == (trained.trees, trained.verdict)


def test_with_few_users_to_learn_from_it_is_not_worth_its_time(case: Case) -> None:
    assert "79 users to learn from" in why_not(case.data)
    assert "training.second_stage=true" in why_not(case.data)
    more = Pairs.of(np.arange(120) % 80, 20 + np.arange(120) // 80)
    assert "79 users" in why_not(replace(case.data, validation=more))  # two items of one user are no second user
    split = TimeSplit(evaluable=False, reason="one time only")
    assert why_not(replace(case.data, split=split)) == "one time only"


def test_what_is_stored_comes_back_and_belongs_to_one_model(
    case: Case, trained: SecondStageModel, tmp_path: Path
) -> None:
    trained.save(UPath(tmp_path))

    loaded = SecondStageModel.load(UPath(tmp_path), case.model)

    assert (loaded.verdict, loaded.trees) == (trained.verdict, trained.trees)
    assert SecondStageModel.is_stored(UPath(tmp_path)) and not SecondStageModel.is_stored(UPath(tmp_path / "new"))
    with pytest.raises(CorruptArtifact, match="another model"):
        SecondStageModel.load(UPath(tmp_path), replace(case.model, release=case.model.holdout))


def test_trees_of_an_earlier_version_are_not_released(case: Case, trained: SecondStageModel, tmp_path: Path) -> None:
    trained.save(UPath(tmp_path))
    file = tmp_path / "second_stage.json"
    file.write_text(file.read_text().replace('"features": 2', '"features": 1').replace('"features":2', '"features":1'))

    with pytest.raises(CorruptArtifact, match="earlier version; materialise second_stage_model again"):
        SecondStageModel.load(UPath(tmp_path), case.model)


def test_nothing_is_fitted_on_few_users(case: Case) -> None:
    few = case.data.validation.of_users(np.arange(case.data.n_users) < 30)

    trained = train_second_stage(replace(case.data, validation=few), case.model, case.catalogue, seed=1)

    assert trained.trees is None and not trained.verdict.goes_live
    assert "at least 40 are needed" in trained.verdict.reason


def test_nothing_is_fitted_where_trees_find_nothing() -> None:
    noise = np.random.default_rng(5)
    labels = np.tile(np.array([1, 0, 0], np.int8), 40)  # the retrieval's order is right already
    features = np.tile(np.array([[0, 0, 1], [0, 1, 0], [0, 2, -1]], np.float32), (40, 1))
    features = np.column_stack([features, noise.random((120, 1), np.float32)])
    examples = Examples(features, labels, groups=np.full(40, 3), targets=np.ones(40, np.int64))

    with pytest.raises(NothingToLearn, match="better than the model does"):
        fit_trees(examples, ("score", "place", "standard_score", "noise"), seed=1)


def test_a_model_without_its_search_fit_has_no_second_stage(case: Case) -> None:
    trained = train_second_stage(case.data, replace(case.model, search=None), case.catalogue, seed=1)

    assert trained.verdict.reason == "No second stage: the model was trained without it; train the model again."


def test_a_successor_of_a_second_stage_needs_to_be_better_on_average_only(trained: SecondStageModel) -> None:
    def stage(value: float) -> SecondStageModel:
        unsure = Difference(value=value, low=value - 0.01, high=value + 0.01, users=90, reference=0.1)
        verdict = trained.verdict.model_copy(update={"goes_live": False, "difference": unsure})
        return replace(trained, verdict=verdict)

    with_one, without = (LiveSummary(version="1", algorithm="lightgcn", second_stage=each) for each in (0.01, None))
    kept = stage(0.004).after(with_one)
    assert kept.verdict.goes_live
    assert kept.gain == 0.004
    assert "better on average" in kept.verdict.reason
    for dropped in (stage(0.004).after(without), stage(0.004).after(None), stage(-0.001).after(with_one)):
        assert not dropped.verdict.goes_live
        assert dropped.gain == 0
    assert not replace(stage(0.004), trees=None).after(with_one).verdict.goes_live
