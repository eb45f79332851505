"""The routes of usage and statements."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.billing.prices import read_prices
from resources.billing.samples import store_sample
from resources.billing.statements import Month, make_statement
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from resources.usage.adding import add_usage
from resources.usage.amounts import Amounts, Counted
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop

TODAY = NOW.date()
PRICES = '{"currency": "EUR", "prices": [{"unit": "calls", "price": "0.40", "per": 1000, "free": 100}]}'


def add(shop: Shop, *, day: date = TODAY, key: str = "k1", operation: str = "recommend", **amounts: int) -> None:
    with shop.db.write() as session:
        add_usage(session, {Counted(shop.tenant.value, day, key, operation, "2xx"): Amounts(**amounts)})


def get(client: Client, shop: Shop, path: str, status: int = 200) -> Any:
    answer = client.get(path, headers=shop.headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_calls_show_after_they_are_written(client: Client, app: FastAPI, blue: Shop, green: Shop) -> None:
    """By key and operation; refused ones and those of nobody are apart, a batch is as many calls as it holds."""
    for _ in range(3):
        client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 2}, headers=blue.headers)
    batch = {"requests": [{"user_id": "u1", "count": 2}, {"user_id": "u2", "count": 1}]}
    client.post("/api/v1/recommendations/batch", json=batch, headers=blue.headers)
    client.get("/api/v1/rules", headers=blue.key_with("recommendations:read"))
    client.get("/api/v1/rules", headers={"Authorization": "Bearer sk_live_of_nobody"})
    client.post("/api/v1/recommendations", json={"user_id": 1.5}, headers=blue.headers)
    event = {"user_id": "u1", "item_id": "b1", "interaction_type": "view", "event_id": "e1"}
    for _ in range(2):
        client.post("/events", json=event, headers=blue.headers)
    rows = "item_id,title\nx,Lamp\ny,Chair\n"
    for _ in range(2):  # the second time it is there already
        client.post("/api/v1/upload/items", files={"file": ("items.csv", rows)}, headers=blue.headers)
    app.state.services.usage.take()
    app.state.services.usage.write()
    found = get(client, blue, "/api/v1/usage")
    assert (found["from"], found["to"]) == ("2024-05-03", "2024-06-01")
    lines = {each["operation"]: each for each in found["usage"]}
    assert lines["recommend"]["calls"] == 6 and lines["recommend"]["recommended_items"] == 9
    assert (lines["rules"]["calls"], lines["rules"]["refused_calls"]) == (0, 1)
    assert (lines["events"]["calls"], lines["events"]["events"]) == (2, 1)
    assert (lines["uploads"]["calls"], lines["uploads"]["uploaded_rows"]) == (2, 2)
    assert found["total"]["calls"] == 10
    by_key = get(client, blue, "/api/v1/usage?group=key")["usage"]
    shown = sorted((each["calls"], each["refused_calls"], each["events"], each["uploaded_rows"]) for each in by_key)
    assert shown == [(0, 1, 0, 0), (10, 0, 1, 2)]
    assert get(client, green, "/api/v1/usage")["usage"] == []


def test_lines_page_by_page_are_those_of_one_page(client: Client, blue: Shop) -> None:
    for day in range(5):
        for key in ("k1", "k2", "ümläut ⚑"):
            add(blue, day=TODAY - timedelta(days=day), key=key, calls=day + 1)
    for groups in ("group=day&group=key", "group=key&group=operation", "group=day", ""):
        whole = get(client, blue, f"/api/v1/usage?{groups}")["usage"]
        seen: list[Any] = []
        cursor = ""
        while True:
            page = get(client, blue, f"/api/v1/usage?limit=2&{groups}{cursor}")
            seen += page["usage"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == whole
        assert sum(each["calls"] for each in seen) == 45


def test_only_the_days_that_are_asked_for_count(client: Client, blue: Shop) -> None:
    for day in range(4):
        add(blue, day=TODAY - timedelta(days=day), calls=10**day)
    found = get(client, blue, f"/api/v1/usage?from={TODAY - timedelta(days=2)}&to={TODAY - timedelta(days=1)}")
    assert found["total"]["calls"] == 110 and len(found["usage"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "from=2024-06-02&to=2024-06-01",
        "from=2020-01-01",
        "from=yesterday",
        "group=user",
        "cursor=nonsense",
        "format=xml",
        "limit=201",
        "to=0001-01-01&from=0001-01-02",
    ],
)
def test_questions_that_make_no_sense_are_refused(client: Client, blue: Shop, query: str) -> None:
    answer = client.get(f"/api/v1/usage?{query}", headers=blue.headers)
    assert answer.status_code == 422, answer.text


def test_a_cursor_of_other_groups_is_refused(client: Client, blue: Shop) -> None:
    for key in ("k1", "k2"):
        add(blue, key=key, calls=1)
    cursor = get(client, blue, "/api/v1/usage?group=key&limit=1")["next_cursor"]
    get(client, blue, f"/api/v1/usage?group=day&group=key&cursor={cursor}", 422)
    get(client, blue, f"/api/v1/usage?group=day&cursor={cursor}", 422)


def test_the_file_has_every_line_and_runs_nothing(client: Client, blue: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key's id is ours, a member's is: neither begins like a formula, and if one did, it would not run."""
    monkeypatch.setattr("bento_service.api.admin.usage._CSV_PART", 3)
    for number in range(7):
        add(blue, key=f"k{number}", calls=number)
    add(blue, key="=cmd()", calls=1, training_ms=1500)
    answer = client.get("/api/v1/usage?group=key&format=csv", headers=blue.headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].endswith('filename="usage-blue-2024-05-03-2024-06-01.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["key_id"]: row["calls"] for row in rows} == {"'=cmd()": "1"} | {f"k{n}": str(n) for n in range(1, 7)}
    assert rows[0]["training_seconds"] == "1.5"


def test_the_newest_sample_shows_what_is_stored(client: Client, blue: Shop) -> None:
    assert get(client, blue, "/api/v1/usage")["stored"] is None
    for day, size in ((TODAY - timedelta(days=1), 5), (TODAY, 7)):
        with blue.db.write() as session:
            amounts = {"bytes:uploads": size, "bytes:releases": 10, "items": 6, "users": 2}
            store_sample(session, blue.tenant, day, amounts)
    stored = get(client, blue, "/api/v1/usage")["stored"]
    assert stored == {
        "day": "2024-06-01",
        "storage_bytes": 17,
        "bytes_by_kind": {"uploads": 7, "releases": 10},
        "items": 6,
        "users": 2,
    }


def test_the_operator_sees_the_usage_of_every_tenant(client: Client, blue: Shop, green: Shop) -> None:
    add(green, calls=5)
    path = "/api/v1/admin/tenants/green/usage"
    operator = blue.key_with("platform")
    assert client.get(path, headers=operator).json()["total"]["calls"] == 5
    assert client.get(f"{path}?format=csv", headers=operator).status_code == 200
    assert client.get(path, headers=blue.headers).status_code == 403
    assert client.get("/api/v1/admin/tenants/nobody/usage", headers=operator).status_code == 404


def test_without_a_price_list_there_are_no_statements(client: Client, blue: Shop) -> None:
    assert get(client, blue, "/api/v1/invoices") == {"statements": [], "next_cursor": None}
    get(client, blue, "/api/v1/invoices/2024-06", 404)
    get(client, blue, "/api/v1/invoices/june", 422)


def test_statements_page_by_page(settings: Settings, db: ControlDb, lake: Lake, blue: Shop, green: Shop) -> None:
    prices = read_prices(PRICES)
    assert prices is not None
    for month in (3, 4, 5):
        add(blue, day=date(2024, month, 7), calls=1000 * month)
        with db.write() as session:
            make_statement(session, blue.tenant, Month(2024, month), prices, now=NOW)
    add(blue, calls=1100)
    app = create_app(settings.model_copy(update={"prices": PRICES}), db, lake, lambda: NOW)
    with client_of(app) as client:
        first = get(client, blue, "/api/v1/invoices?limit=2")
        assert [(each["month"], each["status"], each["total"]) for each in first["statements"]] == [
            ("2024-06", "so_far", "0.40"),
            ("2024-05", "final", "1.96"),
            ("2024-04", "final", "1.56"),
        ]
        rest = get(client, blue, f"/api/v1/invoices?limit=2&cursor={first['next_cursor']}")
        assert [each["month"] for each in rest["statements"]] == ["2024-03"] and rest["next_cursor"] is None
        assert get(client, blue, "/api/v1/invoices/2024-05") == first["statements"][1]
        get(client, blue, "/api/v1/invoices/2024-07", 404)
        assert [each["status"] for each in get(client, green, "/api/v1/invoices")["statements"]] == ["so_far"]
    app.state.services.decisions.close()
