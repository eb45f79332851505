"""Exports of all users' recommendations by HTTP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.recommendations import exports as recommendation_exports
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop

PATH = "/api/v1/recommendations/exports"


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW]


@pytest.fixture
def app(settings: Settings, db: ControlDb, lake: Lake, clock: list[datetime]) -> Iterator[FastAPI]:
    app = create_app(settings, db, lake, lambda: clock[0])
    yield app
    app.state.services.decisions.close()


def ask(client: Client, shop: Shop, key: str | None = None, **body: Any) -> Any:
    headers = shop.headers if key is None else {**shop.headers, "Idempotency-Key": key}
    return client.post(PATH, json=body, headers=headers)


def state(client: Client, shop: Shop, export: Any) -> Any:
    return client.get(f"{PATH}/{export['export_id']}", headers=shop.headers).json()


def file(client: Client, shop: Shop, export: Any) -> Any:
    return client.get(f"{PATH}/{export['export_id']}/file", headers=shop.headers)


def work(app: FastAPI) -> bool:
    """Do what the thread of the service does."""
    worked: bool = app.state.services.job_worker.run_next()
    return worked


def made(client: Client, app: FastAPI, shop: Shop, **body: Any) -> Any:
    answer = ask(client, shop, **body)
    assert answer.status_code == 202, answer.text
    assert work(app)
    done = state(client, shop, answer.json())
    assert done["status"] == "completed", done
    return done


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_export_is_acknowledged_written_and_downloaded(client: Client, app: FastAPI, blue: Shop) -> None:
    answer = ask(client, blue, count=3)
    queued = answer.json()
    url = f"{PATH}/{queued['export_id']}"
    assert (answer.status_code, set(queued)) == (202, {"export_id", "status", "status_url"})
    assert (queued["status"], queued["status_url"], answer.headers["location"]) == ("queued", url, url)
    shown = client.get(url, headers=blue.headers)
    assert shown.headers["retry-after"] == "1"
    assert (shown.json()["progress"], shown.json()["download_url"]) == (0, None)
    assert code(file(client, blue, queued)) == (409, "conflict")

    assert work(app)
    shown = client.get(url, headers=blue.headers)
    assert "retry-after" not in shown.headers
    done = shown.json()
    got = client.get(done["download_url"], headers=blue.headers)
    assert done == {
        "export_id": queued["export_id"],
        "status": "completed",
        "progress": 1,
        "count": 3,
        "scenario": None,
        "format": "csv",
        "users_done": 2,
        "users_total": 2,
        "rows": 6,
        "bytes": len(got.content),
        "release_version": blue.versions[0],
        "created_at": "2024-06-01T12:00:00Z",
        "started_at": "2024-06-01T12:00:00Z",
        "completed_at": "2024-06-01T12:00:00Z",
        "error": None,
        "download_url": f"{url}/file",
    }
    assert got.headers["content-type"] == "text/csv; charset=utf-8"
    assert got.headers["content-disposition"] == f'attachment; filename="{done["export_id"]}.csv"'
    assert got.headers["content-length"] == str(len(got.content))
    table = pl.read_csv(io.BytesIO(got.content), schema=RECOMMENDATION_SCHEMA)
    for user in ("u1", "ü 2/x"):
        body = {"user_id": user, "count": 3}
        items = client.post("/api/v1/recommendations", json=body, headers=blue.headers).json()["recommendations"]
        assert table.filter(pl.col("user_id") == user)["item_id"].to_list() == [item["item_id"] for item in items]
    assert not work(app)


def test_a_scenario_and_parquet(client: Client, app: FastAPI, blue: Shop) -> None:
    rule = {"kind": "pin", "target": {"item_ids": ["b6"]}, "scenario": "mail"}
    assert client.post("/api/v1/rules", json=rule, headers=blue.headers).status_code == 201
    done = made(client, app, blue, count=1, scenario="mail", format="parquet")
    got = file(client, blue, done)
    assert got.headers["content-type"] == "application/vnd.apache.parquet"
    table = pl.read_parquet(io.BytesIO(got.content))
    assert table.schema == RECOMMENDATION_SCHEMA
    assert set(table["item_id"]) == {"b6"}
    assert "b6" not in file(client, blue, made(client, app, blue, count=1)).text


def test_ids_are_as_they_are_also_where_a_spreadsheet_would_run_them(client: Client, app: FastAPI, blue: Shop) -> None:
    event = {"user_id": '=1+1,"x"', "item_id": "b2", "interaction_type": "view"}
    assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    table = pl.read_csv(io.BytesIO(file(client, blue, made(client, app, blue)).content), schema=RECOMMENDATION_SCHEMA)
    assert '=1+1,"x"' in table["user_id"]


def test_a_second_one_is_told_which_one_is_running(client: Client, app: FastAPI, blue: Shop, green: Shop) -> None:
    first = ask(client, blue).json()
    answer = ask(client, blue)
    assert code(answer) == (409, "conflict")
    assert first["export_id"] in answer.json()["error"]["message"]
    assert ask(client, green).status_code == 202
    assert work(app) and work(app)
    assert ask(client, blue).status_code == 202


def test_a_retry_gets_the_same_export(client: Client, app: FastAPI, blue: Shop) -> None:
    first = ask(client, blue, key="k", count=5)
    assert ask(client, blue, key="k", count=5).json() == first.json()
    work(app)
    again = ask(client, blue, key="k", count=5)
    assert (again.status_code, again.json()["export_id"]) == (202, first.json()["export_id"])
    assert again.json()["status"] == "completed"
    assert code(ask(client, blue, key="k", count=6)) == (409, "conflict")


def test_without_a_release_there_is_nothing_to_export(client: Client, empty: Shop) -> None:
    answer = ask(client, empty)
    assert code(answer) == (503, "no_release")
    assert "retry-after" in answer.headers
    assert client.get(PATH, headers=empty.headers).json() == {"exports": [], "next_cursor": None}


@pytest.mark.parametrize("body", [{"count": 0}, {"count": 101}, {"format": "xlsx"}, {"user_id": "u1"}])
def test_bodies_that_are_not_valid(client: Client, blue: Shop, body: dict[str, Any]) -> None:
    assert code(ask(client, blue, **body)) == (422, "invalid_request")


def test_a_key_of_the_shops_pages_cannot_export_its_users(client: Client, app: FastAPI, blue: Shop) -> None:
    done = made(client, app, blue)
    url = f"{PATH}/{done['export_id']}"
    page = blue.key_with("recommendations:read", "interactions:write")
    for method, path in (("POST", PATH), ("GET", PATH), ("GET", url), ("GET", f"{url}/file"), ("DELETE", url)):
        assert code(client.request(method, path, headers=page, json={})) == (403, "forbidden")
    for scope in ("analytics:read", "admin"):
        assert client.get(f"{url}/file", headers=blue.key_with(scope)).status_code == 200
    assert code(ask(client, blue, tenant_id="green")) == (403, "forbidden")


def test_another_tenants_export_does_not_exist(client: Client, app: FastAPI, blue: Shop, green: Shop) -> None:
    done = made(client, app, blue)
    url = f"{PATH}/{done['export_id']}"
    for method, path in (("GET", url), ("GET", f"{url}/file"), ("DELETE", url)):
        assert code(client.request(method, path, headers=green.headers)) == (404, "export_not_found")
    assert client.get(PATH, headers=green.headers).json()["exports"] == []
    assert file(client, blue, done).status_code == 200


def test_the_list_is_paged_newest_first(client: Client, app: FastAPI, blue: Shop) -> None:
    ids = [made(client, app, blue)["export_id"] for _ in range(3)]
    page = client.get(f"{PATH}?limit=2", headers=blue.headers).json()
    assert [export["export_id"] for export in page["exports"]] == [ids[2], ids[1]]
    last = client.get(f"{PATH}?limit=2&cursor={page['next_cursor']}", headers=blue.headers).json()
    assert ([export["export_id"] for export in last["exports"]], last["next_cursor"]) == ([ids[0]], None)
    assert page["exports"][0] == state(client, blue, {"export_id": ids[2]})
    for cursor in ("x", "cjIwMjQ", "é"):
        assert code(client.get(f"{PATH}?cursor={cursor}", headers=blue.headers)) == (422, "invalid_request")


def test_one_in_progress_is_cancelled_and_a_finished_one_is_removed(client: Client, app: FastAPI, blue: Shop) -> None:
    queued = ask(client, blue).json()
    url = f"{PATH}/{queued['export_id']}"
    cancelled = client.request("DELETE", url, headers=blue.headers).json()
    assert cancelled == {"export_id": queued["export_id"], "status": "cancelled"}
    assert state(client, blue, queued)["status"] == "cancelled"
    assert code(file(client, blue, queued)) == (404, "export_not_found")
    assert not work(app)
    done = made(client, app, blue)
    for export in (queued, done):
        gone = client.request("DELETE", f"{PATH}/{export['export_id']}", headers=blue.headers)
        assert (gone.status_code, gone.json()["status"]) == (200, "removed")
        assert code(file(client, blue, export)) == (404, "export_not_found")
    assert client.get(PATH, headers=blue.headers).json()["exports"] == []
    assert list(blue.lake.tenant(blue.tenant).exports.iterdir()) == []


def test_a_file_that_an_erasure_removed_says_so(client: Client, app: FastAPI, blue: Shop) -> None:
    done = made(client, app, blue)
    certificate = client.request("DELETE", "/api/v1/users/u1", headers=blue.headers).json()
    assert f"exports/{done['export_id']}.csv" in [finding["place"] for finding in certificate["found"]]
    left = state(client, blue, done)
    assert (left["status"], left["download_url"], left["error"]["code"]) == ("completed", None, "user_erased")
    answer = file(client, blue, done)
    assert code(answer) == (404, "export_not_found")
    assert "erased" in answer.json()["error"]["message"]
    assert "u1" not in file(client, blue, made(client, app, blue)).text


def test_the_service_removes_what_was_kept_for_long_enough(
    client: Client, app: FastAPI, blue: Shop, settings: Settings, clock: list[datetime]
) -> None:
    done = made(client, app, blue)
    worker = app.state.services.job_worker
    clock[0] += timedelta(days=settings.export_days, seconds=1)
    worker.start()
    try:
        while client.get(f"{PATH}/{done['export_id']}", headers=blue.headers).status_code != 404:
            pass
    finally:
        worker.stop()
    assert list(blue.lake.tenant(blue.tenant).exports.iterdir()) == []


def test_work_that_breaks_off_does_not_end_the_worker(
    client: Client, app: FastAPI, blue: Shop, clock: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    queued = ask(client, blue).json()
    with monkeypatch.context() as patch:
        patch.setattr(recommendation_exports, "recommend_all", broken)
        assert work(app)
    assert state(client, blue, queued)["status"] == "queued"
    clock[0] += timedelta(minutes=1)
    assert work(app)
    assert state(client, blue, queued)["status"] == "completed"


def test_a_service_that_only_reads_the_lake_refuses(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, client: Client, app: FastAPI
) -> None:
    done = made(client, app, blue)
    reader = create_app(settings.model_copy(update={"lake_read_only": True}), db, lake, lambda: NOW)
    with client_of(reader) as other:
        assert code(ask(other, blue)) == (403, "forbidden")
        assert code(other.request("DELETE", f"{PATH}/{done['export_id']}", headers=blue.headers)) == (403, "forbidden")
        assert file(other, blue, done).status_code == 200  # made by another one
    reader.state.services.decisions.close()
