"""The configuration a tenant's run trains with: defaults < what a search found < what the tenant has set."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError
from upath import UPath

from recsaas_assets.recommender.choice.candidates import ADAPTED_FIELDS
from recsaas_assets.recommender.lifecycle.model_config import ModelConfig, default_config, parse_config
from recsaas_assets.recommender.lifecycle.sequence_choice import SEQUENCE_FIELDS
from recsaas_assets.recommender.search.search_result import SearchResult
from resources.base.errors import CorruptArtifact, FieldProblem, InvalidInput
from resources.tenants.settings import TrainingSettings

_SETTING = "training.hyperparameters"


def chosen_config(
    settings: TrainingSettings, best: SearchResult | None, n_users: int, n_items: int, n_pairs: int
) -> ModelConfig:
    """The configuration of this tenant at this size; `best` counts while it suits (`SearchResult.suits`).

    Raises:
        InvalidInput: the tenant has set a hyper-parameter that does not exist or a value that does not fit.
        CorruptArtifact: what the search found is none of this version's hyper-parameters.
    """
    config = default_config(settings.model_type, n_users, n_items, n_pairs)
    if best is not None and best.suits(settings.model_type, n_pairs):
        try:
            config = parse_config(
                _without_choice({**config.model_dump(mode="json"), **best.hyperparameters}, best.hyperparameters)
            )
        except ValidationError as error:
            raise CorruptArtifact(
                "What the last search for hyper-parameters found does not fit this version. Search again, or drop it: "
                "recsaas tune TENANT --forget"
            ) from error
    return replaced(config, settings.hyperparameters)


def usable_result(
    directory: UPath, settings: TrainingSettings, n_users: int, n_items: int, n_pairs: int
) -> tuple[SearchResult | None, str]:
    """The result of a search in `directory`, if a run of this tenant at this size can use it, and a note on its use.

    A result that is stale, unreadable or of another version is none: it is a help, and no run fails for want of it.
    """
    try:
        found = SearchResult.load(directory, settings.model_type)
        if found is None:
            return None, "none"
        chosen_config(settings, found, n_users, n_items, n_pairs)
    except (CorruptArtifact, InvalidInput) as error:
        return None, f"not used: {error.message}"
    if not found.suits(settings.model_type, n_pairs):
        return None, f"not used: found on {found.n_pairs} pairs, now {n_pairs}"
    return found, f"used: found on {found.n_pairs} pairs, now {n_pairs}"


def replaced(config: ModelConfig, hyperparameters: Mapping[str, JsonValue]) -> ModelConfig:
    """`config` with the tenant's own values.

    Raises:
        InvalidInput: names each one that does not exist or does not fit.
    """
    fields = config.model_dump(mode="json")
    known = sorted(set(fields) - {"model_type"})
    problems = [
        FieldProblem(f"{_SETTING}.{name}", f"not one of {config.model_type}, which has {', '.join(known)}")
        for name in hyperparameters
        if name not in known
    ]
    if not problems:
        try:
            return parse_config(_without_choice({**fields, **hyperparameters}, hyperparameters))
        except ValidationError as error:
            problems = [
                FieldProblem(f"{_SETTING}.{_name(each['loc'], fields)}", each["msg"]) for each in error.errors()
            ]
    said = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    raise InvalidInput(
        f"The tenant's training settings do not fit. {said}. Change them with --set or --unset of: recsaas tenant "
        "settings TENANT",
        details=tuple(problems),
    )


def _without_choice(fields: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """`fields` without the choice on validation, when `given` names one of the values that the choice would change."""
    chosen = ADAPTED_FIELDS | SEQUENCE_FIELDS
    if "adapt" in fields and "adapt" not in given and not chosen.isdisjoint(given):
        return {**fields, "adapt": False}
    return dict(fields)


def _name(location: tuple[int | str, ...], fields: Mapping[str, JsonValue]) -> str:
    """The location without the name of the model type, which pydantic puts first when there are several."""
    return ".".join(str(part) for part in location[0 if location and location[0] in fields else 1 :]) or "values"
