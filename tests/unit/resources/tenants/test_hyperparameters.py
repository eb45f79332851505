"""The names that a request may use for hyper-parameters, and the values that they take."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest

from recsaas_assets.recommender.lifecycle.model_config import parse_config
from resources.base.errors import InvalidInput
from resources.tenants.hyperparameters import USUAL_NAMES, accepted_names, layer_weights, own_hyperparameters
from resources.tenants.model_configs import LightGCNConfig, SequenceConfig, TwoTowerConfig
from resources.tenants.settings import ModelType, TrainingSettings
from resources.tenants.training_request import TrainingKind, TrainingRequest


@pytest.mark.parametrize(
    ("model_type", "config"),
    [("lightgcn", LightGCNConfig), ("two_tower", TwoTowerConfig), ("sequence", SequenceConfig)],
)
def test_what_is_accepted_is_what_training_takes(model_type: ModelType, config: type[Any]) -> None:
    fields = set(config.model_fields) - {"model_type"}
    assert fields | set(USUAL_NAMES[model_type]) == set(accepted_names(model_type))
    assert set(USUAL_NAMES[model_type].values()) <= fields
    defaults = config().model_dump(mode="json", exclude={"model_type"})
    said = {name: value for name, value in defaults.items() if value is not None}  # null leaves it out
    assert own_hyperparameters(model_type, defaults) == said
    assert config.model_validate(said) == config()


def test_every_model_type_has_its_names() -> None:
    assert set(USUAL_NAMES) == set(get_args(ModelType))


def test_the_usual_names_become_ours_and_train() -> None:
    usual = {"embedding_dim": 16, "num_layers": 3, "learning_rate": 0.1, "epochs": 5, "negative_samples": 64}
    own = own_hyperparameters("lightgcn", {**usual, "batch_size": 512})
    assert own == {
        "dim": 16,
        "layer_weights": [0.05, 0.15, 0.3, 0.5],
        "learning_rate": 0.1,
        "steps": 5,
        "negatives": 64,
        "batch_size": 512,
    }
    assert parse_config({"model_type": "lightgcn", **own}).steps == 5
    assert own_hyperparameters("two_tower", {"batch_size": 512}) == {"user_block": 512}


def test_two_layers_are_the_layers_that_the_model_has_anyway() -> None:
    assert layer_weights(2) == pytest.approx(list(LightGCNConfig().layer_weights))
    assert layer_weights(0) == [1.0]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"embeding_dim": 8}, "embeding_dim"),
        ({"model_type": "two_tower"}, "model_type"),
        ({"embedding_dim": 1}, "embedding_dim"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": 10**9}, "epochs"),
        ({"dim": 8, "embedding_dim": 8}, "embedding_dim"),
        ({"num_layers": 11}, "num_layers"),
        ({"num_layers": 1.5}, "num_layers"),
        ({"layer_weights": [1.0, "x"]}, "layer_weights.1"),
        ({"layer_weights": [0.1] * 12}, "layer_weights"),
    ],
)
def test_what_does_not_fit_is_named_as_it_was_sent(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        own_hyperparameters("lightgcn", given)
    assert [problem.field for problem in refused.value.details] == [f"hyperparameters.{field}"]


def test_a_name_of_the_other_model_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"num_layers: not one of two_tower, which has batch_size, .*hidden"):
        own_hyperparameters("two_tower", {"num_layers": 2})


def test_checking_loads_neither_torch_nor_the_pipeline() -> None:
    loaded = "print([n for n in ('torch', 'recsaas_assets') if n in sys.modules])"
    code = f"import sys, resources.tenants.hyperparameters; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_request_stands_above_the_tenant_s_settings() -> None:
    settings = TrainingSettings(hyperparameters={"dim": 8, "steps": 9}, search=True, tolerance=0.2)
    same = TrainingRequest(kind=TrainingKind.TRAIN, model_type="lightgcn")
    assert same.over(settings) == settings
    own = TrainingRequest(
        kind=TrainingKind.TRAIN, model_type="lightgcn", hyperparameters={"steps": 3}, mode="incremental"
    ).over(settings)
    assert (own.hyperparameters, own.mode, own.search, own.tolerance) == (
        {"dim": 8, "steps": 3},
        "incremental",
        False,
        0.2,
    )
    other = TrainingRequest(kind=TrainingKind.TRAIN, model_type="two_tower").over(settings)
    assert (other.model_type, other.hyperparameters, other.search) == ("two_tower", {}, False)
