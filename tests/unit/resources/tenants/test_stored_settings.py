"""Settings that an earlier version stored: whatever they are, the rest of them counts, and each is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import JsonValue

from resources.base.errors import InvalidInput
from resources.tenants.settings import TenantSettings
from resources.tenants.stored_settings import changed, read_settings

SIGNALS = ("view", "click", "like", "add_to_cart", "purchase", "rating_min", "rating_max")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [*TenantSettings.model_fields, "weights", "training", "no_such_setting", "interaction_types", "uploads"]
)
INNER = st.sampled_from(
    ["view", "cap", "dislike", "hyperparameters", "model_type", "search_minutes", "mappings", "strictness", "bought"]
)


def test_what_is_right_is_read_as_it_is() -> None:
    settings = TenantSettings(interaction_types={"bought": "purchase"}, rating_max=5)
    stored = read_settings(settings.model_dump(mode="json"))
    assert (stored.settings, stored.unusable) == (settings, ())


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        ({"interaction_types": {"bought": "purchased", "seen": "view"}}, ["interaction_types.bought"]),
        ({"weights": {"view": math.nan, "click": 4}}, ["weights.view"]),
        ({"weights": {"cap": 1e308}}, ["weights.cap"]),
        ({"weights": {"view": 1e-300}}, ["weights.view"]),
        ({"weights": dict.fromkeys(SIGNALS, 0)},
         [f"weights.{name}" for name in SIGNALS]),
        ({"rating_min": 20, "rating_max": 10}, ["rating_min", "rating_max"]),
        ({"rating_min": 20}, ["rating_min"]),
        ({"training": {"hyperparameters": {"dim": 10**30, "steps": 5}}}, ["training.hyperparameters.dim"]),
        ({"training": {"model_type": "svd", "hyperparameters": {"steps": 5}}}, ["training.model_type"]),
        ({"training": []}, ["training"]),
        ({"colour": "red"}, ["colour"]),
        ("text", ["settings"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_set_aside_by_name_and_the_rest_counts(stored: Any, names: list[str]) -> None:
    read = read_settings(stored)
    assert [each.name for each in read.unusable] == names
    assert all(each.reason for each in read.unusable)
    if "interaction_types.bought" in names:
        assert read.settings.interaction_types == {"seen": "view"}
    if "weights.view" in names and "click" in stored["weights"] and stored["weights"]["click"]:
        assert read.settings.weights.click == 4
    if "hyperparameters" in str(stored):
        assert read.settings.training.hyperparameters == {"steps": 5}


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ANYTHING | st.dictionaries(INNER, ANYTHING, max_size=4), max_size=4))
def test_nothing_that_is_stored_is_an_error_and_what_is_read_can_be_stored(stored: dict[str, Any]) -> None:
    read = read_settings(stored)
    again = read_settings(read.settings.model_dump(mode="json"))
    assert (again.settings, again.unusable) == (read.settings, ())
    weights = read.settings.weights.model_dump()
    assert all(math.isfinite(value) for value in weights.values())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "interaction_types.bought",
            "purchased",
            "interaction_types.bought: Input should be 'view', 'click', .* or 'ignore'",
        ),
        ("weights.view", math.nan, "weights.view: Input should be a finite number"),
        ("weights.view", 1e308, "weights.view: Input should be less than or equal to 1000"),
        ("weights.view", 1e-9, "weights.view: Input should be 0, or at least 0.001"),
        ("weights.cap", math.inf, "weights.cap: Input should be a finite number"),
        ("weights.dislike", -1e300, "weights.dislike: Input should be greater than or equal to -1000"),
        ("rating_max", 1e308, "rating_max: Input should be less than or equal to 1000000000"),
        ("training.search_minutes", 1e-300, "training.search_minutes: Input should be greater than or equal to 0.001"),
        ("training.hyperparameters.learning_rate", math.nan, "hyperparameters.learning_rate: Input should be a finite"),
        ("training.hyperparameters.half_life_days", 1e-300, "hyperparameters.half_life_days: Input should be greater"),
        ("training.hyperparameters.layer_weights", [0, 0], "hyperparameters.layer_weights: one weight must not be 0"),
        ("training.hyperparameters.dims", 3, "hyperparameters.dims: not one of lightgcn, which has adapt"),
    ],
)
def test_a_setting_that_no_run_could_work_with_is_refused_when_it_is_set(name: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        changed(TenantSettings(), {name: value})
    assert refused.value.details[0].field.startswith(name.rsplit(".", 1)[0])


def test_names_may_be_mapped_onto_ignore() -> None:
    mapped = changed(TenantSettings(), {"interaction_types.remove_from_cart": "ignore"})
    assert mapped.interaction_types == {"remove_from_cart": "ignore"}


def test_weights_of_nothing_are_refused() -> None:
    nothing: dict[str, JsonValue] = {f"weights.{name}": 0 for name in SIGNALS}
    with pytest.raises(InvalidInput, match=r"weights: one of view, click.* must be above 0"):
        changed(TenantSettings(), nothing)
