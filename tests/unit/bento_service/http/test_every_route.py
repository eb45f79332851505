"""What holds of every route: its query, slashes at the end of its path, HEAD, and how its body may be sent."""

from __future__ import annotations

import codecs
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from resources.base.tenant import TenantId
from resources.control_db.tenants import create_tenant
from resources.storage.lake import write_json
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.credentials import Credentials
from tests.unit.bento_service.people import OF_PEOPLE
from tests.unit.bento_service.shop import NOW, Shop

BROWSER_KEY = {
    "name": "web",
    "kind": "browser",
    "scopes": ["recommendations:read"],
    "origins": ["https://shop.example.com"],
}
RULE = {"kind": "hide", "target": {"category": "Nothing"}}
NUMBERS = itertools.count()
SAMPLES: dict[str, Any] = {
    "user_id": "u1",
    "item_id": "b1",
    "item_ids": ["b1"],
    "interaction_type": "view",
    "kind": "hide",
    "target": {"category": "Audio"},
    "name": "a key",
    "scopes": ["recommendations:read"],
    "requests": [{"user_id": "u1"}],
    "overlap_seconds": 3600,
    "url": "https://shop.example.com/hook",
    "title": "Title",
    "category": "Audio",
    "price": 5.0,
    "plan": "business",
    "amount": 1_000,
    "tenant_id": "blue",
    "reason": "The shop asks why an item is missing",
}
"""Values of fields that a body needs, or that its route asks for without saying so in the schema."""
NEEDED = {
    "EventBody": ("user_id", "item_id"),
    "ItemBody": ("title",),
    "ItemPatch": ("title", "price"),
    "RulePatch": ("kind",),
    "TenantPatch": ("name",),
    "RuleTarget": ("category",),
}


def operations(client: Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def of_shop(client: Client, shop: Shop) -> dict[str, str]:
    """Values of what paths name, of things that are there."""
    client.post("/events", json={"user_id": "u1", "item_id": "b1", "interaction_type": "view"}, headers=shop.headers)
    client.post("/api/v1/items", json={"item_id": "b1", "title": "One"}, headers=shop.headers)
    rule = client.post("/api/v1/rules", json=RULE, headers=shop.headers).json()["id"]
    key = client.post("/api/v1/api-keys", json=BROWSER_KEY, headers=shop.headers).json()["id"]
    answer = client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=shop.headers).json()
    write_json(shop.lake.tenant(shop.tenant).trained_model, {})
    hook = client.post("/api/v1/webhooks", json={"url": SAMPLES["url"]}, headers=shop.headers).json()["id"]
    named = {
        "webhook_id": hook,
        "key_id": key,
        "user_id": "u1",
        "item_id": "b1",
        "rule_id": rule,
        "recommendation_id": answer["recommendation_id"],
    }
    return {**named, "kind": "interactions"}


def anew(client: Client, shop: Shop, method: str, path: str, values: dict[str, str]) -> dict[str, str]:
    """The values for one request: whatever a route changes for good, or stops, is a new one each time."""
    if path.endswith("/rotate"):
        key = client.post("/api/v1/api-keys", json=BROWSER_KEY, headers=shop.headers).json()["id"]
        return {**values, "key_id": key}
    if path == "/api/v1/plan/request":  # a wish for another plan takes the place of this one
        client.post(path, json={"plan": "free"}, headers=shop.headers)
    if "{tenant_id}" in path:
        tenant = TenantId(f"other-{next(NUMBERS)}")
        create_tenant(shop.db, tenant, name="Another shop", now=NOW)
        return {**values, "tenant_id": tenant.value, "meter": "calls"}
    return {**values, "plan_id": f"plan-{next(NUMBERS)}"} if "{plan_id}" in path else values


def filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda name: values.get(name[1], "no-such-thing"), path)


