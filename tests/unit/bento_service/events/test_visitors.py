"""Events of visitors of whom only the visit is known: what they do, and what becomes of them."""

from __future__ import annotations

from typing import Any

from resources.control_db.event_exports import tenants_with_new_events
from resources.events.export import export_events, scan_exported_events
from resources.events.log import EventLog
from resources.stores.tenant_store import TenantStore
from resources.training.readiness import measure_readiness
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop

VISIT = {"session_id": "visit-1", "item_id": "b4", "interaction_type": "purchase"}


def track(client: Client, shop: Shop, **event: Any) -> Any:
    return client.post("/events", json={**VISIT, **event}, headers=shop.headers)


def items(client: Client, shop: Shop, **query: Any) -> list[str]:
    answer = client.post("/api/v1/recommendations", json={"count": 6, **query}, headers=shop.headers)
    return [each["item_id"] for each in answer.json()["recommendations"]]


def stored(shop: Shop) -> list[Any]:
    return EventLog(shop.db).export_after(shop.tenant).rows(named=True)


def test_an_event_of_a_visit_alone_counts_in_the_answers_of_the_visit(client: Client, blue: Shop) -> None:
    before = items(client, blue, session_id="visit-1")
    answer = track(client, blue)
    assert answer.status_code == 200, answer.text
    (event,) = stored(blue)
    assert (event["user_id"], event["session_id"]) == (None, "visit-1")
    assert "b4" in before and "b4" not in items(client, blue, session_id="visit-1")
    assert "b4" not in items(client, blue, session_id="visit-1", user_id="u1"), "the visit has a user now"
    assert "b4" in items(client, blue, session_id="visit-2")
    assert "b4" in items(client, blue, user_id="nobody")


def test_without_a_user_and_a_visit_an_event_is_nobodys(client: Client, blue: Shop) -> None:
    for nothing in ({"session_id": None}, {"session_id": "", "user_id": ""}):
        answer = track(client, blue, **nothing)
        assert answer.status_code == 422
        assert answer.json()["error"]["details"][0]["field"] == "user_id"
    assert stored(blue) == []


def test_visitors_train_nothing_and_are_no_user(client: Client, blue: Shop) -> None:
    store = TenantStore(blue.lake, blue.db, blue.tenant)
    track(client, blue)
    assert EventLog(blue.db).users_after(blue.tenant, 0) == frozenset()
    assert EventLog(blue.db).keys_between(blue.tenant, None, None).is_empty()
    assert tenants_with_new_events(blue.db) == ()
    assert EventLog(blue.db).last_seq(blue.tenant) == 0
    assert export_events(store, now=NOW) is None
    users = measure_readiness(store).model_dump_json()
    track(client, blue, user_id="u1", item_id="b1")
    track(client, blue, item_id="b2")
    assert tenants_with_new_events(blue.db) == (blue.tenant,)
    piece = export_events(store, now=NOW)
    assert piece is not None and piece.rows == 1
    assert scan_exported_events(store).collect()["user_id"].to_list() == ["u1"]
    assert tenants_with_new_events(blue.db) == ()
    assert measure_readiness(store).model_dump_json() != users


def test_a_retry_of_a_visitors_event_changes_nothing(client: Client, blue: Shop) -> None:
    for duplicate in (False, True):
        assert track(client, blue, event_id="e1").json()["duplicate"] is duplicate
    key = {"Idempotency-Key": "k", **blue.headers}
    for duplicate in (False, True):
        assert client.post("/events", json=VISIT, headers=key).json()["duplicate"] is duplicate


def test_what_was_done_in_a_visit_is_exported_and_erased_with_the_user_that_it_became(
    client: Client, blue: Shop
) -> None:
    track(client, blue)
    track(client, blue, user_id="zoe", item_id="b1")
    track(client, blue, session_id="visit-2")
    track(client, blue, user_id="ann", item_id="b2")
    shown = client.get("/api/v1/users/zoe/export", headers=blue.headers).json()["events"]
    assert [(each["user_id"], each["item_id"]) for each in shown] == [(None, "b4"), ("zoe", "b1")]
    erased = client.request("DELETE", "/api/v1/users/zoe", headers=blue.headers)
    assert erased.status_code == 200, erased.text
    assert {each["place"]: each["rows"] for each in erased.json()["found"]}["control DB: events"] == 2
    assert [(each["user_id"], each["session_id"]) for each in stored(blue)] == [(None, "visit-2"), ("ann", "visit-1")]
