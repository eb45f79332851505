from __future__ import annotations

import asyncio
import csv
import errno
from typing import Any

import polars as pl
import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.release.manifest import UploadReference
from resources.storage.lake import write_parquet
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import MAX_UPLOAD_BYTES, NOW, Shop

ITEMS = "item_id,title,price\ni1,Lamp,10\ni2,,20\ni3,Chair,30\n"
EVENTS = (
    "user_id,item_id,interaction_type,timestamp\nu1,i1,view,2024-05-01T00:00:00Z\nu1,i9,view,2024-05-01T00:00:00Z\n"
)


def send(client: Client, shop: Shop, file: str | bytes, path: str = "/api/v1/upload/items", name: str = "a.csv") -> Any:
    return client.post(path, files={"file": (name, file)}, headers=shop.headers)


def incoming(settings: Settings) -> list[str]:
    folder = settings.home / "incoming"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_the_report_counts_every_row(client: Client, blue: Shop, settings: Settings) -> None:
    report = send(client, blue, ITEMS).json()
    assert report["status"] == "partial"
    assert (report["rows_total"], report["rows_accepted"], report["rows_rejected"], report["rows_duplicate"]) == (
        3,
        2,
        1,
        0,
    )
    (error,) = report["validation_errors"]
    assert (error["row"], error["column"], error["item_id"]) == (3, "title", "i2")
    assert report["errors_by_rule"] == {"title.empty": 1}
    assert report["rejected_url"] == f"/api/v1/uploads/{report['upload_id']}/rejected"
    assert incoming(settings) == []