def bodies(client: Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each route that takes JSON by a key, with each schema of an object that it takes."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for method, path, operation in operations(client):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None and not path.startswith(OF_PEOPLE):
            for schema in alternatives(content["schema"], schemas):
                if "properties" in schema:
                    yield method, path, schema


def alternatives(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return [each for one in schema["anyOf"] for each in alternatives(one, schemas)]
    return [schema]


def minimal(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    names = dict.fromkeys((*schema.get("required", ()), *NEEDED.get(schema["title"], ())))
    return {name: sample(name, schema["properties"][name], schemas) for name in names}


def sample(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    if name == "slug":
        return f"shop-{next(NUMBERS)}"
    if name in SAMPLES:
        return SAMPLES[name]
    (only, *_) = alternatives(schema, schemas)
    if only.get("type") == "array":
        return [minimal(alternatives(only["items"], schemas)[0], schemas)]
    return minimal(only, schemas)


def levels(
    schema: dict[str, Any], schemas: dict[str, Any], place: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every object of a body: where it is in it, and its schema."""
    yield place, schema
    for name, field in schema["properties"].items():
        for each in alternatives(field, schemas):
            if "properties" in each:
                yield from levels(each, schemas, (*place, name))
            elif each.get("type") == "array" and "items" in each:
                for item in alternatives(each["items"], schemas):
                    if "properties" in item:
                        yield from levels(item, schemas, (*place, name, 0))


def with_value(body: dict[str, Any], place: tuple[Any, ...], inside: dict[str, Any]) -> dict[str, Any]:
    """Return the body with an object at a place that has these fields."""
    if not place:
        return {**body, **inside}
    name, *rest = place
    if rest and rest[0] == 0:
        first = body.get(name, [{}])[0]
        return {**body, name: [with_value(first, tuple(rest[1:]), inside)]}
    return {**body, name: with_value(body.get(name, {}), tuple(rest), inside)}


def send(
    client: Client, shop: Shop, route: tuple[str, str], credentials: Credentials, values: dict[str, str], **options: Any
) -> httpx.Response:
    method, template = route
    path = filled(template, anew(client, shop, method, template, values))
    headers = {**credentials.of(method, template), **options.pop("headers", {})}
    if "slug" in (body := options.get("json", {})):  # a shop's name is given out once
        options["json"] = {**body, "slug": f"shop-{next(NUMBERS)}"}
    answer = client.request(method, path, headers=headers, **options)
    asked_for_by_the_shop = answer.status_code == 202 and "location" in answer.headers and "/tenants/" not in path
    if asked_for_by_the_shop:  # a tenant has one job of a kind at a time
        client.request("DELETE", answer.headers["location"].removesuffix("/progress"), headers=shop.headers)
    return answer


def test_null_and_empty_texts_say_that_a_field_is_left_out(client: Client, app: FastAPI, blue: Shop) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    values, tried, credentials = of_shop(client, blue), 0, Credentials(app, blue)
    for method, template, schema in bodies(client):
        route = (method, template)
        base = minimal(schema, schemas)
        for place, inner in levels(schema, schemas):
            whole = with_value(base, place, minimal(inner, schemas))
            given: Any = whole
            for part in place:
                given = given[part]
            optional = set(inner["properties"]) - set(given)
            left_out = send(client, blue, route, credentials, values, json=whole)
            assert left_out.status_code < 300, (route, left_out.text)
            for nothing in (None, ""):
                body = with_value(whole, place, dict.fromkeys(optional, nothing))
                answer = send(client, blue, route, credentials, values, json=body)
                assert answer.status_code == left_out.status_code, (route, place, nothing, answer.text)
                tried += len(optional)
    assert tried > 200


def test_an_unknown_field_is_told_with_the_one_that_is_meant(client: Client, app: FastAPI, blue: Shop) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    values, tried, credentials = of_shop(client, blue), 0, Credentials(app, blue)
    for method, template, schema in bodies(client):
        base = minimal(schema, schemas)
        for place, inner in levels(schema, schemas):
            meant = {misspelt(name): name for name in inner["properties"]}
            body = with_value(base, place, {**minimal(inner, schemas), **dict.fromkeys(meant, "x")})
            headers = credentials.of(method, template)
            answer = client.request(method, filled(template, values), json=body, headers=headers)
            assert answer.status_code == 422, (template, place, answer.text)
            told = {each["field"]: each["message"] for each in answer.json()["error"]["details"]}
            for sent, name in meant.items():
                field = ".".join(map(str, (*place, sent)))
                assert told[field] == f"is not a field here; did you mean {name}?", (template, told)
                tried += 1
    assert tried > 80


def misspelt(name: str) -> str:
    """Return the name in camel case, or with its last letter twice."""
    head, *rest = name.split("_")
    return f"{head}{''.join(map(str.title, rest))}" if rest else f"{name}{name[-1]}"


def test_every_route_refuses_a_query_that_it_does_not_have(client: Client, app: FastAPI, blue: Shop) -> None:
    values, tried, credentials = of_shop(client, blue), 0, Credentials(app, blue)
    for method, template, operation in operations(client):
        path = filled(template, values)
        names = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        misspelt_names = "".join(f"&{name.replace('_', '')}X=1" for name in names)
        twice = "".join(f"&{name}=1&{name}=2" for name in names)
        headers = credentials.of(method, template)
        answer = client.request(method, f"{path}?no_such=1{misspelt_names}{twice}", headers=headers)
        assert answer.status_code == 422, (method, path, answer.text)
        details = {each["field"]: each["message"] for each in answer.json()["error"]["details"]}
        assert "is not a query parameter of this route" in details["no_such"]
        for name, schema in names.items():
            told = details[f"{name.replace('_', '')}X"]
            assert told.endswith(f"did you mean {name}?") or len(name) == 1, (method, path, told)
            repeats = schema.get("type") == "array"
            assert details.get(name) == (None if repeats else "is given several times; send it once"), (path, details)
            tried += 1
    assert tried > 20


def test_a_query_parameter_without_a_value_is_left_out(client: Client, app: FastAPI, blue: Shop) -> None:
    values, credentials = of_shop(client, blue), Credentials(app, blue)
    for method, template, operation in operations(client):
        if method != "GET":
            continue
        path = filled(template, values)
        needed = "&".join(
            f"{each['name']}=b1"
            for each in operation.get("parameters", ())
            if each["in"] == "query" and each["required"]
        )
        headers = credentials.of(method, template)
        plain = client.get(f"{path}?{needed}", headers=headers)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query" and not parameter["required"]:
                answer = client.get(f"{path}?{needed}&{parameter['name']}=", headers=headers)
                flag = parameter["schema"].get("type") == "boolean"
                assert answer.status_code == (422 if flag else plain.status_code), (
                    path,
                    parameter["name"],
                    answer.text,
                )


def test_the_bare_name_of_a_flag_is_true_and_an_empty_one_stores_nothing(client: Client, blue: Shop) -> None:
    for query, status in (("validate_only", 200), ("validate_only=", 422), ("validateonly=true", 422)):
        for path in ("/api/v1/upload/items", "/api/v1/items"):
            file = {"file": ("x.csv", "item_id,title\nx,X\n")}
            answer = client.post(f"{path}?{query}", files=file, headers=blue.headers)
            assert answer.status_code == status, answer.text
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []


def test_a_credential_comes_before_the_query(client: Client, blue: Shop) -> None:
    for method, template, operation in operations(client):
        if "security" in operation and template != "/health":
            path = f"{filled(template, {})}?no_such=1"
            assert client.request(method, path).status_code == 401, path


def test_a_slash_at_the_end_changes_nothing(client: Client, blue: Shop) -> None:
    of_shop(client, blue)
    for method, template, _ in operations(client):
        if template == "/metrics" or (method, template) == ("DELETE", "/api/v1/users/{user_id}"):
            continue  # figures of requests; and a user cannot be erased twice
        if (method, template) == ("POST", "/api/v1/shop/exports"):  # it takes no body, and does not begin twice
            continue
        path = filled(template, {"user_id": "u9", "item_id": "zz"})
        answers = [
            client.request(method, f"{path}{end}", content=b"x", headers={**blue.headers, "Content-Type": "x/y"})
            for end in ("", "/", "///", "/?")
        ]
        assert {each.status_code for each in answers} == {answers[0].status_code}, (method, path)
        bodies = [each for each in answers if each.headers.get("content-type") == "application/json"]
        assert len({each.headers.get("content-type") for each in answers}) == 1, (method, path)
        kinds = {each.json().get("error", {}).get("code") for each in bodies} or {None}
        assert len(kinds) == 1, (method, path, kinds)


def test_a_slash_at_the_end_is_never_part_of_an_id(client: Client, blue: Shop) -> None:
    event = {"item_id": "b1", "interaction_type": "view"}
    for user in ("u7", "u7/"):
        client.post("/events", json={**event, "user_id": user}, headers=blue.headers)
    with_slash = client.get("/api/v1/users/u7%2F/export", headers=blue.headers).json()
    assert with_slash["user_id"] == "u7/"
    assert client.get("/api/v1/users/u7/export/", headers=blue.headers).json()["user_id"] == "u7"
    assert client.request("DELETE", "/api/v1/users/u7/", headers=blue.headers).json()["found"]
    assert client.get("/api/v1/users/u7/export", headers=blue.headers).status_code == 404
    assert client.get("/api/v1/users/u7%2F/export", headers=blue.headers).status_code == 200
    known = client.get("/recommend/u1/", headers=blue.headers).json()
    assert known["metadata"]["fallback_reason"] is None
    assert client.get("/recommend/u1%2F", headers=blue.headers).json()["metadata"]["fallback_reason"] is not None


def test_head_is_answered_as_get_without_the_body(client: Client, app: FastAPI, blue: Shop) -> None:
    values, tried = of_shop(client, blue), 0
    for route in app.state.routes:
        if "GET" not in route.methods or route.path_format == "/metrics":
            continue
        path = filled(route.path_format, values)
        get, head = (client.request(method, path, headers=blue.headers) for method in ("GET", "HEAD"))
        assert head.status_code == get.status_code, path
        assert head.content == b""
        same = ("content-type", "content-length", "location")
        volatile = ("latency_ms", "exported_at", "request_id")
        if not any(name in get.text for name in volatile):
            assert [head.headers.get(name) for name in same] == [get.headers.get(name) for name in same], path
        tried += 1
    assert tried > 20
    assert client.request("HEAD", "/api/v1/recommendations", headers=blue.headers).status_code == 405


def sent_as(body: Any, how: str) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(body).encode()
    if how == "gzip":
        half = len(text) // 2
        return gzip.compress(text[:half]) + gzip.compress(text[half:]), {"Content-Encoding": "gzip"}
    if how == "deflate":
        return zlib.compress(text), {"Content-Encoding": "Deflate"}
    return {"mark": codecs.BOM_UTF8 + text, "plain": text, "identity": text}[how], (
        {"Content-Encoding": how} if how == "identity" else {}
    )


@pytest.mark.parametrize("how", ["gzip", "deflate", "mark", "identity"])
def test_a_body_may_be_compressed_or_have_a_mark(client: Client, app: FastAPI, blue: Shop, how: str) -> None:
    values, tried, credentials = of_shop(client, blue), 0, Credentials(app, blue)
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for method, template, schema in bodies(client):
        answers = []
        for each in ("plain", how):
            content, headers = sent_as(minimal(schema, schemas), each)
            headers["Content-Type"] = "application/json"
            route = (method, template)
            answers.append(send(client, blue, route, credentials, values, content=content, headers=headers))
        assert answers[0].status_code < 300, (template, answers[0].text)
        assert answers[0].status_code == answers[1].status_code, (template, answers[1].text)
        tried += 1
    assert tried > 10


def test_bodies_that_cannot_be_decompressed_or_read(client: Client, blue: Shop) -> None:
    body = {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}
    text = json.dumps(body).encode()
    bomb = gzip.compress(b" " * 50_000_000)
    cases = (
        (gzip.compress(text), "br", 415, "gzip and deflate"),
        (gzip.compress(text), "gzip, gzip", 415, "gzip and deflate"),
        (gzip.compress(text)[:-9], "gzip", 400, "not whole gzip"),
        (text, "gzip", 400, "not whole gzip"),
        (bomb, "gzip", 413, "more than"),
        (codecs.BOM_UTF16_LE + text.decode().encode("utf-16-le"), "", 400, "UTF-16"),
        (text.decode().encode("utf-16-be"), "", 400, "UTF-16"),
        (text.decode().encode("utf-32"), "", 400, "UTF-32"),
    )
    for path in ("/events", "/api/v1/interactions", "/api/v1/items", "/api/v1/recommendations"):
        for content, encoding, status, told in cases:
            headers = {"Content-Type": "application/json", **blue.headers}
            headers |= {"Content-Encoding": encoding} if encoding else {}
            answer = client.post(path, content=content, headers=headers)
            assert answer.status_code == status, (path, encoding, answer.text)
            assert told in answer.json()["error"]["message"]
