"""Hyper-parameters as requests name them: which names there are, what values they take, and our own names for them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, JsonValue, ValidationError

from resources.base.client_input import told
from resources.base.errors import FieldProblem, InvalidInput
from resources.base.suggestions import nearest_name
from resources.tenants.model_configs import MOST_LAYERS, LightGCNConfig, SequenceConfig, TwoTowerConfig
from resources.tenants.settings import ModelType

_CONFIGS: Mapping[ModelType, type[BaseModel]] = {
    "lightgcn": LightGCNConfig,
    "two_tower": TwoTowerConfig,
    "sequence": SequenceConfig,
}
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
    "sequence": {
        "embedding_dim": "dim",
        "max_seq_len": "length",
        "num_blocks": "blocks",
        "num_heads": "heads",
        "epochs": "steps",
        "negative_samples": "negatives",
    },
}
"""The names that most libraries use, and ours. What has one name in both is not in here."""


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
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_LAYERS:
                problems.append(FieldProblem(f"{field}.{name}", f"must be a whole number from 0 to {MOST_LAYERS}"))
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


def own_name_problems(model_type: ModelType, own: Mapping[str, JsonValue]) -> dict[str, str]:
    """What is wrong with hyper-parameters that have our names, by name: one that the model lacks, or its value."""
    known = sorted(set(_CONFIGS[model_type].model_fields) - {"model_type"})
    found = {name: f"not one of {model_type}, which has {', '.join(known)}" for name in own if name not in known}
    try:
        _CONFIGS[model_type].model_validate({name: value for name, value in own.items() if name in known})
    except ValidationError as error:
        found |= {str(each["loc"][0]): each["msg"].removeprefix("Value error, ") for each in error.errors()}
    return found


def _problems(
    model_type: ModelType, own: Mapping[str, JsonValue], said: Mapping[str, str], field: str
) -> list[FieldProblem]:
    try:
        _CONFIGS[model_type].model_validate(dict(own))
    except ValidationError as error:
        return [
            FieldProblem(
                ".".join((field, said[str(each["loc"][0])], *(str(part) for part in each["loc"][1:]))),
                told(each["msg"]),
            )
            for each in error.errors()
        ]
    return []
