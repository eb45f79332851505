"""Mappings over HTTP: set once, sent with a file, proposed for a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

ORDERS = "Ref,Kunde,Wann,Stadt\na,ann,2024-05-01T00:00:00Z,Bonn\nb,bob,2024-05-01T00:01:00Z,Ulm\n"
MAPPING = {
    "columns": {"Ref": "item_id", "Kunde": "user_id", "Wann": "timestamp", "Stadt": "ignore"},
    "default_interaction_type": "purchase",
}
UPLOAD = "/api/v1/upload/interactions"


def send(client: Client, shop: Shop, path: str, content: str = ORDERS, **form: str) -> Any:
    return client.post(path, files={"file": ("orders.csv", content)}, data=form, headers=shop.headers)


def test_a_mapping_that_comes_with_a_file_is_for_that_file(client: Client, blue: Shop) -> None:
    assert send(client, blue, UPLOAD).json()["error"]["code"] == "missing_column"
    checked = send(client, blue, f"{UPLOAD}?validate_only=true", mapping=json.dumps(MAPPING)).json()
    assert checked["preview"][0] == {
        "row": 2,
        "user_id": "ann",
        "item_id": "a",
        "interaction_type": "purchase",
        "timestamp": "2024-05-01T00:00:00.000000Z",
        "rating": None,
        "duration_seconds": None,
        "quantity": None,
        "price": None,
        "session_id": None,
        "event_id": None,
        "deleted": False,
        "stadt": "Bonn",
    }
    assert checked["columns_ignored"] == ["Stadt"]
    assert [column["column"] for column in checked["reading"]["columns"]] == ["item_id", "user_id", "timestamp", None]
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []
    stored = send(client, blue, UPLOAD, mapping=json.dumps(MAPPING)).json()
    assert (stored["rows_accepted"], stored["preview"]) == (2, None)
    assert send(client, blue, UPLOAD).status_code == 422, "the next file has no mapping"


def test_a_mapping_that_was_set_is_for_all_files(client: Client, blue: Shop, green: Shop) -> None:
    url = "/api/v1/mappings/interactions"
    stored = client.request("PUT", url, json=MAPPING, headers=blue.headers).json()
    assert stored["columns"] == {**MAPPING["columns"], "Stadt": None}
    assert (stored["kind"], stored["default_interaction_type"], stored["interaction_types"]) == (
        "interactions",
        "purchase",
        {},
    )
    assert client.get(url, headers=blue.headers).json() == stored
    assert send(client, blue, UPLOAD).json()["rows_accepted"] == 2
    assert client.get(url, headers=green.headers).json()["columns"] == {}
    assert client.request("DELETE", url, headers=blue.headers).json()["columns"] == {}
    assert send(client, blue, UPLOAD, ORDERS + "c,cy,2024-05-02,Ulm\n").status_code == 422


def test_the_same_file_under_another_mapping_is_another_upload(client: Client, blue: Shop) -> None:
    first = send(client, blue, UPLOAD, mapping=json.dumps(MAPPING)).json()
    again = send(client, blue, UPLOAD, mapping=json.dumps(MAPPING)).json()
    other = send(client, blue, UPLOAD, mapping=json.dumps({**MAPPING, "default_interaction_type": "like"})).json()
    assert (again["already_stored"], other["already_stored"]) == (True, False)
    assert first["upload_id"] != other["upload_id"]


def test_names_of_types_are_set_too(client: Client, blue: Shop) -> None:
    url = "/api/v1/mappings/interactions"
    client.request("PUT", url, json={"interaction_types": {"bought": "purchase"}}, headers=blue.headers)
    event = {"user_id": "u", "item_id": "i", "interaction_type": "bought"}
    assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    client.request("PUT", url, json={"separator": ";"}, headers=blue.headers)
    shown = client.get(url, headers=blue.headers).json()
    assert (shown["separator"], shown["interaction_types"]) == (";", {"bought": "purchase"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"columns": {"a": "colour"}}, "columns.a"),
        ({"interaction_types": {"a": "sold"}}, "interaction_types.a"),
        ({"encoding": "latin-9"}, "encoding"),
        ({"colums": {}}, "colums"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused(client: Client, blue: Shop, body: Any, field: str) -> None:
    answer = client.request("PUT", "/api/v1/mappings/interactions", json=body, headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)
    sent = send(client, blue, UPLOAD, mapping=json.dumps(body))
    assert (sent.status_code, sent.json()["error"]["details"][0]["field"]) == (422, field)
    assert client.get("/api/v1/mappings/interactions", headers=blue.headers).json()["columns"] == {}


def test_an_unknown_kind_is_not_found(client: Client, blue: Shop) -> None:
    for answer in (
        client.get("/api/v1/mappings/orders", headers=blue.headers),
        client.request("PUT", "/api/v1/mappings/orders", json={}, headers=blue.headers),
        send(client, blue, "/api/v1/mappings/orders/propose"),
    ):
        assert answer.status_code == 404


def test_a_proposal_can_be_set_as_it_stands(client: Client, blue: Shop) -> None:
    rows = "StockRef,Client,sold_on\na,ann,2024-05-01\nb,bob,2024-05-02\n"
    found = send(client, blue, "/api/v1/mappings/interactions/propose", rows).json()
    assert found["mapping"]["columns"] == {"sold_on": "timestamp", "Client": "user_id", "StockRef": "item_id"}
    assert found["missing"] == ["interaction_type"]
    mapping = {**found["mapping"], "default_interaction_type": "purchase"}
    assert client.request("PUT", "/api/v1/mappings/interactions", json=mapping, headers=blue.headers).status_code == 200
    assert send(client, blue, UPLOAD, rows).json()["rows_accepted"] == 2


def test_a_long_mapping_is_refused(client: Client, blue: Shop) -> None:
    answer = send(client, blue, UPLOAD, mapping=" " * 60_000)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "mapping"
