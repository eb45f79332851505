"""What a user can see of what is stored about them."""

from __future__ import annotations

import json

import pytest

from resources.base.errors import UserNotFound
from resources.erasure.export import export_user
from tests.unit.resources.erasure.world import NOW, ZOE, World

pytestmark = pytest.mark.databases

SHOWN = {"item_id": "b1", "position": 1, "score": 0.5, "source": "model", "propensity": 1.0}


def test_everything_about_one_user_and_nothing_about_others(world: World, neighbour: World) -> None:
    world.fill(ZOE)
    neighbour.fill("somebody")
    found = export_user(world.tenant_store, world.decisions, ZOE, now=NOW)
    assert [(row.line, row.values["user_id"]) for row in found.uploads] == [(2, ZOE), (2, ZOE)]
    assert found.uploads[0].values["extra_ort"] == "Köln"
    assert found.uploads[1].values["timestamp"] == "2024-05-01T10:00:00+00:00"
    assert [(row.line, row.values["user_id"]) for row in found.rejected] == [(4, f" {ZOE} "), (6, ZOE)]
    assert "fields" in found.rejected[1].reason
    assert [event["event_id"] for event in found.events] == [f"{ZOE}/0", f"{ZOE}/1"]
    assert [(answer["user_id"], answer["items"]) for answer in found.decisions] == [(ZOE, [SHOWN])]
    assert {name: len(rows) for name, rows in found.features.items()} == {"user_features": 2}
    assert (found.in_training_set, found.being_erased) == (True, False)
    assert [release.live for release in found.releases] == [False, True]
    assert found.seen_items == ("b1",)
    text = json.dumps(json.loads(found.model_dump_json()))
    assert "ann" not in text and "bob" not in text

    world.request(ZOE)
    waiting = export_user(world.tenant_store, world.decisions, ZOE, now=NOW)
    assert (waiting.being_erased, waiting.events) == (True, ())
    world.erase(ZOE)
    for gone in (ZOE, "nobody"):
        with pytest.raises(UserNotFound, match="tenant blue"):
            export_user(world.tenant_store, world.decisions, gone, now=NOW)
