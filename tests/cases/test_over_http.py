"""What clients really send over HTTP, one test for each way in which others answered wrongly or unfriendly."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from bento_service.app import create_app
from recsaas_assets.ingestion.landing import take_landed_files
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import list_uploads
from resources.events.log import EventLog
from resources.release.store import new_version
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.report import UploadReport
from tests.cases.expected import EXPECTED
from tests.cases.right import problems
from tests.cases.test_cases import FOLDER
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

EVENT = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
INTERNAL = ("pydantic", "errors.pydantic.dev", "input_type", "Traceback", "function-", "tagged-union")


def send(client: Client, shop: Shop, method: str, path: str, **options: Any) -> Any:
    return client.request(method, path, headers={**shop.headers, **options.pop("headers", {})}, **options)


def post(client: Client, shop: Shop, path: str, body: Any) -> Any:
    return send(client, shop, "POST", path, json=body)


def events(shop: Shop) -> list[dict[str, Any]]:
    return EventLog(shop.db).export_after(shop.tenant).rows(named=True)


def fields(answer: Any) -> list[str]:
    return [detail["field"] for detail in answer.json()["error"]["details"]]


# 1. Null and empty; near names; a bare list.


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_are_left_out(client: Client, blue: Shop, nothing: str | None) -> None:
    optional = dict.fromkeys(("event_id", "session_id", "recommendation_id"), nothing)
    answer = post(client, blue, "/api/v1/interactions", {**EVENT, **optional})
    assert answer.status_code == 200, answer.text
    (stored,) = events(blue)
    assert stored["session_id"] is None
    query = {"user_id": "u1", "session_id": nothing, "scenario": nothing, "filters": {"category": nothing}}
    answered = post(client, blue, "/api/v1/recommendations", query)
    assert answered.status_code == 200, answered.text
    item = {"item_id": "n1", "title": "New", "category": nothing, "brand": nothing, "image_url": nothing}
    assert post(client, blue, "/api/v1/items", item).status_code == 200


def test_null_is_left_out_on_every_level(client: Client, blue: Shop) -> None:
    numbers = {"rating": None, "price": None, "quantity": None, "timestamp": None, "context": None, "metadata": None}
    assert post(client, blue, "/api/v1/interactions", {"events": [{**EVENT, **numbers}]}).status_code == 200
    query = {
        "user_id": "u1", "count": None, "filters": {"tags": None, "min_price": None, "exclude_ids": None},
        "context": None, "recent_events": None, "diversity": None, "exclude_seen": None, "cursor": None,
    }  # fmt: skip
    answered = post(client, blue, "/api/v1/recommendations", query)
    assert answered.status_code == 200, answered.text
    assert len(answered.json()["recommendations"]) == 4  # of six, one has been seen before and one just now


@pytest.mark.parametrize(
    ("path", "body", "near"),
    [
        ("/api/v1/interactions", {"userId": "u1", "item_id": "b2", "interaction_type": "view"}, "user_id"),
        ("/api/v1/recommendations", {"user_id": "u1", "excludeSeen": True}, "exclude_seen"),
        ("/api/v1/items", {"itemId": "n1", "title": "New"}, "item_id"),
    ],
)
def test_an_unknown_field_is_told_the_near_one(
    client: Client, blue: Shop, path: str, body: dict[str, Any], near: str
) -> None:
    answer = post(client, blue, path, body)
    assert answer.status_code == 422
    assert f"{near}" in answer.text
    assert next(iter(set(body) - {"item_id", "title", "user_id", "interaction_type"})) in fields(answer)


def test_a_bare_list_of_events_is_taken(client: Client, blue: Shop) -> None:
    answer = post(client, blue, "/api/v1/interactions", [EVENT, {**EVENT, "item_id": "b3"}])
    assert answer.status_code == 200, answer.text
    assert len(events(blue)) == 2


# 2. Unknown query parameters; trailing slashes.


def test_a_misspelt_parameter_stores_nothing(client: Client, blue: Shop) -> None:
    file = {"file": ("a.csv", "item_id,title\nn1,New\n")}
    answer = send(client, blue, "POST", "/api/v1/upload/items?validate_olny=true", files=file)
    assert answer.status_code == 422
    assert "validate_only" in answer.text
    assert not list_uploads(blue.db, blue.tenant)


@pytest.mark.parametrize("path", ["/api/v1/uploads", "/api/v1/items", "/recommend/u1", "/api/v1/data-quality"])
def test_an_unknown_parameter_is_refused(client: Client, blue: Shop, path: str) -> None:
    answer = send(client, blue, "GET", f"{path}?surprise=1")
    assert answer.status_code == 422, answer.text
    assert any("surprise" in field for field in fields(answer))


def test_a_trailing_slash_is_no_other_id(client: Client, blue: Shop) -> None:
    plain = send(client, blue, "GET", "/recommend/u1?k=2").json()["recommendations"]
    slashed = send(client, blue, "GET", "/recommend/u1/?k=2", follow_redirects=True)
    assert slashed.status_code == 200
    assert [each["item_id"] for each in slashed.json()["recommendations"]] == [each["item_id"] for each in plain]
    assert post(client, blue, "/api/v1/interactions", {**EVENT, "user_id": "u9"}).status_code == 200
    erased = send(client, blue, "DELETE", "/api/v1/users/u9/", follow_redirects=True)
    assert erased.status_code in (200, 202), erased.text
    assert "u9" not in {event["user_id"] for event in events(blue)}


# 3. Erasing nobody.


def test_erasing_nobody_does_not_read_as_success(client: Client, blue: Shop) -> None:
    answer = send(client, blue, "DELETE", "/api/v1/users/nobody")
    if answer.status_code == 200:
        assert next(iter(answer.json().items())) == ("found", False)
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "user_not_found")


# 4. Encodings of bodies; HEAD.


def test_a_compressed_body_is_read_or_refused_as_such(client: Client, blue: Shop) -> None:
    body = gzip.compress(json.dumps(EVENT).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = send(client, blue, "POST", "/api/v1/interactions", content=body, headers=headers)
    assert (answer.status_code, len(events(blue))) in ((200, 1), (415, 0)), answer.text


def test_a_compressed_body_is_not_read_without_limits(client: Client, blue: Shop) -> None:
    body = gzip.compress(b'{"user_id": "' + b"x" * 50_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = send(client, blue, "POST", "/api/v1/interactions", content=body, headers=headers)
    assert answer.status_code in (413, 415)


def test_a_byte_order_mark_before_json_is_ignored(client: Client, blue: Shop) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(EVENT).encode()
    headers = {"Content-Type": "application/json"}
    answer = send(client, blue, "POST", "/api/v1/interactions", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/health", "/api/v1/items", "/api/v1/uploads", "/recommend/u1", "/docs"])
def test_head_works_where_get_does(client: Client, blue: Shop, path: str) -> None:
    answer = send(client, blue, "HEAD", path)
    assert answer.status_code == send(client, blue, "GET", path).status_code == 200
    assert answer.content == b""


# 5. Messages hold the client's words.


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/items", {"item_id": "n1", "title": "New", "tags": [1]}, "tags.0"),
        ("/api/v1/recommendations", {"user_id": "u1", "filters": {"tags": ["a", 2]}}, "filters.tags.1"),
        ("/api/v1/interactions", {"events": [EVENT, {**EVENT, "rating": "many"}]}, "events.1.rating"),
        ("/api/v1/recommendations", {"user_id": "u1", "count": "ten"}, "count"),
    ],
)
def test_a_message_names_the_clients_path(client: Client, blue: Shop, path: str, body: Any, field: str) -> None:
    answer = post(client, blue, path, body)
    assert answer.status_code == 422, answer.text
    assert field in fields(answer)
    assert not [word for word in INTERNAL if word in answer.text]


# 6. A bad event among good ones.


def test_of_a_batch_all_or_none_are_taken(client: Client, blue: Shop) -> None:
    batch = {"events": [EVENT, {"user_id": "u1", "item_id": "b3", "interaction_type": "stroked"}]}
    assert post(client, blue, "/api/v1/interactions", batch).status_code == 422
    assert not events(blue)


def test_partial_takes_the_good_ones_and_answers_for_each(client: Client, blue: Shop) -> None:
    bad = {"user_id": "u1", "item_id": "b3", "interaction_type": "stroked"}
    answer = post(client, blue, "/api/v1/interactions?partial=true", {"events": [EVENT, bad, EVENT]})
    assert answer.status_code in (200, 207), answer.text
    results = next(value for value in answer.json().values() if isinstance(value, list) and len(value) == 3)
    assert results[0] != results[1]
    assert "stroked" in json.dumps(results[1]) or "interaction_type" in json.dumps(results[1])
    assert {event["item_id"] for event in events(blue)} == {"b2"}


# 7. A visitor.


def test_an_event_of_a_visitor_is_taken(client: Client, blue: Shop) -> None:
    visitor = {"session_id": "s1", "item_id": "b2", "interaction_type": "view"}
    answer = post(client, blue, "/api/v1/interactions", visitor)
    assert answer.status_code == 200, answer.text
    (stored,) = events(blue)
    assert (stored["session_id"], stored["item_id"]) == ("s1", "b2")


# 8. Paths of categories.


def test_a_filter_finds_the_categories_below(client: Client, blue: Shop) -> None:
    paths = ["Clothing > T-shirts", "Clothing > Shoes", "Clothing", "Clothes", "Toys > Caf\u00e9", "Toys"]
    written = contents("b")
    items = written.items.with_columns(pl.Series("category", paths))
    blue.store.write(new_version(NOW, "00000009"), replace(written, items=items), draft(blue.tenant))
    blue.store.promote(new_version(NOW, "00000009"), NOW, "test")

    def found(category: str) -> set[str]:
        query = {"user_id": "u1", "filters": {"category": category}, "exclude_seen": False, "count": 6}
        answer = post(client, blue, "/api/v1/recommendations", query)
        assert answer.status_code == 200, answer.text
        return {each["item_id"] for each in answer.json()["recommendations"]}

    assert found("Clothing") == {"b1", "b2", "b3"}
    assert found("Clothing > T-shirts") == {"b1"}
    assert found("Toys > Cafe\u0301") == {"b5"}


# 9. Freshness.


def test_freshness_is_never_in_the_future(client: Client, blue: Shop) -> None:
    event = {**EVENT, "timestamp": "2024-06-02T11:00:00Z"}
    assert post(client, blue, "/api/v1/interactions", event).status_code == 200
    answer = post(client, blue, "/api/v1/recommendations", {"user_id": "u1"}).json()
    until = datetime.fromisoformat(answer["metadata"]["freshness"]["events_until"])
    assert until <= NOW


# 10. Landing folders.


@pytest.mark.parametrize("name", ["a.csv.part", "a.csv.filepart", "a.csv.tmp", "a.csv~"])
def test_a_temporary_name_waits(name: str, lake: Lake, blue: Shop) -> None:
    folder = lake.landing_root / "blue" / "items"
    folder.mkdir(parents=True)
    (folder / name).write_text("item_id,title\nn1,New\n")
    policy = UploadPolicy(TenantSettings(), 10_000)
    store = TenantStore(lake, blue.db, blue.tenant)
    taken = take_landed_files(store, Kind.ITEMS, policy, now=NOW)
    assert (taken, [path.name for path in folder.iterdir()]) == ((), [name])


# Files of the folder of cases, sent as a shop sends them.


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder of cases at {FOLDER}")
@pytest.mark.parametrize(
    "name", ["09b-windows-1252-semicolon.csv", "27-excel-formula-ids.csv", "97-binary-ids.parquet", "42-xlsx.xlsx"]
)
def test_a_file_is_answered_over_http_as_in_the_process(
    name: str, settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    app = create_app(settings, db, lake, lambda: NOW)
    case = EXPECTED[name]
    with client_of(app) as client:
        file = {"file": (name, (FOLDER / name).read_bytes())}
        sent = client.post(f"/api/v1/upload/{case.kind}", files=file, headers=blue.headers)
    app.state.services.decisions.close()
    body = sent.json()
    answer = body["error"]["message"] if "error" in body else UploadReport.model_validate(body)
    found = problems(case, answer, None)
    assert not found, "\n".join(found)
