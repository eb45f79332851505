"""What is said about a body that is not valid: in the client's own words and places, whatever was sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bento_service.http.json_body import validated
from bento_service.routes.bodies import BODIES
from resources.base.errors import InvalidInput

NAMES = sorted(
    {
        *(name for model in BODIES for name in model.model_fields),
        *("user_id", "item_id", "interaction_type", "events", "items", "filters", "category", "categories", "tags"),
        *("target", "item_ids", "recent_events", "context", "current_item", "metadata", "timestamp", "price", "userId"),
        *("session_id", "event_id", "requests", "exclude_ids", "min_price"),
    }
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-1e3, 1e3)
    | st.sampled_from(["", " ", "u1", "a|b", "x" * 600])
)
SENT = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
INTERNAL = re.compile(
    r"tuple|dictionar|\bdict\b|pydantic|function-|instance of|Value error|discriminator|union|\bmodel\b|https?://|\bNone\b",
    re.IGNORECASE,
)
CLASSES = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b")


def assert_in_the_clients_words(error: InvalidInput, sent: Any) -> None:
    assert error.details
    for each in error.details:
        assert not INTERNAL.search(each.message), each
        assert not CLASSES.search(each.message.replace("did you mean", "")), each
        place = sent
        parts = [] if each.field == "body" else each.field.split(".")
        if isinstance(sent, list) and parts:
            assert parts.pop(0) in ("items", "events")
        for number, part in enumerate(parts):
            key = int(part) if isinstance(place, list) else part
            known = key in range(len(place)) if isinstance(place, list) else isinstance(place, dict) and key in place
            if known:
                place = place[key]
            else:
                assert isinstance(place, dict) and number == len(parts) - 1, (each, sent)


@pytest.mark.parametrize("model", BODIES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=SENT)
def test_problems_are_told_in_the_clients_words(model: type[BaseModel], sent: Any) -> None:
    try:
        validated(json.dumps(sent).encode(), model)
    except InvalidInput as error:
        assert_in_the_clients_words(error, sent)


@pytest.mark.parametrize(
    ("name", "sent", "field"),
    [
        ("ItemsRequest", {"item_id": "a", "tags": [1, "b"]}, "tags.0"),
        ("ItemsRequest", {"item_id": "a", "tags": ["b", "c|d"]}, "tags.1"),
        ("ItemsRequest", {"item_id": "a", "tags": 5}, "tags"),
        ("ItemsRequest", [{"item_id": "a"}, {"item_id": "b", "tags": ["a", []]}], "items.1.tags.1"),
        ("TrackRequest", [{"item_id": "a"}], "events.0.interaction_type"),
        ("TrackRequest", {"events": [{"interaction_type": "view", "context": 3, "user_id": "u"}]}, "events.0.context"),
        ("RecommendationRequest", {"filters": {"tags": [None]}}, "filters.tags.0"),
        ("RuleBody", {"kind": "hide", "target": {"item_ids": ["a", ""]}}, "target.item_ids.1"),
    ],
)
def test_the_place_is_the_clients(name: str, sent: Any, field: str) -> None:
    (model,) = (each for each in BODIES if each.__name__ == name)
    with pytest.raises(InvalidInput) as raised:
        validated(json.dumps(sent).encode(), model)
    assert field in [each.field for each in raised.value.details]
    assert_in_the_clients_words(raised.value, sent)
