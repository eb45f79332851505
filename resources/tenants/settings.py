"""What a tenant may set: how its words map onto ours, and how much each kind of interaction counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

ModelType = Literal["lightgcn", "two_tower", "sequence"]
InteractionType = Literal["view", "click", "add_to_cart", "purchase", "rating", "like", "dislike"]
TYPES_WITH_PIECES: tuple[InteractionType, ...] = ("purchase", "add_to_cart")
"""Types of which pieces are counted: a quantity below 0 takes some back."""
SeenItems = Literal["auto", "always", "never"]
IGNORE = "ignore"
"""The target of a shop's own name for interactions that are neither stored nor trained on."""
MOST_NAMES = 1000
"""Names of its own that a tenant may map, and ids that stand for nobody."""
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
"""A weight is 0 or lies between these: sums over all interactions of a pair stay numbers in single precision."""
_MOST_RATING = 1e9
_LEAST_RANGE = 1e-6
_SIGNALS = ("view", "click", "like", "add_to_cart", "purchase", "rating_min", "rating_max")


def _not_tiny(weight: float) -> float:
    if 0 < abs(weight) < LEAST_WEIGHT:
        raise PydanticCustomError("tiny_weight", f"Input should be 0, or at least {LEAST_WEIGHT:g}")
    return weight


_Weight = Annotated[float, Field(ge=0, le=MOST_WEIGHT), AfterValidator(_not_tiny)]
_Rating = Annotated[float, Field(ge=-_MOST_RATING, le=_MOST_RATING)]
_Target = Literal["view", "click", "add_to_cart", "purchase", "rating", "like", "dislike", "ignore"]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


class _Settings(BaseModel):
    """Frozen, without unknown names, and without numbers that no arithmetic survives."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InteractionWeights(_Settings):
    """Training signal of one interaction, by type; the signals of a pair of user and item add up.

    A rating maps linearly from the tenant's rating range onto `[rating_min, rating_max]`.
    """

    view: _Weight = 1.0
    click: _Weight = 2.0
    like: _Weight = 3.0
    add_to_cart: _Weight = 3.0
    purchase: _Weight = 5.0
    dislike: float = Field(default=-1.0, lt=0, ge=-MOST_WEIGHT)
    rating_min: _Weight = 1.0
    rating_max: _Weight = 5.0
    cap: float = Field(
        default=10.0, ge=LEAST_WEIGHT, le=1e6, description="The most one user–item pair can count in total."
    )

    @model_validator(mode="after")
    def _something_counts(self) -> InteractionWeights:
        if not any(getattr(self, name) > 0 for name in _SIGNALS):
            raise _together(_SIGNALS, "one of {names} must be above 0, or nothing could be learned")
        return self


class TrainingSettings(_Settings):
    """Training settings: which model a tenant's runs train, and how."""

    model_type: ModelType = "lightgcn"
    hyperparameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="Replace the defaults for the tenant's size, and what the search found."
    )
    mode: Literal["full", "incremental"] = Field(
        default="full", description="incremental: a fit starts from the vectors of the run before, where it can."
    )
    search: bool = Field(default=False, description="Runs look for better hyper-parameters first, within the budget.")
    search_trials: int = Field(default=30, ge=1, le=10_000)
    search_minutes: float = Field(default=10.0, ge=0.001, le=24 * 60)
    second_stage: Literal["auto"] | bool = Field(
        default="auto", description="Runs train a second-stage ranker over the top candidates; auto: where it may pay."
    )
    personalisation: Literal["accuracy", "balanced"] = Field(
        default="accuracy",
        description="balanced: lists follow popularity as little as costs no more than 2 % of NDCG@10.",
    )
    tolerance: float = Field(
        default=0.05, ge=0, le=1, description="Share of NDCG@10 by which a new release may be worse than the live one."
    )


class ServingSettings(_Settings):
    """How answers are made. It holds for the next answer on."""

    exclude_seen: SeenItems = Field(
        default="auto",
        description="Whether answers leave out what a user has had: auto as measured by the last training; always; "
        "never. A request's own exclude_seen goes above it.",
    )


class FileMapping(_Settings):
    """How a tenant's files of one kind are read. What is left out is found from each file.

    `columns` maps the shop's headers onto the columns of the contract, or onto null: kept and not used.
    """

    columns: dict[str, str | None] = Field(default_factory=dict)
    separator: Literal[",", ";", "\t", "|"] | None = None
    encoding: Literal["utf-8", "windows-1252", "utf-16"] | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["day_first", "month_first"] | None = None
    default_interaction_type: InteractionType | None = Field(
        default=None, description="The type of rows of a file that has no such column, one of ours."
    )


class UploadSettings(_Settings):
    """How the tenant's files and events are read."""

    strictness: Literal["lenient", "strict"] = Field(
        default="lenient", description="strict: an odd optional cell, dialect or header costs the row or the file."
    )
    placeholder_ids: tuple[_Name, ...] = Field(
        default=(),
        max_length=MOST_NAMES,
        description="The shop's own words for nobody, such as guest, beside those known everywhere.",
    )
    mappings: dict[Literal["items", "users", "interactions"], FileMapping] = Field(default_factory=dict)


_Domain = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=253, pattern=r"^[^\s@.]+(\.[^\s@.]+)+$"),
]


class LoginSettings(_Settings):
    """How people come into the shop, beside invitations."""

    sso: bool = Field(
        default=False, description="Whoever the SSO provider knows with an address of `sso_domains` may log in."
    )
    sso_domains: tuple[_Domain, ...] = Field(default=(), max_length=100)
    sso_role: Literal["viewer", "editor", "admin"] = "viewer"

    @model_validator(mode="after")
    def _somebody_may_log_in(self) -> LoginSettings:
        if self.sso and not self.sso_domains:
            raise _together(("sso", "sso_domains"), "sso_domains must name a domain where sso is on")
        return self


class TenantSettings(_Settings):
    """Settings of one tenant, stored with the tenant in the control DB."""

    interaction_types: dict[_Name, _Target] = Field(
        default_factory=dict,
        max_length=MOST_NAMES,
        description="The shop's own interaction names, mapped onto ours, or onto ignore.",
    )
    rating_min: _Rating = 0.0
    rating_max: _Rating = 10.0
    weights: InteractionWeights = Field(default_factory=InteractionWeights)
    uploads: UploadSettings = Field(default_factory=UploadSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    login: LoginSettings = Field(default_factory=LoginSettings)

    @model_validator(mode="after")
    def _rating_range_is_ordered(self) -> TenantSettings:
        if self.rating_min >= self.rating_max:
            raise _together(("rating_min", "rating_max"), "rating_min must be below rating_max")
        if self.rating_max - self.rating_min < _LEAST_RANGE:
            raise _together(("rating_min", "rating_max"), f"rating_max must be {_LEAST_RANGE:g} above rating_min")
        return self


def _together(fields: tuple[str, ...], message: str) -> PydanticCustomError:
    """An error of several fields that do not go together: whoever mends it has to know which."""
    return PydanticCustomError("together", message, {"fields": fields, "names": ", ".join(fields)})
