"""An id is one id, in whatever form and by whichever way it comes in: each route answers each form alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop, open_shop

ITEM, USER = "17851", "ü 2/x"
Forms = dict[str, Callable[[str], Any]]
FORMS: Forms = {
    "plain": lambda text: text,
    "letters in two parts": lambda text: unicodedata.normalize("NFD", text),
    "blanks": lambda text: f"\u00a0 {text}\u3000",
    "unseen characters": lambda text: f"\ufeff{text[0]}\u200b{text[1:]}\u00ad\u200e",
    "a formula": lambda text: f'="{text}"',
    "an apostrophe": lambda text: f"'{text}",
    "decimals": lambda text: f"{text}.0" if text.isdigit() else text,
}
BODY_FORMS: Forms = {
    **FORMS,
    "a number": lambda text: int(text) if text.isdigit() else text,
    "a float": lambda text: float(text) if text.isdigit() else text,
}
_OF_A_REQUEST = frozenset({"recommendation_id", "latency_ms", "request_id", "exported_at", "cache_hit"})
ASKED_IN_PATHS = {
    "/recommend/{user_id}": "/recommend/USER?k=3",
    "/api/v1/items/{item_id}": "/api/v1/items/ITEM",
    "/api/v1/users/{user_id}/export": "/api/v1/users/USER/export",
    "/api/v1/recommendations/why-not": "/api/v1/recommendations/why-not?user_id=USER&item_id=ITEM&exclude_ids=ITEM",
    "why-not of a visit": "/api/v1/recommendations/why-not?session_id=USER&item_id=ITEM",
}
OF_THE_AUDIT_LOG = {("get", "/api/v1/audit")}
OF_PEOPLE = {("delete", "/api/v1/me/sessions/{session_id}")}
"""A log-in of a person is no visit of the shop."""
CHANGED_IN_PATHS = {
    ("patch", "/api/v1/items/{item_id}"),
    ("delete", "/api/v1/items/{item_id}"),
    ("delete", "/api/v1/users/{user_id}"),
}
ASKED_IN_BODIES: dict[str, tuple[str, Callable[[Any, Any], dict[str, Any]]]] = {
    "recommendations": ("/api/v1/recommendations", lambda user, _: {"user_id": user, "count": 3}),
    "of a visit": ("/api/v1/recommendations", lambda user, _: {"session_id": user, "count": 3}),
    "without an item": ("/api/v1/recommendations", lambda user, item: {"filters": {"exclude_ids": [item]}}),
    "beside an item": ("/api/v1/recommendations", lambda user, item: {"context": {"current_item": item}}),
    "after an item": ("/api/v1/recommendations", lambda user, item: {"recent_events": [{"item_id": item}]}),
    "similar": ("/api/v1/recommendations/similar", lambda user, item: {"item_id": item, "user_id": user}),
    "bundle": ("/api/v1/recommendations/bundle", lambda user, item: {"item_ids": [item], "user_id": user}),
    "batch": ("/api/v1/recommendations/batch", lambda user, _: {"requests": [{"user_id": user}]}),
}


@pytest.fixture
def shop(db: ControlDb, lake: Lake, client: Client) -> Shop:
    shop = open_shop("odd", lake=lake, db=db, prefix="1785")
    shop.release()
    return shop


def told(answer: Any) -> Any:
    """What an answer says, without what belongs to the request."""
    assert answer.status_code == 200, answer.text

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(each) for name, each in value.items() if name not in _OF_A_REQUEST}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(answer.json())


def put(client: Client, shop: Shop, path: str, body: Any) -> Any:
    return client.post(path, json=body, headers=shop.headers)


def event(user: Any, item: Any, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "interaction_type": "view", **more}


@pytest.mark.parametrize("route", ASKED_IN_PATHS)
def test_an_address_means_one_id(client: Client, shop: Shop, route: str) -> None:
    put(client, shop, "/api/v1/items", {"item_id": ITEM, "title": "Lamp"})
    put(client, shop, "/api/v1/interactions", event(USER, ITEM, session_id=USER))
    client.get("/healthz")

    def ask(form: Callable[[str], str]) -> Any:
        address = ASKED_IN_PATHS[route]
        for name, text in (("USER", USER), ("ITEM", ITEM)):
            address = address.replace(name, quote(form(text), safe=""))
        return told(client.get(address, headers=shop.headers))

    plain = ask(FORMS["plain"])
    assert {name: ask(form) for name, form in FORMS.items() if ask(form) != plain} == {}


@pytest.mark.parametrize("what", ASKED_IN_BODIES)
def test_a_question_means_one_id(client: Client, shop: Shop, what: str) -> None:
    path, body_of = ASKED_IN_BODIES[what]

    def ask(form: Callable[[str], Any]) -> Any:
        return told(put(client, shop, path, body_of(form(USER), form(ITEM))))

    plain = ask(FORMS["plain"])
    assert {name: ask(form) for name, form in BODY_FORMS.items() if ask(form) != plain} == {}


@pytest.mark.parametrize("form", BODY_FORMS)
def test_what_is_stored_has_one_id(client: Client, shop: Shop, form: str) -> None:
    user, item = BODY_FORMS[form](USER), BODY_FORMS[form](ITEM)
    answer = put(client, shop, "/api/v1/items", [{"item_id": item, "title": "Lamp"}])
    assert answer.status_code == 200, answer.text
    tracked = put(client, shop, "/events", {"events": [event(user, item, session_id=user, event_id=item)]})
    assert tracked.json()["events"][0]["interaction_id"] == ITEM
    again = put(client, shop, "/events", event(USER, ITEM, event_id=ITEM))
    assert again.json()["duplicate"] is True
    stored = client.get(f"/api/v1/users/{quote(USER, safe='')}/export", headers=shop.headers).json()["events"]
    assert [(e["user_id"], e["item_id"], e["session_id"], e["event_id"]) for e in stored] == [(USER, ITEM, USER, ITEM)]
    assert client.get(f"/api/v1/items/{ITEM}", headers=shop.headers).json()["title"] == "Lamp"
    rule = put(client, shop, "/api/v1/rules", {"kind": "hide", "target": {"item_ids": [str(item)]}})
    assert rule.json()["target"]["item_ids"] == [ITEM]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_changed_and_erased_has_one_id(client: Client, shop: Shop, form: str) -> None:
    user, item = (quote(FORMS[form](text), safe="") for text in (USER, ITEM))
    put(client, shop, "/api/v1/items", {"item_id": ITEM, "title": "Lamp"})
    put(client, shop, "/api/v1/interactions", event(USER, ITEM))
    patched = client.request("PATCH", f"/api/v1/items/{item}", json={"price": 3}, headers=shop.headers)
    assert (patched.json()["item_id"], patched.json()["price"]) == (ITEM, 3)
    assert client.request("DELETE", f"/api/v1/items/{item}", headers=shop.headers).json()["item_id"] == ITEM
    assert client.get(f"/api/v1/items/{ITEM}", headers=shop.headers).status_code == 404
    certificate = client.request("DELETE", f"/api/v1/users/{user}", headers=shop.headers).json()
    assert "control DB: events" in [each["place"] for each in certificate["found"]]
    assert client.get(f"/api/v1/users/{quote(USER, safe='')}/export", headers=shop.headers).status_code == 404
    entries = client.get(f"/api/v1/audit?user_id={user}", headers=shop.headers).json()["entries"]
    assert "erasure.ask" in [each["action"] for each in entries]


@pytest.mark.parametrize("nobody", ["NULL", "undefined", "(not set)", " nan ".upper(), "4.00638E+12"])
def test_nobody_and_lost_digits_are_not_stored(client: Client, shop: Shop, nobody: str) -> None:
    for body in (event(nobody, ITEM), event(USER, nobody)):
        answer = put(client, shop, "/api/v1/interactions", body)
        assert answer.status_code == 422
        (detail,) = answer.json()["error"]["details"]
        assert detail["field"] == ("user_id" if body["user_id"] == nobody else "item_id")
        assert "stands for nobody" in detail["message"] or "lost digits" in detail["message"]
    assert put(client, shop, "/api/v1/items", {"item_id": nobody, "title": "x"}).status_code == 422


def test_words_for_nobody_are_no_visit_and_no_event_id(client: Client, shop: Shop) -> None:
    for _ in range(2):
        body = event(USER, ITEM, session_id="undefined", event_id="null")
        assert put(client, shop, "/api/v1/interactions", body).json()["duplicate"] is False


def test_the_lines_of_an_order_are_named_and_none_is_lost(client: Client, shop: Shop) -> None:
    lines = [event(USER, item, event_id="order-17") for item in ("a", "b")]
    answer = put(client, shop, "/api/v1/interactions", {"events": lines})
    assert answer.status_code == 409
    assert [each["field"] for each in answer.json()["error"]["details"]] == ["events.1.event_id"]
    assert client.get(f"/api/v1/users/{quote(USER, safe='')}/export", headers=shop.headers).json()["events"] == []


def parameters(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of each route that takes an id of the shop in its address."""
    for path, methods in app.openapi()["paths"].items():
        for method, route in methods.items():
            names = {each["name"] for each in route.get("parameters", ())}
            if names & {"user_id", "item_id", "session_id", "event_id", "exclude_ids"}:
                yield method, path


def test_no_route_with_an_id_is_forgotten(app: FastAPI) -> None:
    known = {("get", path) for path in ASKED_IN_PATHS if path.startswith("/")} | CHANGED_IN_PATHS
    assert set(parameters(app)) == known | OF_THE_AUDIT_LOG | OF_PEOPLE
