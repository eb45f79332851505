"""`recsaas jobs …`, as an operator or a script calls them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.control_db.engine import ControlDb
from resources.jobs.kinds.erasures import request_erasure
from resources.jobs.kinds.exports import ExportFormat, ExportRequest, add_export, get_export
from resources.jobs.kinds.training import add_training_job, begin_training_job
from resources.tenants.training_request import TrainingKind, TrainingRequest
from tests.unit.conftest import BLUE, GREEN

CSV = ExportRequest(count=3, scenario=None, format=ExportFormat.CSV)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shops: object) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))


def recsaas(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ("jobs", *arguments), input=answer)


def listed(*arguments: str) -> list[str]:
    return [job["job_id"] for job in json.loads(recsaas("list", *arguments, "--json").stdout)["jobs"]]


def test_jobs_are_listed_by_tenant_kind_and_state(db: ControlDb, now: datetime) -> None:
    blue, green = (add_export(db, tenant, CSV, now=now) for tenant in (BLUE, GREEN))
    erasure = request_erasure(db, BLUE, "zoe", now)
    assert set(listed()) == {blue.id, green.id, erasure.id}
    assert listed("--tenant", "green") == [green.id]
    assert listed("--kind", "erasure") == [erasure.id]
    assert recsaas("cancel", "blue", blue.id, "--yes").exit_code == 0
    assert blue.id not in listed() and blue.id in listed("--all")
    assert listed("--status", "cancelled") == [blue.id]
    text = recsaas("list", "--all").stdout
    assert "recommendation_export" in text and "zoe" not in text
    assert "zoe" not in recsaas("show", "blue", erasure.id).stdout


def test_a_job_is_shown_cancelled_and_tried_again(db: ControlDb, now: datetime) -> None:
    export = add_export(db, BLUE, CSV, now=now)
    shown = json.loads(recsaas("show", "blue", export.id, "--json").stdout)
    assert (shown["kind"], shown["status"], shown["input"]["count"]) == ("recommendation_export", "queued", 3)
    assert shown["done_by"] == "service"
    assert recsaas("cancel", "blue", export.id, answer="n\n").exit_code == 1
    assert get_export(db, BLUE, export.id).status == "queued"
    assert json.loads(recsaas("cancel", "blue", export.id, "--yes", "--json").stdout)["status"] == "cancelled"
    assert json.loads(recsaas("retry", "blue", export.id, "--json").stdout)["status"] == "queued"


def test_a_run_that_was_asked_for_is_asked_to_stop(db: ControlDb, now: datetime) -> None:
    request = TrainingRequest(kind=TrainingKind.TRAIN)
    job = add_training_job(db, BLUE, request, estimated_seconds=1.0, now=now)
    begin_training_job(db, BLUE, job.id, run_id="run-1", now=now)
    told = json.loads(recsaas("cancel", "blue", job.id, "--yes", "--json").stdout)
    assert (told["status"], told["cancel_requested"], told["run_id"]) == ("running", True, "run-1")


@pytest.mark.parametrize(
    ("command", "job", "why"),
    [("show", "nothing", "has no job 'nothing'"), ("retry", "", "only one that has failed")],
)
def test_refusals(db: ControlDb, now: datetime, command: str, job: str, why: str) -> None:
    export = add_export(db, BLUE, CSV, now=now)
    refused = recsaas(command, "blue", job or export.id)
    assert refused.exit_code == 1
    assert why in " ".join(refused.output.split())


def test_an_erasure_is_not_cancelled(db: ControlDb, now: datetime) -> None:
    erasure = request_erasure(db, BLUE, "zoe", now)
    refused = recsaas("cancel", "blue", erasure.id, "--yes")
    assert refused.exit_code == 1 and "cannot be cancelled" in " ".join(refused.output.split())
