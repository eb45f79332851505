"""Training on request: jobs, their progress, and who may ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import change_settings
from resources.jobs.kinds.training import begin_training_job, get_training_job, note_release
from resources.storage.lake import Lake, write_json
from resources.training.runs import note_end, note_epoch, note_stage
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop


def train(client: Client, shop: Shop, body: dict[str, Any] | None = None, url: str = "/api/v1/train") -> httpx.Response:
    return client.post(url, headers=shop.headers, **({} if body is None else {"json": body}))


def queued(client: Client, shop: Shop, body: dict[str, Any] | None = None) -> str:
    made = train(client, shop, body)
    assert made.status_code == 202, made.text
    return str(made.json()["job_id"])


def progress(client: Client, shop: Shop, job_id: str) -> dict[str, Any]:
    shown = client.get(f"/api/v1/training/{job_id}/progress", headers=shop.headers)
    assert shown.status_code == 200, shown.text
    found: dict[str, Any] = shown.json()
    return found


@pytest.mark.parametrize("url", ["/api/v1/train", "/admin/train"])
def test_a_job_is_queued_with_what_it_asks_for(client: Client, blue: Shop, url: str) -> None:
    body = {
        "model_type": "two_tower",
        "hyperparameters": {"embedding_dim": 16, "epochs": 3},
        "training_mode": "incremental",
        "auto_deploy": False,
    }
    made = train(client, blue, body, url)
    assert made.status_code == 202, made.text
    answer = made.json()
    assert set(answer) == {"job_id", "status", "estimated_duration_minutes", "progress_url"}
    assert answer["status"] == "queued" and answer["estimated_duration_minutes"] > 0
    assert made.headers["location"] == answer["progress_url"] == f"/api/v1/training/{answer['job_id']}/progress"
    asked = get_training_job(blue.db, blue.tenant, answer["job_id"]).request
    assert (asked.kind, asked.model_type, asked.mode, asked.auto_deploy) == ("train", "two_tower", "incremental", False)
    assert asked.hyperparameters == {"dim": 16, "steps": 3}
    assert progress(client, blue, answer["job_id"])["status"] == "queued"


def test_without_a_body_the_tenant_s_settings_hold(client: Client, blue: Shop) -> None:
    change_settings(blue.db, blue.tenant, {"training.model_type": "two_tower"}, now=NOW)
    asked = get_training_job(blue.db, blue.tenant, queued(client, blue)).request
    assert (asked.model_type, asked.mode, asked.auto_deploy, asked.hyperparameters) == ("two_tower", None, True, {})


def test_a_second_job_names_the_first(client: Client, blue: Shop, green: Shop) -> None:
    first = queued(client, blue)
    second = train(client, blue)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
    assert first in second.json()["error"]["message"]
    assert second.json()["error"]["details"] == [{"field": "job_id", "message": first}]
    queued(client, green)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hyperparameters": {"embeding_dim": 8}}, "hyperparameters.embeding_dim"),
        ({"model_type": "two_tower", "hyperparameters": {"num_layers": 2}}, "hyperparameters.num_layers"),
        ({"hyperparameters": {"learning_rate": -1}}, "hyperparameters.learning_rate"),
        ({"model_type": "magic"}, "model_type"),
        ({"training_mode": "sometimes"}, "training_mode"),
        ({"autodeploy": False}, "autodeploy"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_queued(
    client: Client, blue: Shop, body: dict[str, Any], field: str
) -> None:
    refused = train(client, blue, body)
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["error"]["details"]] == [field]
    assert client.get("/api/v1/training", headers=blue.headers).json()["jobs"] == []


def test_an_unknown_name_is_answered_with_those_that_there_are(client: Client, blue: Shop) -> None:
    (problem,) = train(client, blue, {"hyperparameters": {"depth": 2}}).json()["error"]["details"]
    for name in ("embedding_dim", "num_layers", "learning_rate", "batch_size", "epochs", "negative_samples"):
        assert name in problem["message"]


def test_a_retry_with_its_key_makes_no_second_job(client: Client, blue: Shop) -> None:
    headers = {**blue.headers, "Idempotency-Key": "k"}
    made = [client.post("/api/v1/train", headers=headers).json()["job_id"] for _ in range(2)]
    assert made[0] == made[1]
    assert client.post("/api/v1/train", json={"auto_deploy": False}, headers=headers).status_code == 409


def test_progress_from_the_run_to_its_release(client: Client, blue: Shop) -> None:
    job = queued(client, blue)
    begin_training_job(blue.db, blue.tenant, job, run_id="run-1", now=NOW - timedelta(seconds=10))
    assert progress(client, blue, job)["status"] == "training"
    note_stage(blue.db, blue.tenant, "run-1", "lightgcn_model", now=NOW)
    figures = {"loss": 0.25, "ndcg@10": 0.125, "recall@20": 0.5}
    note_epoch(blue.db, "run-1", epoch=4, total_epochs=80, metrics=figures, fit="search")
    shown = progress(client, blue, job)
    assert (shown["status"], shown["current_epoch"], shown["total_epochs"]) == ("training", 4, 80)
    assert shown["metrics"] == {"train_loss": 0.25, "val_ndcg@10": 0.125, "val_recall@20": 0.5}
    assert 0.4 < shown["progress"] < 0.5
    assert shown["estimated_completion"] > NOW.isoformat()
    note_release(blue.db, blue.tenant, job, version=blue.versions[0], deployed=True)
    note_end(blue.db, blue.tenant, "run-1", status="completed", message=None, now=NOW + timedelta(seconds=20))
    shown = progress(client, blue, job)
    assert (shown["status"], shown["progress"], shown["training_duration_seconds"]) == ("completed", 1.0, 30.0)
    assert (shown["model_version"], shown["deployment_status"]) == (blue.versions[0], "deployed")
    assert shown["gate"] == {"outcome": "passed", "reasons": []}
    assert (shown["final_metrics"], shown["error"]) == ({}, None)
    queued(client, blue)


@pytest.mark.parametrize(("auto_deploy", "status"), [(True, "held"), (False, "not_requested")])
def test_a_release_that_did_not_go_live_says_why(client: Client, blue: Shop, auto_deploy: bool, status: str) -> None:
    job = queued(client, blue, {"auto_deploy": auto_deploy})
    begin_training_job(blue.db, blue.tenant, job, run_id="run-1", now=NOW)
    note_release(blue.db, blue.tenant, job, version="20240601T120000Z-0000abcd", deployed=False)
    shown = progress(client, blue, job)
    assert (shown["deployment_status"], shown["gate"]) == (status, None), "a release that is gone has no gate"


def test_a_run_that_fails_ends_its_job_with_the_reason(client: Client, blue: Shop) -> None:
    job = queued(client, blue)
    begin_training_job(blue.db, blue.tenant, job, run_id="run-1", now=NOW)
    note_end(blue.db, blue.tenant, "run-1", status="failed", message="There is nothing to train on.", now=NOW)
    shown = progress(client, blue, job)
    assert (shown["status"], shown["error"]) == ("failed", "There is nothing to train on.")
    refused = client.request("DELETE", f"/api/v1/training/{job}", headers=blue.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


def test_a_queued_job_is_cancelled_at_once(client: Client, blue: Shop) -> None:
    job = queued(client, blue)
    for _ in range(2):
        cancelled = client.request("DELETE", f"/api/v1/training/{job}", headers=blue.headers)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    queued(client, blue)


def test_a_running_job_is_asked_to_stop_and_holds_its_place_until_it_has(client: Client, blue: Shop) -> None:
    job = queued(client, blue)
    begin_training_job(blue.db, blue.tenant, job, run_id="run-1", now=NOW)
    asked = client.request("DELETE", f"/api/v1/training/{job}", headers=blue.headers).json()
    assert (asked["status"], asked["cancel_requested"]) == ("training", True)
    assert train(client, blue).status_code == 409
    note_end(blue.db, blue.tenant, "run-1", status="cancelled", message="The run was cancelled.", now=NOW)
    assert progress(client, blue, job)["status"] == "cancelled"


def test_jobs_are_listed_newest_first_page_by_page(client: Client, blue: Shop, green: Shop) -> None:
    made = []
    for _ in range(3):
        made.append(queued(client, blue))
        client.request("DELETE", f"/api/v1/training/{made[-1]}", headers=blue.headers)
    page = client.get("/api/v1/training?limit=2", headers=blue.headers).json()
    assert [job["job_id"] for job in page["jobs"]] == [made[2], made[1]]
    rest = client.get(f"/api/v1/training?cursor={page['next_cursor']}", headers=blue.headers).json()
    assert ([job["job_id"] for job in rest["jobs"]], rest["next_cursor"]) == ([made[0]], None)
    assert client.get("/api/v1/training", headers=green.headers).json()["jobs"] == []
    rule_cursor = "cjIwMjQtMDYtMDFUMTI6MDA6MDArMDA6MDA"
    for cursor in ("nonsense", rule_cursor):
        assert client.get(f"/api/v1/training?cursor={cursor}", headers=blue.headers).status_code == 422


@pytest.mark.parametrize("url", ["/api/v1/reindex", "/admin/reindex"])
def test_an_index_is_built_anew_only_of_a_trained_model(client: Client, blue: Shop, lake: Lake, url: str) -> None:
    refused = train(client, blue, url=url)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert "POST /api/v1/train" in refused.json()["error"]["message"]
    write_json(lake.tenant(blue.tenant).trained_model, {})
    made = train(client, blue, {"auto_deploy": False}, url)
    assert made.status_code == 202, made.text
    asked = get_training_job(blue.db, blue.tenant, made.json()["job_id"]).request
    assert (asked.kind, asked.auto_deploy, asked.model_type) == ("reindex", False, None)
    assert train(client, blue, url="/api/v1/train").status_code == 409
    assert train(client, blue, {"model_type": "lightgcn"}, url).status_code == 422


def test_no_shop_sees_or_cancels_a_job_of_another(client: Client, blue: Shop, green: Shop) -> None:
    job = queued(client, blue)
    for method, url in (("GET", f"/api/v1/training/{job}/progress"), ("DELETE", f"/api/v1/training/{job}")):
        sent = client.request(method, url, headers=green.headers)
        assert (sent.status_code, sent.json()["error"]["code"]) == (404, "training_job_not_found")
    assert progress(client, blue, job)["status"] == "queued"
    assert train(client, blue, {"tenant_id": "green"}).status_code == 403


def test_a_service_that_only_answers_queues_nothing(settings: Settings, db: ControlDb, lake: Lake, blue: Shop) -> None:
    app = create_app(settings.model_copy(update={"lake_read_only": True}), db, lake, lambda: NOW)
    with client_of(app) as client:
        for url in ("/api/v1/train", "/admin/reindex"):
            assert train(client, blue, url=url).status_code == 403
        assert client.get("/api/v1/training", headers=blue.headers).json()["jobs"] == []
    app.state.services.decisions.close()


def test_training_needs_its_scope_before_anything_is_looked_at(client: Client, blue: Shop) -> None:
    headers = blue.key_with("recommendations:read", "uploads:write", "items:write", "analytics:read")
    for method, url in (
        ("POST", "/api/v1/train"),
        ("POST", "/admin/train"),
        ("POST", "/api/v1/reindex"),
        ("POST", "/admin/reindex"),
        ("GET", "/api/v1/training"),
        ("GET", "/api/v1/training/x/progress"),
        ("DELETE", "/api/v1/training/x"),
    ):
        assert client.request(method, url, headers=headers).status_code == 403
        assert client.request(method, url).status_code == 401