def test_the_same_file_again_answers_the_first_report(client: Client, blue: Shop) -> None:
    first = send(client, blue, ITEMS).json()
    again = send(client, blue, ITEMS, name="other.csv").json()
    assert (first["already_stored"], again) == (False, first | {"already_stored": True})
    assert len(client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"]) == 1


def test_validate_only_stores_nothing(client: Client, blue: Shop) -> None:
    report = send(client, blue, ITEMS, path="/api/v1/upload/items?validate_only=true").json()
    assert (report["validate_only"], report["rows_accepted"], report["storage_location"]) == (True, 2, None)
    assert report["rejected_url"] is None
    assert client.get("/api/v1/uploads", headers=blue.headers).json() == {"uploads": [], "next_cursor": None}


def test_interactions_with_unknown_items_are_counted_against_the_catalogue(client: Client, blue: Shop) -> None:
    path = "/api/v1/upload/interactions"
    assert send(client, blue, EVENTS, path=path + "?validate_only=1").json()["statistics"]["unknown_items"] is None
    send(client, blue, ITEMS)
    assert send(client, blue, EVENTS, path=path).json()["statistics"]["unknown_items"] == 1


def test_items_have_an_address_of_their_own(client: Client, blue: Shop) -> None:
    assert send(client, blue, ITEMS, path="/api/v1/items").json()["kind"] == "items"


def test_the_list_has_pages(client: Client, blue: Shop, green: Shop) -> None:
    sent = [send(client, blue, f"item_id,title\ni{n},T\n").json()["upload_id"] for n in range(5)]
    send(client, green, ITEMS)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/uploads", params=query, headers=blue.headers).json()
        seen += [upload["upload_id"] for upload in page["uploads"]]
        cursor = page["next_cursor"]
    assert seen == sent[::-1]
    assert cursor is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=nonsense", "cursor=!!!", "cursor=dTA"])
def test_the_list_checks_its_query(client: Client, blue: Shop, query: str) -> None:
    answer = client.get(f"/api/v1/uploads?{query}", headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, query.split("=")[0])


def test_a_stored_upload_and_its_rejected_rows(client: Client, blue: Shop) -> None:
    report = send(client, blue, ITEMS).json()
    assert report.pop("readiness") is None
    url = f"/api/v1/uploads/{report['upload_id']}"
    stored = client.get(url, headers=blue.headers).json()
    assert {name: stored[name] for name in report} == report
    assert (stored["source"], stored["ingested_run"], stored["created_at"]) == ("http", None, "2024-06-01T12:00:00Z")
    download = client.get(report["rejected_url"], headers=blue.headers)
    assert download.headers["content-type"].startswith("text/csv")
    assert "attachment" in download.headers["content-disposition"]
    assert list(csv.reader(download.content.decode("utf-8-sig").splitlines())) == [
        ["rejected_row", "rejected_reason", "item_id", "title", "price"],
        ["3", "title is empty", "i2", "", "20"],
    ]


def test_another_tenants_upload_does_not_exist(client: Client, blue: Shop, green: Shop) -> None:
    upload_id = send(client, blue, ITEMS).json()["upload_id"]
    for path in (upload_id, f"{upload_id}/rejected", "..%2f..%2fblue", "items-0000000000000000"):
        answer = client.get(f"/api/v1/uploads/{path}", headers=green.headers)
        assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("file", "name", "code"),
    [
        (b"", "a.csv", "empty_file"),
        (b"item_id,title\n", "a.csv", "empty_file"),
        (b"title\nLamp\n", "a.csv", "missing_column"),
        ("item_id,title\ni1,Lämp\n".encode("utf-32"), "a.csv", "not_utf8"),
        (b"\x89PNG\r\n\x1a\n", "a.csv", "not_csv"),
        (b'{"item_id": 1}', "a.json", "not_csv"),
        (b"\x1f\x8b\x08\x00broken", "a.csv.gz", "corrupt_gzip"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_clear_error(
    client: Client, blue: Shop, settings: Settings, file: bytes, name: str, code: str
) -> None:
    answer = send(client, blue, file, name=name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code), answer.text
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []
    assert client.get("/recommend/u1", headers=blue.headers).status_code == 200
    assert incoming(settings) == []


def test_too_large(client: Client, blue: Shop, settings: Settings) -> None:
    for extra in (1, 200_000):  # noticed while reading, and by the announced length
        answer = send(client, blue, b"x" * (MAX_UPLOAD_BYTES + extra))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    async def chunks() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(300):
            yield b"x" * 1000

    headers = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    assert client.post("/api/v1/upload/items", content=chunks(), headers=headers).status_code == 413
    assert incoming(settings) == []


def test_forms_that_are_not_right(client: Client, blue: Shop, settings: Settings) -> None:
    url = "/api/v1/upload/items"
    form = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    answers = {
        "no file field": client.post(url, files={"other": ("a.csv", ITEMS)}, headers=blue.headers),
        "two files": client.post(url, files=[("file", ("a", "x")), ("file", ("b", "y"))], headers=blue.headers),
        "not a form": client.post(url, json={}, headers=blue.headers),
        "no content type": client.post(url, headers=blue.headers),
        "compressed": client.post(url, content=b"x", headers={**form, "Content-Encoding": "gzip"}),
        "no boundary": client.post(url, content=b"x", headers={**form, "Content-Type": "multipart/form-data"}),
        "cut off": client.post(url, content=head + b"item_id", headers=form),
        "nonsense": client.post(url, content=b"nonsense", headers=form),
        "empty": client.post(url, content=b"", headers=form),
        "a long field beside": client.post(url, data={"x": "y" * 2_000_000}, files={"file": "z"}, headers=blue.headers),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "no file field": 422,
        "two files": 422,
        "not a form": 415,
        "no content type": 415,
        "compressed": 415,
        "no boundary": 400,
        "cut off": 400,
        "nonsense": 400,
        "empty": 400,
        "a long field beside": 413,
    }
    assert answers["no file field"].json()["error"]["details"][0]["field"] == "file"
    assert incoming(settings) == []


def test_an_unknown_kind(client: Client, blue: Shop) -> None:
    answer = send(client, blue, ITEMS, path="/api/v1/upload/prices")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "items, users, interactions" in answer.json()["error"]["message"]


def test_a_path_in_the_file_name_is_only_a_name(client: Client, blue: Shop) -> None:
    assert send(client, blue, ITEMS, name="../../etc/passwd.csv").json()["filename"] == "passwd.csv"


def test_a_client_that_stops_sending_is_given_up(blue: Shop, settings: Settings) -> None:
    async def paused() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nitem_id'
        await asyncio.sleep(5)

    headers = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    impatient = settings.model_copy(update={"request_timeout_seconds": 0.05})
    with client_of(create_app(impatient, blue.db, blue.lake, lambda: NOW)) as client:
        answer = client.post("/api/v1/upload/items", content=paused(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "request_timeout")
    assert "0.05 seconds" in answer.json()["error"]["message"]
    assert incoming(settings) == []


def test_a_client_that_sends_byte_by_byte_is_given_up(blue: Shop, settings: Settings) -> None:
    async def trickled() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(500):
            await asyncio.sleep(0.02)
            yield b"x"

    headers = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    impatient = settings.model_copy(update={"request_timeout_seconds": 0.2})
    with client_of(create_app(impatient, blue.db, blue.lake, lambda: NOW)) as client:
        answer = client.post("/api/v1/upload/items", content=trickled(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "request_timeout")
    assert "1,024 bytes a second" in answer.json()["error"]["message"]
    assert incoming(settings) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "storage_full"), (errno.EIO, "lake_unavailable"), (errno.ESTALE, "lake_unavailable")],
)
@pytest.mark.parametrize("place", ["bento_service.http.multipart.os.fdopen", "bento_service.api.intake.submit_upload"])
def test_a_storage_that_fails_gets_a_clear_answer(
    client: Client, blue: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, code: str, place: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(place, fails)
    answer = send(client, blue, ITEMS + "i4,Lamp,1\n" * 500)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert int(answer.headers["retry-after"]) > 0
    assert incoming(settings) == []


def test_a_full_disk_is_told_whoever_notices_it(client: Client, blue: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)")

    monkeypatch.setattr("bento_service.api.intake.submit_upload", fails)
    answer = send(client, blue, ITEMS + "i4,Lamp,1\n" * 500)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_full")


def test_a_stored_upload_of_interactions_says_whether_there_is_enough(client: Client, blue: Shop) -> None:
    path = "/api/v1/upload/interactions"
    readiness = send(client, blue, EVENTS, path=path).json()["readiness"]
    assert (readiness["level"], readiness["counts"]["interactions"]) == ("trainable", 2)
    assert send(client, blue, ITEMS).json()["readiness"] is None
    assert send(client, blue, EVENTS, path=path + "?validate_only=1").json()["readiness"] is None


def test_the_trace_of_an_upload(app: FastAPI, client: Client, blue: Shop, green: Shop) -> None:
    report = send(client, blue, ITEMS).json()
    url = f"/api/v1/uploads/{report['upload_id']}/trace"
    fresh = client.get(url, headers=blue.headers).json()
    assert (fresh["releases"], fresh["live"], fresh["rows_current"], fresh["ingested_run"]) == ([], False, None, None)
    assert (fresh["releases_read"], fresh["recommendations"], fresh["notes"]) == (1, 0, [])
    assert client.post("/api/v1/recommendations", json={}, headers=blue.headers).status_code == 200
    used = UploadReference(id=report["upload_id"], kind="items", sha256=report["sha256"], rows=2)
    live = blue.release(suffix="00000002", uploads=(used,))
    blue.release(suffix="00000003", uploads=(used,), promote=False)
    (blue.directory(blue.versions[0]) / "manifest.json").write_text("{}")
    mart = pl.DataFrame({"upload_id": [report["upload_id"], "events"], "rows_current": [1, 9]})
    write_parquet(blue.lake.tenant(blue.tenant).dbt / "data_quality.parquet", mart)
    for _ in range(2):
        assert client.post("/api/v1/recommendations", json={}, headers=blue.headers).status_code == 200
    assert app.state.services.decisions.flush()
    trace = client.get(url, headers=blue.headers).json()
    assert trace["recommendations"] == 2
    assert [(use["version"], use["live"], use["rows"]) for use in trace["releases"]] == [
        (blue.versions[2], False, 2),
        (live, True, 2),
    ]
    assert (trace["live"], trace["rows_current"], trace["training_sets"]) == (True, 1, ["0"])
    assert trace["releases_unreadable"] == [blue.versions[0]]
    assert client.get(url, headers=green.headers).status_code == 404


def test_the_download_of_a_file_without_rejected_rows_has_only_the_header(client: Client, blue: Shop) -> None:
    report = send(client, blue, "item_id,title\ni1,Lamp\n").json()
    assert report["rejected_url"] is None
    download = client.get(f"/api/v1/uploads/{report['upload_id']}/rejected", headers=blue.headers)
    assert download.content.decode("utf-8-sig").splitlines() == ["rejected_row,rejected_reason,item_id,title"]


def test_a_client_that_goes_away_leaves_nothing(app: FastAPI, blue: Shop, settings: Settings) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nitem_id'
    messages = iter([{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def keep(message: Any) -> None:
        sent.append(message)

    headers = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/upload/items", "query_string": b"", "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, keep))
    assert sent[0]["status"] == 400
    assert incoming(settings) == []


def test_an_upload_is_withdrawn_and_stays_in_the_list(client: Client, blue: Shop, green: Shop) -> None:
    upload_id = send(client, blue, ITEMS).json()["upload_id"]
    url = f"/api/v1/uploads/{upload_id}"
    assert client.request("DELETE", url, headers=green.headers).status_code == 404
    assert client.request("DELETE", "/api/v1/uploads/items-0000000000000000", headers=blue.headers).status_code == 404
    done = client.request("DELETE", url, headers=blue.headers)
    assert (done.status_code, done.json()["send_again"]) == (200, [])
    assert done.json()["upload"]["withdrawn_at"] == "2024-06-01T12:00:00Z"
    assert client.request("DELETE", url, headers=blue.headers).json() == done.json()
    (listed,) = client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"]
    assert listed == done.json()["upload"]
    assert client.get(url, headers=blue.headers).json()["withdrawn_at"] == listed["withdrawn_at"]
    assert client.get(f"{url}/trace", headers=blue.headers).json()["withdrawn_at"] == listed["withdrawn_at"]
    assert client.get("/api/v1/items/i1", headers=blue.headers).status_code == 404
    again = send(client, blue, ITEMS).json()
    assert (again["already_stored"], again["rows_accepted"]) == (False, 2)


def test_a_key_that_may_not_upload_may_not_withdraw(client: Client, blue: Shop) -> None:
    upload_id = send(client, blue, ITEMS).json()["upload_id"]
    other = blue.key_with("interactions:write")
    assert client.request("DELETE", f"/api/v1/uploads/{upload_id}", headers=other).status_code == 403
    assert client.request("DELETE", "/api/v1/uploads/none", headers=other).status_code == 403
