"""The search for hyper-parameters, on a shop of two communities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.vectors import Diverged
from recsaas_assets.recommender.lifecycle.model_config import default_config
from recsaas_assets.recommender.lightgcn.config import defaults_for
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, TrainingCancelled
from recsaas_assets.recommender.search.chosen_config import chosen_config, usable_result
from recsaas_assets.recommender.search.search import Budget, SearchTask, search
from recsaas_assets.recommender.search.search_report import HEADER, rows, trials_png
from recsaas_assets.recommender.search.search_result import (
    SearchResult,
    Study,
    Trial,
    best_file,
    forget,
    study_file,
)
from recsaas_assets.recommender.search.search_space import (
    Choice,
    Numbers,
    decode,
    encode,
    space_of,
)
from resources.base.errors import CorruptArtifact, InvalidInput
from resources.tenants.model_configs import LightGCNConfig
from resources.tenants.settings import TrainingSettings
from tests.unit.recsaas_assets.recommender.communities import shop

# A weak start: much better configurations are near.
WEAK = LightGCNConfig(dim=4, steps=6, negatives=8, learning_rate=0.001, evaluate_every=2, patience=2)
SEVEN = Budget(trials=7, minutes=5)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return shop()


def run(data: TrainingSet, folder: Path, config: LightGCNConfig = WEAK, **options: Any) -> tuple[SearchResult, Study]:
    callbacks = {name: options.pop(name) for name in ("on_trial", "on_epoch", "should_stop") if name in options}
    task = SearchTask(data, config, **{"seed": 1, "budget": SEVEN, **options})
    return search(task, UPath(folder), **callbacks)


def comparable(study: Study) -> list[Trial]:
    return [trial.model_copy(update={"seconds": 0.0}) for trial in study.trials]


@pytest.fixture(scope="module")
def searched(data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, Study, Path]:
    folder = tmp_path_factory.mktemp("search")
    return *run(data, folder), folder


def test_it_starts_from_the_defaults_and_finds_what_is_clearly_better(tmp_path: Path) -> None:
    """Among 200 users, half of whom like what the other half does not."""
    result, study = run(shop(n_users=200, rows=1800), tmp_path)
    assert result.default_ndcg_at_10 == study.trials[0].ndcg_at_10 < result.ndcg_at_10 == result.best_seen_ndcg_at_10
    assert result.hyperparameters == study.best().hyperparameters


def test_a_lead_that_may_be_luck_leaves_the_defaults(searched: tuple[SearchResult, Study, Path]) -> None:
    """Thirteen users say little."""
    result, study, folder = searched
    first = study.trials[0]
    assert (first.number, first.state, first.hyperparameters["learning_rate"]) == (0, "finished", 0.001)
    assert result.ndcg_at_10 == result.default_ndcg_at_10 == first.ndcg_at_10 < result.best_seen_ndcg_at_10
    assert result.hyperparameters == {}
    assert (result.trials, result.ended_by) == (7, "trials")
    assert SearchResult.load(UPath(folder), "lightgcn") == result
    assert len(rows(study)) == 7 and all(len(row) == len(HEADER) for row in rows(study))
    assert trials_png(study).startswith(b"\x89PNG")


def test_what_was_compared_once_is_not_fitted_again(
    data: TrainingSet, searched: tuple[SearchResult, Study, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, study, folder = searched
    assert study.verdict is not None and (study.verdict.trial, study.verdict.clear) == (study.best().number, False)
    monkeypatch.setattr("recsaas_assets.recommender.search.search.fit_model", None)  # a fit would fail
    assert run(data, folder) == (result, study)


def test_nothing_better_leaves_the_defaults(data: TrainingSet, tmp_path: Path) -> None:
    result, _ = run(data, tmp_path, budget=Budget(trials=1, minutes=5))
    assert (result.hyperparameters, result.ndcg_at_10) == ({}, result.default_ndcg_at_10)


def test_a_killed_search_goes_on_as_if_nothing_had_happened(
    data: TrainingSet, searched: tuple[SearchResult, Study, Path], tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def die(number: int, progress: EpochProgress) -> None:
        if number == 4:
            raise Killed

    with pytest.raises(Killed):
        run(data, tmp_path, on_epoch=die)
    assert not (tmp_path / best_file("lightgcn")).exists()
    fresh: list[int] = []
    _, study = run(data, tmp_path, on_trial=lambda trial, _: fresh.append(trial.number))
    assert fresh == [4, 5, 6]
    assert comparable(study) == comparable(searched[1])


def test_the_same_question_is_answered_at_once_and_another_one_anew(data: TrainingSet, tmp_path: Path) -> None:
    short = Budget(trials=2, minutes=5)
    told: list[int] = []

    def asked(data: TrainingSet, seed: int = 1) -> int:
        told.clear()
        run(data, tmp_path, budget=short, seed=seed, on_trial=lambda trial, _: told.append(trial.number))
        return len(told)

    assert [asked(data), asked(data), asked(data, 2), asked(shop(hours_later=1), 2)] == [2, 0, 2, 2]
    (tmp_path / study_file("lightgcn")).write_text("{}")
    assert asked(data, 2) == 2


def test_what_is_worse_than_most_is_given_up(data: TrainingSet, tmp_path: Path) -> None:
    start = WEAK.model_copy(update={"steps": 60, "learning_rate": 0.1, "patience": 100})
    _, study = run(data, tmp_path, start, budget=Budget(trials=12, minutes=5))
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned and all(trial.ndcg_at_10 is None and trial.looks for trial in pruned)
    assert study.best() not in pruned


@pytest.mark.parametrize("stopped_by", ["time", "person"])
def test_the_budget_and_a_person_end_it(data: TrainingSet, tmp_path: Path, stopped_by: str) -> None:
    if stopped_by == "time":
        result, study = run(data, tmp_path, budget=Budget(trials=50, minutes=1e-9))
        assert (len(study.trials), result.ended_by) == (1, "minutes")
        return
    done: list[int] = []
    with pytest.raises(TrainingCancelled):
        run(data, tmp_path, on_trial=lambda trial, _: done.append(trial.number), should_stop=lambda: len(done) == 2)
    assert done == [0, 1]


def test_without_a_validation_period_it_says_why(data: TrainingSet, tmp_path: Path) -> None:
    split = data.split.model_copy(update={"evaluable": False, "reason": "3 interactions at one time."})
    alone = TrainingSet(**{**{name: getattr(data, name) for name in data.__dataclass_fields__}, "split": split})
    with pytest.raises(InvalidInput, match=r"3 interactions at one time\. Upload interactions"):
        run(alone, tmp_path)


def test_a_start_that_diverges_is_said(data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(*_: object, **__: object) -> None:
        raise Diverged("not finite")

    monkeypatch.setattr("recsaas_assets.recommender.search.search.fit_model", diverges)
    with pytest.raises(InvalidInput, match="lower its learning_rate"):
        run(data, tmp_path)


def test_what_the_tenant_has_fixed_is_not_searched() -> None:
    config = defaults_for(1000, 1000, 10_000)
    space = space_of(config, {"temperature": 0.3})
    assert "temperature" not in space and "learning_rate" in space
    values = config.model_dump(mode="json")
    assert decode(space, encode(space, values)) == {name: values[name] for name in space}
    assert "l2" in space_of(config.model_copy(update={"loss": "bpr"}), {})
    assert "popularity_prior" in space_of(default_config("two_tower", 1000, 1000, 10_000), {})
    assert "horizon" in space_of(default_config("sequence", 1000, 1000, 10_000), {})


def test_a_space_is_wide_enough_for_the_start() -> None:
    assert Numbers(0.1, 1, log=True).including(0) == Numbers(0, 1, log=False)
    assert Numbers(1, 5).including(9) == Numbers(1, 9)
    assert Choice((1, 2)).including(3) == Choice((3, 1, 2))


def found(change: Callable[[dict[str, object]], None] = lambda fields: None) -> SearchResult:
    fields: dict[str, object] = {
        "model_type": "lightgcn",
        "hyperparameters": {"learning_rate": 0.02, "temperature": 0.3},
        "fixed": {},
        "ndcg_at_10": 0.2,
        "best_seen_ndcg_at_10": 0.2,
        "default_ndcg_at_10": 0.1,
        "trials": 3,
        "seconds": 1.0,
        "ended_by": "trials",
        "seed": 1,
        "fingerprint": "f",
        "n_users": 10,
        "n_items": 10,
        "n_pairs": 100,
    }
    change(fields)
    return SearchResult.model_validate(fields)


def test_defaults_then_search_then_the_tenant() -> None:
    defaults = defaults_for(10, 10, 100)
    settings = TrainingSettings(hyperparameters={"temperature": 0.5})
    chosen = chosen_config(settings, found(), 10, 10, 100)
    assert (chosen.learning_rate, chosen.temperature) == (0.02, 0.5)
    assert chosen.popularity_weight == defaults.popularity_weight
    assert chosen_config(TrainingSettings(), None, 10, 10, 100) == defaults
    for other in (
        chosen_config(TrainingSettings(), found(), 10, 10, 1000),
        chosen_config(TrainingSettings(), found(lambda f: f.update(model_type="two_tower")), 10, 10, 100),
    ):
        assert other.learning_rate != 0.02


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        (
            {"learning_rat": 1},
            r"training\.hyperparameters\.learning_rat: not one of lightgcn, which has .*steps",
        ),
        ({"dim": 1}, r"training\.hyperparameters\.dim: .*greater than or equal to 2"),
        ({"dim": "many", "steps": 0}, r"hyperparameters\.dim: .*; training\.hyperparameters\.steps: "),
        ({"model_type": "two_tower"}, r"hyperparameters\.model_type: not one of lightgcn"),
    ],
)
def test_what_does_not_fit_is_named(hyperparameters: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        chosen_config(TrainingSettings.model_validate({"hyperparameters": hyperparameters}), None, 10, 10, 100)


def test_a_result_of_another_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact, match="--forget"):
        chosen_config(TrainingSettings(), found(lambda f: f.update(hyperparameters={"gone": 1})), 10, 10, 100)
    folder = UPath(tmp_path)
    assert SearchResult.load(folder, "lightgcn") is None
    for content in ('{"model_type": "other"}', "{"):
        (tmp_path / best_file("lightgcn")).write_text(content)
        with pytest.raises(CorruptArtifact, match="--forget"):
            SearchResult.load(folder, "lightgcn")
    assert forget(folder) and not forget(folder)


def test_a_run_uses_what_it_can_and_says_why_not(tmp_path: Path) -> None:
    folder, size = UPath(tmp_path), (10, 10, 100)
    assert usable_result(folder, TrainingSettings(), *size) == (None, "none")
    good = found()
    good.save(folder)
    assert usable_result(folder, TrainingSettings(), *size) == (good, "used: found on 100 pairs, now 100")
    stale = usable_result(folder, TrainingSettings(), 10, 10, 1000)
    assert stale == (None, "not used: found on 100 pairs, now 1000")
    found(lambda f: f.update(hyperparameters={"gone": 1})).save(folder)
    other_version = usable_result(folder, TrainingSettings(), *size)
    assert other_version[0] is None and "does not fit this version" in other_version[1]
    (tmp_path / best_file("lightgcn")).write_text("{")
    unreadable = usable_result(folder, TrainingSettings(), *size)
    assert unreadable[0] is None and "is not the result of a search" in unreadable[1]


def test_each_model_type_has_a_result_of_its_own(tmp_path: Path) -> None:
    folder = UPath(tmp_path)
    two_tower = found(lambda f: f.update(model_type="two_tower", hyperparameters={}))
    for each in (found(), two_tower):
        each.save(folder)
    assert usable_result(folder, TrainingSettings(), 10, 10, 100)[0] == found()
    assert usable_result(folder, TrainingSettings(model_type="two_tower"), 10, 10, 100)[0] == two_tower
