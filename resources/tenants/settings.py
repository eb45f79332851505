"""What a tenant may set: how its words map onto ours, and how much each kind of interaction counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from resources.base.errors import FieldProblem, InvalidInput

ModelType = Literal["lightgcn", "two_tower"]


class InteractionWeights(BaseModel):
    """Training signal of one interaction, by type; the signals of a pair of user and item add up.

    A rating maps linearly from the tenant's rating range onto `[rating_min, rating_max]`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: float = Field(default=1.0, ge=0)
    click: float = Field(default=2.0, ge=0)
    like: float = Field(default=3.0, ge=0)
    add_to_cart: float = Field(default=3.0, ge=0)
    purchase: float = Field(default=5.0, ge=0)
    dislike: float = Field(default=-1.0, lt=0)
    rating_min: float = Field(default=1.0, ge=0)
    rating_max: float = Field(default=5.0, ge=0)
    cap: float = Field(default=10.0, gt=0, description="The most one user–item pair can count in total.")


class TrainingSettings(BaseModel):
    """Training settings: which model a tenant's runs train, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: ModelType = "lightgcn"
    hyperparameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="Replace the defaults for the tenant's size, and what the search found."
    )
    mode: Literal["full", "incremental"] = Field(
        default="full", description="incremental: a fit starts from the vectors of the run before, where it can."
    )
    search: bool = Field(default=False, description="Runs look for better hyper-parameters first, within the budget.")
    search_trials: int = Field(default=30, ge=1, le=10_000)
    search_minutes: float = Field(default=10.0, gt=0, le=24 * 60)
    second_stage: bool = Field(default=False, description="Runs train a second-stage ranker over the top candidates.")
    tolerance: float = Field(
        default=0.05, ge=0, le=1, description="Share of NDCG@10 by which a new release may be worse than the live one."
    )


class TenantSettings(BaseModel):
    """Settings of one tenant, stored with the tenant in the control DB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interaction_types: dict[str, str] = Field(
        default_factory=dict, description="The shop's own interaction names, mapped onto ours."
    )
    rating_min: float = 0.0
    rating_max: float = 10.0
    weights: InteractionWeights = Field(default_factory=InteractionWeights)
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @model_validator(mode="after")
    def _rating_range_is_ordered(self) -> TenantSettings:
        if self.rating_min >= self.rating_max:
            raise ValueError("rating_min must be below rating_max")
        return self


def changed(settings: TenantSettings, changes: Mapping[str, JsonValue]) -> TenantSettings:
    """Return the settings with `changes` by dotted name; `None` goes back to the default.

    The entries of a mapping (`interaction_types.bought`, `training.hyperparameters.dim`) are named the same way.

    Raises:
        InvalidInput: names each setting that does not exist or does not take the value.
    """
    fields: dict[str, Any] = settings.model_dump(mode="json")
    for name, value in changes.items():
        *path, last = name.split(".")
        place = fields
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InvalidInput(f"There is no setting {name}.", details=(FieldProblem(name, "does not exist"),))
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    try:
        return TenantSettings.model_validate(fields)
    except ValidationError as error:
        problems = tuple(
            FieldProblem(".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()
        )
        said = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise InvalidInput(f"The settings were not changed. {said}", details=problems) from error
