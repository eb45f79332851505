"""Files over the inline limit: acknowledged with 202, checked by the worker, the same report in the end."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from fastapi import FastAPI

from resources.jobs.model import JobKind
from resources.jobs.registry import POLICIES
from resources.uploads import jobs as upload_jobs
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import INLINE_UPLOAD_BYTES, Shop

LARGE = "item_id,title\n" + "".join(f"i{n},Lamp {n}\n" for n in range(1000)) + "i1000,\n"
PATH = "/api/v1/upload/items"


def send(client: Client, shop: Shop, file: str = LARGE, path: str = PATH) -> Any:
    return client.post(path, files={"file": ("a.csv", file)}, headers=shop.headers)


def work(app: FastAPI) -> bool:
    """Do what the thread of the service does."""
    worked: bool = app.state.services.job_worker.run_next()
    return worked


def state(client: Client, shop: Shop, job: Any) -> Any:
    return client.get(job["status_url"], headers=shop.headers)


def test_a_large_file_is_acknowledged_checked_and_reported(client: Client, app: FastAPI, blue: Shop) -> None:
    assert len(LARGE) > INLINE_UPLOAD_BYTES
    answer = send(client, blue)
    job = answer.json()
    assert (answer.status_code, job["status"], job["progress"]) == (202, "queued", 0)
    assert answer.headers["location"] == job["status_url"] == f"/api/v1/uploads/jobs/{job['job_id']}"
    assert (job["bytes_total"], job["upload_id"], job["report"], job["error"]) == (len(LARGE), None, None, None)
    waiting = state(client, blue, job)
    assert (waiting.json(), waiting.headers["retry-after"]) == (job, "1")
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []

    assert work(app)
    done = state(client, blue, job)
    assert "retry-after" not in done.headers
    job = done.json()
    assert (job["status"], job["progress"], job["bytes_done"]) == ("stored", 1, len(LARGE))
    assert (job["report"]["rows_accepted"], job["report"]["rows_rejected"]) == (1000, 1)
    stored = client.get(f"/api/v1/uploads/{job['upload_id']}", headers=blue.headers).json()
    assert {name: stored[name] for name in job["report"]} == job["report"]
    assert "title is empty" in client.get(job["report"]["rejected_url"], headers=blue.headers).text
    assert not work(app)


def test_what_counts_is_the_text_and_not_the_gzip_file(client: Client, app: FastAPI, blue: Shop) -> None:
    packed = gzip.compress(b"item_id,title\n" + b"i1,Lamp\n" * 1000, mtime=0)
    assert len(packed) < INLINE_UPLOAD_BYTES
    upload = {"file": ("items.csv.gz", packed)}
    assert client.post("/api/v1/upload/items", files=upload, headers=blue.headers).status_code == 202
    damaged = {"file": ("items.csv.gz", packed[:-20])}
    answer = client.post("/api/v1/upload/items", files=damaged, headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "corrupt_gzip")


def test_a_small_and_a_large_file_get_the_same_report(client: Client, app: FastAPI, blue: Shop, green: Shop) -> None:
    job = send(client, blue).json()
    work(app)
    services = app.state.services
    object.__setattr__(services, "settings", services.settings.model_copy(update={"inline_upload_bytes": 10**6}))
    inline = send(client, green).json()
    report = state(client, blue, job).json()["report"]
    assert report.pop("storage_location") == inline["storage_location"].replace("green", "blue")
    assert report == {name: inline[name] for name in report}


def test_a_retry_gets_the_same_job_and_then_the_report(client: Client, app: FastAPI, blue: Shop) -> None:
    first, again = send(client, blue), send(client, blue)
    assert (again.status_code, again.json()) == (202, first.json())
    work(app)
    stored = send(client, blue)
    assert (stored.status_code, stored.json()["rows_accepted"]) == (200, 1000)
    assert not work(app)
    assert len(client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"]) == 1


def test_validate_only_reports_and_stores_nothing(client: Client, app: FastAPI, blue: Shop) -> None:
    job = send(client, blue, path=PATH + "?validate_only=true").json()
    work(app)
    done = state(client, blue, job).json()
    assert (done["status"], done["report"]["validate_only"], done["report"]["rejected_url"]) == ("checked", True, None)
    assert client.get("/api/v1/uploads", headers=blue.headers).json()["uploads"] == []


def test_a_file_that_cannot_be_read_says_why(client: Client, app: FastAPI, blue: Shop) -> None:
    job = send(client, blue, "title\n" + "Lamp\n" * 1000).json()
    work(app)
    done = state(client, blue, job).json()
    assert (done["status"], done["error"]["code"], done["report"]) == ("refused", "missing_column", None)


def test_events_may_be_a_large_file_too(client: Client, app: FastAPI, blue: Shop) -> None:
    rows = "".join(f"u{n},i1,view,2024-05-01T00:00:00Z\n" for n in range(200))
    answer = send(client, blue, "user_id,item_id,interaction_type,timestamp\n" + rows, path="/api/v1/interactions")
    assert answer.status_code == 202
    work(app)
    assert state(client, blue, answer.json()).json()["report"]["rows_accepted"] == 200


def test_another_tenants_job_does_not_exist(client: Client, blue: Shop, green: Shop) -> None:
    job = send(client, blue).json()
    answer = state(client, green, job)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "upload_job_not_found")
    assert send(client, green).status_code == 202


def test_who_may_send_a_file_may_see_what_became_of_it(client: Client, app: FastAPI, blue: Shop) -> None:
    narrow = blue.key_with("uploads:write")
    answer = client.post("/api/v1/items", files={"file": ("a.csv", LARGE)}, headers=narrow)
    work(app)
    job = client.get(answer.json()["status_url"], headers=narrow).json()
    assert client.get(job["report"]["rejected_url"], headers=narrow).status_code == 200
    assert client.get("/api/v1/uploads", headers=narrow).status_code == 200


def test_too_many_waiting_files(client: Client, app: FastAPI, blue: Shop, green: Shop) -> None:
    for number in range(POLICIES[JobKind.UPLOAD].max_unfinished or 0):
        assert send(client, blue, f"{LARGE}x{number},X\n").status_code == 202
    answer = send(client, blue)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_requests")
    assert int(answer.headers["retry-after"]) > 0
    assert send(client, green).status_code == 202
    assert work(app)
    assert send(client, blue).status_code == 202


def test_a_check_that_breaks_off_does_not_end_the_worker(
    client: Client, app: FastAPI, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    job = send(client, blue).json()
    with monkeypatch.context() as patch:
        patch.setattr(upload_jobs, "store_in_child", broken)
        assert work(app)
    assert state(client, blue, job).json()["status"] == "queued"


def test_the_document_describes_the_answer_to_a_large_file(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/api/v1/upload/{kind}", "/api/v1/items", "/api/v1/interactions"):
        answers = paths[path]["post"]["responses"]
        assert answers["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/UploadJobAnswer")
        assert set(answers["202"]["headers"]) == {"Location", "Retry-After"}
        assert {"200", "408", "413", "415", "429", "503"} <= set(answers)


def test_the_metrics_count_jobs(client: Client, app: FastAPI, blue: Shop) -> None:
    send(client, blue)
    assert 'recsaas_upload_jobs{status="queued"} 1.0' in client.get("/metrics").text
    work(app)
    text = client.get("/metrics").text
    assert 'recsaas_upload_jobs{status="queued"} 0.0' in text
    assert 'recsaas_upload_job_seconds_count{outcome="stored"} 1.0' in text
    assert 'recsaas_upload_rows_total{kind="items",outcome="accepted",tenant="blue"} 1000.0' in text


def test_the_worker_runs_and_stops(client: Client, app: FastAPI, blue: Shop) -> None:
    worker = app.state.services.job_worker
    worker.start()
    try:
        job = send(client, blue).json()
        while state(client, blue, job).json()["status"] != "stored":
            pass
    finally:
        worker.stop()
    assert send(client, blue, LARGE + "i1001,Chair\n").json()["status"] == "queued"
