"""A database with jobs of every kind in every state, as the version before the one table of jobs left it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import JSON, column, inspect, table, text
from sqlalchemy import select as sa_select

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.idempotency import WriteKey
from resources.jobs.kinds.erasures import get_erasure, pending_erasures, tenants_to_retrain, users_being_erased
from resources.jobs.kinds.exports import ExportFormat, ExportRequest, ExportStatus, add_export, get_export
from resources.jobs.kinds.training import TrainingStatus, add_training_job, get_training_job, list_unfinished_training
from resources.jobs.kinds.uploads import UploadJobStatus, get_upload_job, list_unfinished_uploads
from resources.jobs.model import JobKind
from resources.jobs.queue import JobQueue
from resources.jobs.runner import failed
from resources.jobs.store import cancel_job
from resources.tenants.training_request import TrainingKind, TrainingRequest
from tests.unit.resources.control_db.test_migrations import back_to

pytestmark = pytest.mark.databases

BLUE, GREEN = TenantId("blue"), TenantId("green")
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
REQUEST = ExportRequest(count=5, scenario=None, format=ExportFormat.CSV)
TRAIN = TrainingRequest(kind=TrainingKind.TRAIN, model_type="lightgcn", hyperparameters={"epochs": 3})
Row = dict[str, Any]


def at(minute: int) -> str:
    return (NOON + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M:%S.%f")


def upload(name: str, status: str, **other: Any) -> Row:
    fixed = {"tenant_id": "green", "job_id": name, "status": status, "claimed_by": None, "claimed_until": None}
    counts = {"attempts": 1, "rests": 0, "created_at": at(0), "updated_at": at(1), "bytes_total": 100, "bytes_done": 60}
    given = {"kind": "items", "filename": f"{name}.csv", "source": "http", "sha256": "ab" * 32, "validate_only": False}
    ends = {"upload_id": None, "error_code": None, "message": None, "report": "null"}
    return {**fixed, **counts, **given, **ends, **other}


def export(name: str, tenant: str, status: str, **other: Any) -> Row:
    fixed = {"tenant_id": tenant, "job_id": name, "status": status, "claimed_by": None, "claimed_until": None}
    counts = {"attempts": 1, "rests": 2, "created_at": at(0), "updated_at": at(1), "users_done": 1, "users_total": 4}
    given = {"count": 5, "scenario": "mail", "format": "csv", "release_version": "v1", "rows": None, "bytes": None}
    ends = {"error_code": None, "message": None, "started_at": at(1), "completed_at": None}
    return {**fixed, **counts, **given, **ends, **other}


def training(name: str, tenant: str, status: str, **other: Any) -> Row:
    given = {"kind": "train", "model_type": "lightgcn", "hyperparameters": '{"epochs": 3}', "mode": None}
    fixed = {"id": name, "tenant_id": tenant, "status": status, "auto_deploy": True, "estimated_seconds": 30.0}
    ends = {"cancel_requested": False, "run_id": None, "release_version": None, "deployed": None, "message": None}
    times = {"created_at": at(0), "started_at": None, "ended_at": None}
    return {**given, **fixed, **ends, **times, **other}


def erasure(name: str, status: str, **other: Any) -> Row:
    fixed = {"id": name, "tenant_id": "blue", "user_digest": "d" * 64, "status": status, "requested_at": at(0)}
    ends = {"user_id": None, "certificate": '{"events": 2}', "retrained_run": None, "completed_at": None}
    return {**fixed, **ends, **other}


REPORT = json.dumps({"rows_total": 7})
ROWS: Mapping[str, tuple[Row, ...]] = {
    "upload_jobs": (
        upload("queued", "queued", attempts=0, claimed_until=at(3), rests=4),
        upload("checking", "checking", claimed_by="host:1:2:aa", claimed_until=at(2)),
        upload("stored", "stored", bytes_done=100, upload_id="items-1"),
        upload("checked", "checked", validate_only=True, bytes_done=100, upload_id="items-2", report=REPORT),
        upload("refused", "refused", error_code="missing_column", message="no item_id"),
        upload("failed", "failed", error_code="internal_error", message="gone"),
    ),
    "recommendation_exports": (
        export("export-running", "blue", "running", claimed_by="host:1:2:aa", claimed_until=at(2)),
        export("export-queued", "green", "queued", attempts=0, users_done=0, users_total=None, started_at=None),
        export("export-done", "blue", "completed", users_done=4, rows=20, bytes=999, completed_at=at(5)),
        export("export-failed", "blue", "failed", error_code="no_release", message="none", completed_at=at(5)),
        export("export-cancelled", "blue", "cancelled", completed_at=at(5)),
    ),
    "training_jobs": (
        training("job_queued", "green", "queued"),
        training("job_running", "blue", "running", run_id="run-1", started_at=at(1), cancel_requested=True),
        training(
            "job_done",
            "blue",
            "completed",
            run_id="r2",
            release_version="v2",
            deployed=False,
            started_at=at(1),
            ended_at=at(4),
        ),
        training("job_failed", "blue", "failed", message="boom", run_id="r3", started_at=at(1), ended_at=at(4)),
        training("job_cancelled", "blue", "cancelled", cancel_requested=True, message="early", ended_at=at(4)),
    ),
    "erasures": (
        erasure("erasure-pending", "pending", user_id="zoe"),
        erasure("erasure-due", "completed", certificate='{"found": []}', completed_at=at(9)),
        erasure("erasure-done", "completed", certificate='{"found": []}', retrained_run="run-9", completed_at=at(8)),
    ),
}


def of_tables(db: ControlDb) -> dict[str, list[Row]]:
    with db.engine.connect() as connection:
        found = {}
        for table, rows in ROWS.items():
            names = sorted(rows[0])
            select = text(f"SELECT {', '.join(names)} FROM {table} ORDER BY {'job_id' if 'job_id' in names else 'id'}")
            found[table] = [dict(row) for row in connection.execute(select).mappings()]
    return found


@pytest.fixture
def old(db: ControlDb, shops: tuple[TenantId, TenantId]) -> Iterator[ControlDb]:
    """At the revision before, with jobs."""
    back_to(db, "0010")
    with db.engine.begin() as connection:
        for table, rows in ROWS.items():
            for row in rows:
                marks = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"), row)
        export_key, training_key = WriteKey.of("k", "export"), WriteKey.of("t", "train")
        assert export_key is not None and training_key is not None
        for key, answer in ((export_key, {"export_id": "export-done"}), (training_key, {"job_id": "job_done"})):
            connection.execute(
                text("INSERT INTO write_keys VALUES ('blue', :key, :request, :answer, :at)"),
                {"key": key.hash, "request": key.request_hash, "answer": json.dumps(answer), "at": at(0)},
            )
    yield db


@pytest.fixture
def new(old: ControlDb, database_url: str) -> Iterator[ControlDb]:
    """Opened, and so migrated, by the code of today."""
    db = open_control_db(database_url)
    yield db
    db.close()


def test_uploads_stand_where_they_stood(new: ControlDb) -> None:
    assert [job.job_id for job in list_unfinished_uploads(new, GREEN)] == ["checking", "queued"]
    jobs = {status: get_upload_job(new, GREEN, status) for status in UploadJobStatus}
    assert all(job.status == status for status, job in jobs.items())
    assert (jobs[UploadJobStatus.CHECKING].bytes_done, jobs[UploadJobStatus.QUEUED].rests) == (60, 4)
    assert (jobs[UploadJobStatus.STORED].upload_id, jobs[UploadJobStatus.STORED].bytes_done) == ("items-1", 100)
    assert jobs[UploadJobStatus.CHECKED].report == {"rows_total": 7}
    refused = jobs[UploadJobStatus.REFUSED]
    assert (refused.error_code, refused.message) == ("missing_column", "no item_id")
    assert (refused.created_at, refused.updated_at) == (NOON, NOON + timedelta(minutes=1))


def test_claims_last_as_long_as_they_were_to_and_so_do_rests(new: ControlDb) -> None:
    moments = []
    for minute in (1, 2.95, 3.05):
        now = NOON + timedelta(minutes=minute)
        job = JobQueue(new, lambda now=now: now, f"w{minute}").claim((JobKind.UPLOAD,))  # type: ignore[misc]
        moments.append(None if job is None else (job.id, job.attempts))
    assert moments == [None, ("checking", 2), ("queued", 1)]


def test_exports_stand_where_they_stood_and_their_keys_are_known(new: ControlDb) -> None:
    states = {
        name: get_export(new, BLUE, f"export-{name}").status for name in ("running", "done", "failed", "cancelled")
    }
    assert list(states.values()) == [
        ExportStatus.RUNNING,
        ExportStatus.COMPLETED,
        ExportStatus.FAILED,
        ExportStatus.CANCELLED,
    ]
    done = get_export(new, BLUE, "export-done")
    assert (done.figures.users_done, done.figures.rows, done.figures.bytes, done.request.scenario) == (
        4,
        20,
        999,
        "mail",
    )
    assert (done.started_at, done.completed_at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=5))
    assert add_export(new, BLUE, REQUEST, now=NOON, key=WriteKey.of("k", "export")) == done


def test_training_jobs_stand_where_they_stood_and_their_keys_are_known(new: ControlDb) -> None:
    assert {job.id for job in list_unfinished_training(new)} == {"job_queued", "job_running"}
    running = get_training_job(new, BLUE, "job_running")
    assert (running.status, running.cancel_requested, running.run_id) == (TrainingStatus.RUNNING, True, "run-1")
    done = get_training_job(new, BLUE, "job_done")
    assert (done.status, done.release_version, done.deployed, done.seconds) == ("completed", "v2", False, 180.0)
    assert (done.request, done.estimated_seconds, done.message) == (TRAIN, 30.0, None)
    assert get_training_job(new, BLUE, "job_failed").message == "boom"
    key = WriteKey.of("t", "train")
    assert add_training_job(new, BLUE, TRAIN, estimated_seconds=1.0, now=NOON, key=key) == done


def test_erasures_stand_where_they_stood(new: ControlDb) -> None:
    (pending,) = pending_erasures(new)
    assert (pending.id, pending.user_id, pending.certificate) == ("erasure-pending", "zoe", {"events": 2})
    assert users_being_erased(new, BLUE) == {"zoe"}
    assert {tenant: each.id for tenant, each in tenants_to_retrain(new).items()} == {BLUE: "erasure-due"}
    done = get_erasure(new, BLUE, "erasure-done")
    assert (done.status, done.retrained_run, done.completed_at) == ("completed", "run-9", NOON + timedelta(minutes=8))


def test_the_way_back_leaves_every_row_as_it_was(old: ControlDb, database_url: str) -> None:
    before = of_tables(old)
    open_control_db(database_url).close()
    assert not set(ROWS) & set(inspect(old.engine).get_table_names())
    back_to(old, "0010")
    assert of_tables(old) == before
    with old.engine.connect() as connection:
        kept = sa_select(column("answer", JSON)).select_from(table("write_keys"))
        answers = list(connection.scalars(kept))
    assert sorted(answers, key=str) == [{"export_id": "export-done"}, {"job_id": "job_done"}]


def test_an_upload_that_ended_otherwise_goes_back_as_failed(new: ControlDb) -> None:
    """Too many processes died of it, or it was cancelled: neither notes how a check has ended."""
    now = NOON + timedelta(hours=1)
    queue = JobQueue(new, lambda: now, "w")
    broken = queue.claim((JobKind.UPLOAD,))
    assert broken is not None
    assert queue.end(broken, failed("internal_error", "broke off"))
    cancel_job(new, GREEN, JobKind.UPLOAD, "queued", now=now)
    back_to(new, "0010")
    rows = {row["job_id"]: (row["status"], row["error_code"]) for row in of_tables(new)["upload_jobs"]}
    assert (rows["checking"], rows["queued"]) == (("failed", "internal_error"), ("failed", "cancelled"))
