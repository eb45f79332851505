"""Hyper-parameters as requests name them: which names there are, what values they take, and our own names for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from resources.base.client_input import told
from resources.base.errors import FieldProblem, InvalidInput
from resources.base.suggestions import nearest_name
from resources.tenants.model_configs import LightGCNConfig, TwoTowerConfig
from resources.tenants.settings import ModelType

_CONFIGS: Mapping[ModelType, type[BaseModel]] = {"lightgcn": LightGCNConfig, "two_tower": TwoTowerConfig}
USUAL_NAMES: Mapping[ModelType, Mapping[str, str]] = {
    "lightgcn": {
        "embedding_dim": "dim",
        "num_layers": "layer_weights",
        "epochs": "steps",
        "negative_samples": "negatives",
    },
    "two_tower": {
        "embedding_dim": "dim",
        "batch_size": "user_block",
        "epochs": "steps",
        "negative_samples": "negatives",
    },
}
"""The names that most libraries use, and ours. What has one name in both is not in here."""

# A tenant asks, and others wait for the machine: no useful fit is anywhere near these.
_MOST: Mapping[str, int] = {
    "steps": 10_000,
    "negatives": 65_536,
    "batch_size": 1_000_000,
    "user_block": 1_000_000,
    "validation_users": 100_000,
}
_MOST_LAYERS = 10


def accepted_names(model_type: ModelType) -> tuple[str, ...]:
    """Every name that a request may use for this model, in order."""
    own = set(_CONFIGS[model_type].model_fields) - {"model_type"}
    return tuple(sorted(own | set(USUAL_NAMES[model_type])))


def own_hyperparameters(
    model_type: ModelType, given: Mapping[str, JsonValue], *, field: str = "hyperparameters"
) -> dict[str, JsonValue]:
    """`given` by our own names.

    Raises:
        InvalidInput: names each one that the model does not have (and those that it has), that is named twice, or whose
            value does not fit; `field` stands before each name.
    """
    problems: list[FieldProblem] = []
    own: dict[str, JsonValue] = {}
    said: dict[str, str] = {}
    accepted = accepted_names(model_type)
    for name, value in given.items():
        if value is None or value == "":  # left out, as every field that may be
            continue
        if name not in accepted:
            near = nearest_name(name, accepted)
            meant = f"; did you mean {near}?" if near is not None else ""
            message = f"not one of {model_type}, which has {', '.join(accepted)}{meant}"
            problems.append(FieldProblem(f"{field}.{name[:80]}", message))
            continue
        ours = USUAL_NAMES[model_type].get(name, name)
        if ours in said:
            problems.append(FieldProblem(f"{field}.{name}", f"says the same as {said[ours]}; send one of them"))
            continue
        said[ours] = name
        if name == "num_layers":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_LAYERS:
                problems.append(FieldProblem(f"{field}.{name}", f"must be a whole number from 0 to {_MOST_LAYERS}"))
                continue
            value = layer_weights(value)
        own[ours] = value
    problems += _problems(model_type, own, said, field)
    if problems:
        words = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise InvalidInput(f"The hyper-parameters do not fit. {words}.", details=tuple(problems))
    return own


def layer_weights(num_layers: int) -> list[JsonValue]:
    """Weights of the embeddings of layers 0 to `num_layers`, in proportion to 1, 3, 6, 10 …

    With two layers these are the weights that LightGCN has anyway.
    """
    weights = [(layer + 1) * (layer + 2) // 2 for layer in range(num_layers + 1)]
    return [weight / sum(weights) for weight in weights]


def _problems(
    model_type: ModelType, own: Mapping[str, JsonValue], said: Mapping[str, str], field: str
) -> list[FieldProblem]:
    try:
        config: Any = _CONFIGS[model_type].model_validate(dict(own))
    except ValidationError as error:
        return [
            FieldProblem(
                ".".join((field, said[str(each["loc"][0])], *(str(part) for part in each["loc"][1:]))),
                told(each["msg"]),
            )
            for each in error.errors()
        ]
    found = [
        FieldProblem(f"{field}.{said[name]}", f"must be at most {most}")
        for name, most in _MOST.items()
        if name in own and getattr(config, name) > most
    ]
    if "layer_weights" in own and len(config.layer_weights) > _MOST_LAYERS + 1:
        found.append(FieldProblem(f"{field}.{said['layer_weights']}", f"may have {_MOST_LAYERS + 1} weights"))
    return found
