"""Requests that are small and sharp: each has one clear answer of 4xx, and none takes what is everybody's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from bento_service.api.recommending import batch
from bento_service.app import create_app
from bento_service.recommending.answer_json import MAX_TITLE
from bento_service.schemas import items as item_schemas
from bento_service.schemas.interactions import MAX_EXTRA_BYTES
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tables.catalogue import RuleRow
from resources.merchandising.rules import MAX_RULES, MAX_TARGETS, MAX_TARGETS_IN_ALL, Rule, RuleDraft, RuleTarget
from resources.merchandising.targets import rank_rules
from resources.ranker.eligibility.overlay import ChangedItem, ItemOverlay
from resources.release.catalogue import Catalogue
from resources.release.store import new_version
from resources.storage.lake import Lake
from resources.uploads.contract.columns import Kind, columns
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

pytestmark = pytest.mark.databases

EXTREME = ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-14:00")
EVENT = {"user_id": "u1", "item_id": "b2", "interaction_type": "view"}
HIDE = {"kind": "hide", "target": {"item_ids": ["b6"]}}


def code_of(answer: Any) -> tuple[int, str]:
    assert set(answer.json()) == {"error"}, answer.text[:500]
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("when", EXTREME)
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/events", EVENT, "timestamp"),
        ("/api/v1/interactions", {"events": [EVENT]}, "events.0.timestamp"),
        ("/api/v1/rules", HIDE, "starts_at"),
        ("/api/v1/rules", HIDE, "ends_at"),
        ("/api/v1/items", {"item_id": "b1", "title": "One"}, "created_at"),
        ("/api/v1/recommendations", {"recent_events": [{"item_id": "b1"}]}, "recent_events.0.timestamp"),
    ],
)
def test_a_time_that_utc_does_not_have(
    client: Client, blue: Shop, path: str, body: dict[str, Any], field: str, when: str
) -> None:
    sent = json.loads(json.dumps(body))
    *way, name = field.split(".")
    place = sent
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[name] = when
    answer = client.post(path, json=sent, headers=blue.headers)
    assert code_of(answer) == (422, "invalid_request")
    assert name in answer.json()["error"]["details"][0]["field"]


@pytest.mark.parametrize("when", EXTREME)
def test_a_rule_is_not_moved_to_a_time_that_utc_does_not_have(client: Client, blue: Shop, when: str) -> None:
    rule = client.post("/api/v1/rules", json=HIDE, headers=blue.headers).json()["id"]
    answer = client.request("PATCH", f"/api/v1/rules/{rule}", json={"ends_at": when}, headers=blue.headers)
    assert code_of(answer) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        '{"user_id": "a\\u0000b", "item_id": "b1", "interaction_type": "view"}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "recommendation_id": "a\\u0000b"}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view\\u0000"}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "price": NaN}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "price": 1e999}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "context": {"a": NaN}}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "timestamp": 1e300}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "timestamp": -1e17}',
        '{"user_id": ' + "9" * 5000 + ', "item_id": "b1", "interaction_type": "view"}',
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "context": {"a": ' + "9" * 5000 + "}}",
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "quantity": ' + "9" * 5000 + "}",
        '{"user_id": "u", "item_id": "b1", "interaction_type": "view", "context": '
        + '{"a":' * 9999
        + "1"
        + "}" * 10000,
        '{"user_id": "\\ud800", "item_id": "b1", "interaction_type": "view"}',
    ],
)
def test_values_that_no_store_takes(client: Client, blue: Shop, body: str) -> None:
    headers = {**blue.headers, "Content-Type": "application/json"}
    answer = client.post("/events", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "query",
    [
        "/api/v1/items?q=%00",
        "/api/v1/items?category=a%00b",
        "/api/v1/items?cursor=aQA",
        "/api/v1/items?cursor=" + "A" * 400,
        "/api/v1/rules?cursor=cjAwMDEtMDEtMDFUMDA6MDA6MDArMTQ6MDA",
        "/api/v1/training?cursor=" + "A" * 90,
        "/api/v1/recommendations/why-not?item_id=b1&scenario=%00&category=%00",
        "/api/v1/recommendations/why-not?item_id=b1&min_price=1e308&max_price=0",
        "/api/v1/uploads/%00",
        "/api/v1/rules/%00",
        "/api/v1/recommendations/%00/receipt",
        "/api/v1/recommendations/" + "f" * 32 + "/receipt",
        "/api/v1/training/%ff/progress",
    ],
)
def test_queries_and_paths_that_nobody_sends(client: Client, blue: Shop, query: str) -> None:
    answer = client.get(query, headers=blue.headers)
    assert answer.status_code < 500, answer.text


def test_no_path_swallows_what_belongs_to_the_route(client: Client, blue: Shop) -> None:
    for event in ({**EVENT, "user_id": "x"}, {**EVENT, "user_id": "x/export"}):
        assert client.post("/events", json=event, headers=blue.headers).status_code == 200
    users = "/api/v1/users"
    for path in ("x/export", "x/export/", "x/export/export", "/x"):
        assert client.request("DELETE", f"{users}/{path}", headers=blue.headers).status_code == 404, path
    assert client.get(f"{users}/x%2Fexport", headers=blue.headers).status_code == 404  # that user has no such route
    slashed = client.get(f"{users}/x%2Fexport/export", headers=blue.headers).json()
    assert [event["user_id"] for event in slashed["events"]] == ["x/export"]
    assert len(client.get(f"{users}/x/export", headers=blue.headers).json()["events"]) == 1
    assert client.request("DELETE", f"{users}/x%2fexport", headers=blue.headers).json()["found"]
    assert client.get(f"{users}/x%2Fexport/export", headers=blue.headers).status_code == 404
    assert len(client.get(f"{users}/x/export", headers=blue.headers).json()["events"]) == 1


def test_an_item_id_with_a_slash_is_sent_encoded(client: Client, blue: Shop) -> None:
    client.post("/api/v1/items", json={"item_id": "a/b", "title": "Slash"}, headers=blue.headers)
    assert client.get("/api/v1/items/a%2Fb", headers=blue.headers).json()["item_id"] == "a/b"
    for method in ("GET", "DELETE", "PATCH"):
        answer = client.request(method, "/api/v1/items/a/b", json={"price": 1}, headers=blue.headers)
        assert code_of(answer) == (404, "not_found")
        assert "%2F" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/items", "GET, HEAD, POST"),
        ("POST", "/api/v1/items/b1", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/api/v1/rules/x", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/api/v1/recommendations", "POST"),
        ("PATCH", "/api/v1/api-keys", "GET, HEAD, POST"),
        ("POST", "/api/v1/users/x", "DELETE"),
        ("POST", "/api/v1/users/x/export", "GET, HEAD"),
        ("POST", "/api/v1/users/x%2Fexport", "DELETE"),
        ("POST", "/api/v1/recommendations/exports/x", "DELETE, GET, HEAD"),
    ],
)
def test_allow_names_every_method_of_the_path(client: Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert code_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("field", ["context", "metadata"])
def test_an_event_has_a_size(client: Client, blue: Shop, field: str) -> None:
    fits = {**EVENT, field: {"page": "x" * (MAX_EXTRA_BYTES - 20)}}
    assert client.post("/events", json=fits, headers=blue.headers).status_code == 200
    for size in (MAX_EXTRA_BYTES, 3_900_000):
        large = {**EVENT, field: {"page": "x" * size}}
        for body in (large, {"events": [large]}):
            answer = client.post("/events", json=body, headers=blue.headers)
            assert code_of(answer) == (422, "invalid_request")
            assert "8,192" in answer.json()["error"]["message"]
    both = {**EVENT, "context": {"a": "ü" * 3000}, "metadata": {"a": "x" * 3000}}
    assert code_of(client.post("/events", json=both, headers=blue.headers)) == (422, "invalid_request")
    asked = {"user_id": "u1", "context": {"page": "x" * MAX_EXTRA_BYTES}}
    answer = client.post("/api/v1/recommendations", json=asked, headers=blue.headers)
    assert code_of(answer) == (422, "invalid_request")


@pytest.mark.parametrize("field", ["title", "category", "brand", "description", "image_url", "tags"])
def test_a_text_of_an_item_has_a_length(client: Client, blue: Shop, field: str) -> None:
    most = next(column.max_bytes for column in columns(Kind.ITEMS) if column.name == field)
    item = {"item_id": "b1", "title": "One"}
    for text, status in (
        ("x" * most, 200),
        ("x" * (most + 1), 422),
        ("ü" * (most // 2 + 1), 422),
        ("x" * 900_000, 422),
    ):
        answer = client.post("/api/v1/items", json={**item, field: text}, headers=blue.headers)
        assert answer.status_code == status, (len(text), answer.text[:300])


def test_the_name_of_a_file_has_a_length(client: Client, blue: Shop) -> None:
    name = "x" * 1_000 + ".tsv"
    sent = {"file": (name, "item_id\ttitle\ni1\tOne\n")}
    report = client.post("/api/v1/upload/items", files=sent, headers=blue.headers).json()
    assert (report["status"], report["rows_accepted"]) == ("success", 1)
    (upload,) = client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"]
    assert upload["filename"] == name[-255:]


def test_an_answer_of_a_release_with_giant_texts_stays_small(client: Client, blue: Shop) -> None:
    giant_release(blue)
    answer = client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 100}, headers=blue.headers)
    assert answer.status_code == 200
    assert len(answer.json()["recommendations"]) == 5
    assert len(answer.content) < 5 * 6 * MAX_TITLE
    assert {len(item["title"]) for item in answer.json()["recommendations"]} == {MAX_TITLE}
    assert {item["image_url"] for item in answer.json()["recommendations"]} == {None}
    similar = client.post("/api/v1/recommendations/similar", json={"item_id": "b1"}, headers=blue.headers)
    assert similar.status_code == 200 and len(similar.content) < 5 * 6 * MAX_TITLE


def giant_release(shop: Shop) -> None:
    """Publish a release like those that earlier versions made of titles of a megabyte."""
    long = pl.lit("x" * 900_000)
    made = contents(shop.prefix)
    items = made.items.with_columns(long.alias("title"), long.alias("category"), long.alias("image_url"))
    version = new_version(NOW, "0000000f")
    shop.store.write(version, replace(made, items=items), draft(shop.tenant))
    shop.store.promote(version, NOW, "test")


def test_a_batch_ends_where_its_answers_fill_it(client: Client, blue: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_ANSWER_CHARACTERS", 3_000)
    requests = [{"user_id": "u1", "count": 5}] * 20
    results = client.post("/api/v1/recommendations/batch", json={"requests": requests}, headers=blue.headers).json()
    statuses = [result["status"] for result in results["results"]]
    assert statuses[0] == 200 and statuses[-1] == 413 and statuses == sorted(statuses)
    assert results["results"][-1]["error"]["code"] == "too_large"


def test_a_page_of_items_ends_where_their_texts_fill_it(
    client: Client, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_schemas, "MAX_PAGE_CHARACTERS", 1_000)
    items = [{"item_id": f"i{n}", "title": f"Item {n}", "description": "x" * 400} for n in range(7)]
    assert client.post("/api/v1/items", json=items, headers=blue.headers).status_code == 200
    found, sizes, cursor = [], [], ""
    while cursor is not None:
        page = client.get(f"/api/v1/items?limit=200{cursor and f'&cursor={cursor}'}", headers=blue.headers).json()
        found += [item["item_id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
    assert found == [f"i{n}" for n in range(7)]
    assert sizes == [3, 3, 1]


def test_the_rules_of_a_tenant_name_so_many_items_and_no_more(client: Client, blue: Shop, green: Shop) -> None:
    full = {"kind": "boost", "target": {"item_ids": [f"i{n}" for n in range(MAX_TARGETS)]}}
    made = [
        client.post("/api/v1/rules", json=full, headers=blue.headers).json()["id"]
        for _ in range(MAX_TARGETS_IN_ALL // MAX_TARGETS)
    ]
    one_more = {"kind": "hide", "target": {"item_ids": ["b6"]}}
    refused = client.post("/api/v1/rules", json=one_more, headers=blue.headers)
    assert code_of(refused) == (409, "conflict")
    assert "10,000" in refused.json()["error"]["message"]
    assert client.post("/api/v1/rules", json=one_more, headers=green.headers).status_code == 201
    brand = client.post("/api/v1/rules", json={"kind": "hide", "target": {"brand": "x"}}, headers=blue.headers).json()
    change = {"target": {"item_ids": ["b6"]}}
    answer = client.request("PATCH", f"/api/v1/rules/{brand['id']}", json=change, headers=blue.headers)
    assert code_of(answer) == (409, "conflict")
    fewer = {"target": {"item_ids": ["i1"]}}
    assert client.request("PATCH", f"/api/v1/rules/{made[0]}", json=fewer, headers=blue.headers).status_code == 200
    assert client.post("/api/v1/rules", json=one_more, headers=blue.headers).status_code == 201


def test_a_tenant_that_has_too_many_targets_already_can_take_them_back(client: Client, blue: Shop) -> None:
    target = RuleTarget(item_ids=tuple(f"i{n}" for n in range(MAX_TARGETS)))
    rule = RuleDraft(kind="boost", target=target).model_dump(mode="json")
    with blue.db.write() as session:
        for n in range(MAX_TARGETS_IN_ALL // MAX_TARGETS + 2):
            session.add(RuleRow(id=f"rule_{n}", tenant_id="blue", rule=rule, created_at=NOW, updated_at=NOW))
    fewer = {"target": {"item_ids": [f"i{n}" for n in range(MAX_TARGETS - 1)]}}
    assert client.request("PATCH", "/api/v1/rules/rule_0", json=fewer, headers=blue.headers).status_code == 200
    assert client.request("PATCH", "/api/v1/rules/rule_0", json={"note": "x"}, headers=blue.headers).status_code == 200
    assert client.request("DELETE", "/api/v1/rules/rule_1", headers=blue.headers).status_code == 200


class CountedCatalogue(Catalogue):
    """Counts how often rows are turned into ids: that is what takes time with the size of the catalogue."""

    asked = 0

    def item_ids(self, rows: Any) -> list[str]:
        self.asked += 1
        return super().item_ids(rows)


def test_rules_that_overlap_are_resolved_all_at_once() -> None:
    catalogue = CountedCatalogue(contents("b").items)
    audio, new = RuleTarget(category="Audio"), RuleTarget(tag="new")
    stored = {"created_at": NOW, "updated_at": NOW}
    rules = [
        Rule(id=f"rule_{n}", kind="boost", factor=1.001, target=audio if n % 2 else new, **stored)
        for n in range(MAX_RULES)
    ]
    rules.append(Rule(id="hidden", kind="hide", target=RuleTarget(category="kitchen"), **stored))
    changed = ChangedItem(category="Kitchen", given=frozenset({"category"}))
    resolved = rank_rules(rules, catalogue, ItemOverlay(opened={"b2": changed, "b9": changed}))
    assert resolved.boosts["b1"] == pytest.approx(1.001**MAX_RULES)
    assert resolved.boosts["b2"] == pytest.approx(1.001 ** (MAX_RULES / 2))
    assert resolved.hidden == {"b2", "b4", "b5", "b6", "b9"}
    assert catalogue.asked <= 3


def test_hundreds_of_factors_of_one_item_stay_a_number(client: Client, blue: Shop) -> None:
    for factor in [100.0] * 200 + [0.01] * 250:
        target = {"item_ids": ["b2"]} if factor > 1 else {"category": "Audio"}
        body = {"kind": "boost" if factor > 1 else "bury", "factor": factor, "target": target}
        assert client.post("/api/v1/rules", json=body, headers=blue.headers).status_code == 201
    assert client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=blue.headers).status_code == 200


def test_every_page_says_what_it_may_load_and_who_may_frame_it(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop
) -> None:
    settings.data_docs.parent.mkdir(parents=True)
    settings.data_docs.write_text("<!doctype html><title>Models</title>")
    app = create_app(settings.model_copy(update={"demo_tenant": "blue"}), db, lake, lambda: NOW)
    pages = set()
    with client_of(app) as client:
        for path in {route.path for route in app.state.routes if "GET" in route.methods}:
            answer = client.get(path)
            assert answer.headers["x-content-type-options"] == "nosniff", path
            if answer.headers.get("content-type", "").startswith("text/html"):
                pages.add(path)
                policy = answer.headers["content-security-policy"]
                assert "default-src" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
                assert answer.headers["referrer-policy"] in ("same-origin", "no-referrer")
                assert "*" not in policy and ("'unsafe-eval'" in policy) == (path == "/data-docs")
    of_people = {"/signup", "/forgot", "/verify/{token}", "/reset/{token}", "/invite/{token}", "/login/once/{token}"}
    of_entry = {
        f"{start}{end}" for start in ("/login", "/office/login") for end in ("", "/code", "/sso", "/sso/callback")
    }
    assert pages == {"/docs", "/data-docs", "/shop"} | of_people | of_entry


def test_the_try_it_page_runs_the_scripts_that_are_in_it_and_no_others(client: Client) -> None:
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    inline = re.findall(r"<(script|style)>(.*?)</\1>", page.text, re.DOTALL)
    assert {kind for kind, _ in inline} == {"script", "style"}
    for kind, text in inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert re.search(rf"{kind}-src [^;]*'sha256-{re.escape(digest)}'", policy)
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]+ (on\w+|style)=", page.text)
