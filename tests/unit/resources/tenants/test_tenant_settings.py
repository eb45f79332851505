"""What a tenant may set, and what it starts with."""

import math

import pytest
from pydantic import JsonValue, ValidationError

from resources.base.errors import InvalidInput
from resources.tenants.settings import InteractionWeights, TenantSettings
from resources.tenants.stored_settings import changed


def test_the_defaults_are_those_of_the_data_contract() -> None:
    settings = TenantSettings()
    assert (settings.rating_min, settings.rating_max, settings.interaction_types) == (0, 10, {})
    assert settings.weights.model_dump() == {
        "view": 1,
        "click": 2,
        "like": 3,
        "add_to_cart": 3,
        "purchase": 5,
        "dislike": -1,
        "rating_min": 1,
        "rating_max": 5,
        "cap": 10,
    }


def test_json_round_trip() -> None:
    settings = TenantSettings(interaction_types={"gesehen": "view"}, rating_min=1, rating_max=5)
    assert TenantSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(("low", "high"), [(5, 5), (6, 5)])
def test_a_rating_range_has_a_length(low: float, high: float) -> None:
    with pytest.raises(ValidationError, match="rating_min must be below rating_max"):
        TenantSettings(rating_min=low, rating_max=high)


@pytest.mark.parametrize(
    "weights",
    [{"view": -1}, {"dislike": 0}, {"dislike": 1}, {"cap": 0}, {"rating_min": -0.5}, {"veiw": 1}, {"view": math.nan}],
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        InteractionWeights.model_validate(weights)


def test_a_misspelt_setting_is_refused_and_nothing_can_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="extra"):
        TenantSettings.model_validate({"rating_maximum": 5})
    with pytest.raises(ValidationError, match="frozen"):
        TenantSettings().rating_max = 3  # type: ignore[misc]


def test_settings_change_by_dotted_name_all_or_none() -> None:
    settings = changed(TenantSettings(), {"training.model_type": "two_tower", "training.hyperparameters.dim": 32})
    assert (settings.training.model_type, settings.training.hyperparameters) == ("two_tower", {"dim": 32})
    settings = changed(settings, {"training.hyperparameters.dim": None, "interaction_types.bought": "purchase"})
    assert settings.training.hyperparameters == {}
    assert settings.interaction_types == {"bought": "purchase"}
    assert changed(settings, {"training": None, "interaction_types": None}) == TenantSettings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("training.modeltype", "two_tower", "training.modeltype: Extra inputs"),
        ("training.model_type", "svd", "training.model_type: Input should be 'lightgcn', 'two_tower' or 'sequence'"),
        ("rating_min.low", 1, "no setting rating_min.low"),
        ("colour", "red", "colour: Extra inputs"),
        ("rating_min", 11, "rating_min must be below rating_max"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name: str, value: JsonValue, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        changed(TenantSettings(), {name: value})
