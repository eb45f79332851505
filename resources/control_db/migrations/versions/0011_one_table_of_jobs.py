"""One table for jobs of every kind, in place of four: uploads, exports, training requests, erasures.

Every row is copied with its state: what was queued stays queued and rests as long as it was to, what was claimed stays
claimed as long as its claim lasts, and what has ended keeps how. Answers that were kept for idempotency keys name jobs
by one name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import RowMapping

from resources.control_db.tables.base import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Row = RowMapping
_TIME = UtcDateTime(timezone=True)
_STATUS = {
    "checking": "running",
    "stored": "done",
    "checked": "done",
    "refused": "failed",
    "completed": "done",
    "pending": "queued",
}
_OLD = sa.MetaData()
_META = sa.MetaData()
sa.Table("tenants", _META, sa.Column("id", sa.String(length=63), primary_key=True))
_NEW = sa.Table(
    "jobs",
    _META,
    sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("id", sa.String(length=80), primary_key=True),
    sa.Column("kind", sa.String(length=32), nullable=False),
    sa.Column("status", sa.String(length=16), nullable=False),
    sa.Column("priority", sa.Integer(), nullable=False),
    sa.Column("subject", sa.String(length=256)),
    sa.Column("input", sa.JSON(), nullable=False),
    sa.Column("result", sa.JSON(), nullable=False),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("progress", sa.Float(), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("rests", sa.Integer(), nullable=False),
    sa.Column("claimed_by", sa.String(length=64)),
    sa.Column("claimed_until", _TIME),
    sa.Column("not_before", _TIME),
    sa.Column("cancel_requested", sa.Boolean(), nullable=False),
    sa.Column("run_id", sa.String(length=64), index=True),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("updated_at", _TIME, nullable=False),
    sa.Column("started_at", _TIME),
    sa.Column("ended_at", _TIME),
    sa.Index("ix_jobs_kind_status", "kind", "status"),
    sa.Index("ix_jobs_tenant_time", "tenant_id", "kind", "created_at"),
)


def upgrade() -> None:
    _NEW.create(op.get_bind())
    for table, job_of in _FORWARD.items():
        _copy(table, job_of)
        op.drop_table(table)
    _rename_ids("export_id", "job_id", of="export-")


def downgrade() -> None:
    _OLD.create_all(op.get_bind())
    jobs = op.get_bind().execute(sa.select(_NEW)).mappings().all()
    for table, (kind, row_of) in _BACK.items():
        rows = [row_of(job) for job in jobs if job["kind"] == kind]
        if rows:
            op.bulk_insert(_OLD.tables[table], rows)
    op.drop_table("jobs")
    _rename_ids("job_id", "export_id", of="export-")


def _copy(table: str, job_of: Callable[[Row], dict[str, Any]]) -> None:
    connection = op.get_bind()
    jobs = [{**_DEFAULTS, **job_of(row)} for row in connection.execute(sa.select(_OLD.tables[table])).mappings()]
    for job in jobs:
        job["status"] = _STATUS.get(job["status"], job["status"])
    if jobs:
        connection.execute(sa.insert(_NEW), jobs)


_DEFAULTS: dict[str, Any] = {
    "priority": 0,
    "subject": None,
    "result": {},
    "error": None,
    "progress": 0.0,
    "attempts": 0,
    "rests": 0,
    "claimed_by": None,
    "claimed_until": None,
    "not_before": None,
    "cancel_requested": False,
    "run_id": None,
    "started_at": None,
    "ended_at": None,
}


def _claims(row: Row, working: str) -> dict[str, Any]:
    """A claim that has an end but nobody who claims is a time before which the job is not to be begun."""
    claimed = row["status"] == working
    return {
        "tenant_id": row["tenant_id"],
        "id": row["job_id"],
        "status": row["status"],
        "attempts": row["attempts"],
        "rests": row["rests"],
        "claimed_by": row["claimed_by"] if claimed else None,
        "claimed_until": row["claimed_until"] if claimed else None,
        "not_before": None if claimed else row["claimed_until"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "error": None if row["error_code"] is None else {"code": row["error_code"], "message": row["message"] or ""},
    }


def _upload(row: Row) -> dict[str, Any]:
    ended = row["status"] not in ("queued", "checking")
    done = row["status"] in ("stored", "checked")
    result = {"bytes_done": row["bytes_done"]}
    if ended:
        result |= {"outcome": row["status"], "upload_id": row["upload_id"], "report": row["report"]}
    return {
        **_claims(row, "checking"),
        "kind": "upload",
        "subject": row["kind"],
        "input": {name: row[name] for name in ("kind", "filename", "source", "sha256", "bytes_total")}
        | {"validate_only": bool(row["validate_only"])},
        "result": result,
        "progress": 1.0 if done else row["bytes_done"] / max(row["bytes_total"], 1),
        "started_at": None if row["status"] == "queued" else row["updated_at"],
        "ended_at": row["updated_at"] if ended else None,
    }


def _export(row: Row) -> dict[str, Any]:
    figures = ("release_version", "users_done", "users_total", "rows", "bytes")
    done = row["status"] == "completed"
    return {
        **_claims(row, "running"),
        "kind": "recommendation_export",
        "input": {name: row[name] for name in ("count", "scenario", "format")},
        "result": {name: row[name] for name in figures},
        "progress": 1.0 if done else row["users_done"] / row["users_total"] if row["users_total"] else 0.0,
        "cancel_requested": row["status"] == "cancelled",
        "started_at": row["started_at"],
        "ended_at": row["completed_at"],
    }


def _training(row: Row) -> dict[str, Any]:
    result = {"release_version": row["release_version"], "deployed": row["deployed"]}
    return {
        "tenant_id": row["tenant_id"],
        "id": row["id"],
        "kind": "training",
        "status": row["status"],
        "subject": row["kind"],
        "input": {name: row[name] for name in ("kind", "model_type", "hyperparameters", "mode", "estimated_seconds")}
        | {"auto_deploy": bool(row["auto_deploy"])},
        "result": {} if row["release_version"] is None else result | {"deployed": bool(row["deployed"])},
        "error": None if row["message"] is None else {"code": row["status"], "message": row["message"]},
        "progress": 1.0 if row["status"] == "completed" else 0.0,
        "attempts": int(row["started_at"] is not None),
        "cancel_requested": bool(row["cancel_requested"]),
        "run_id": row["run_id"],
        "created_at": row["created_at"],
        "updated_at": row["ended_at"] or row["started_at"] or row["created_at"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
    }


def _erasure(row: Row) -> dict[str, Any]:
    return {
        "tenant_id": row["tenant_id"],
        "id": row["id"],
        "kind": "erasure",
        "status": row["status"],
        "priority": 10,
        "subject": row["user_id"],
        "input": {"user_digest": row["user_digest"]},
        "result": row["certificate"] or {},
        "progress": 1.0 if row["status"] == "completed" else 0.0,
        "run_id": row["retrained_run"],
        "created_at": row["requested_at"],
        "updated_at": row["completed_at"] or row["requested_at"],
        "ended_at": row["completed_at"],
    }


def _claims_back(job: Row, working: str) -> dict[str, Any]:
    error = job["error"] or {}
    return {
        "tenant_id": job["tenant_id"],
        "job_id": job["id"],
        "status": working if job["status"] == "running" else job["status"],
        "attempts": job["attempts"],
        "rests": job["rests"],
        "claimed_by": job["claimed_by"],
        "claimed_until": job["claimed_until"] or job["not_before"],
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
        "error_code": error.get("code"),
        "message": error.get("message"),
    }


def _upload_back(job: Row) -> dict[str, Any]:
    row = {**_claims_back(job, "checking"), **job["input"], "bytes_done": job["result"].get("bytes_done", 0)}
    if job["status"] == "cancelled":
        row |= {"status": "failed", "error_code": "cancelled", "message": "The job was cancelled."}
    elif job["status"] in ("done", "failed"):
        row["status"] = job["result"].get("outcome", "failed")  # one that broke off has none
    return row | {name: job["result"].get(name) for name in ("upload_id", "report")}


def _export_back(job: Row) -> dict[str, Any]:
    done = {"status": "completed"} if job["status"] == "done" else {}
    figures = {name: job["result"].get(name) for name in ("release_version", "users_total", "rows", "bytes")}
    return {
        **_claims_back(job, "running"),
        **job["input"],
        **figures,
        "users_done": job["result"].get("users_done", 0),
        "started_at": job["started_at"],
        "completed_at": job["ended_at"],
        **done,
    }


def _training_back(job: Row) -> dict[str, Any]:
    names = ("id", "tenant_id", "cancel_requested", "run_id", "created_at", "started_at", "ended_at")
    return {
        **{name: job[name] for name in names},
        **job["input"],
        "status": "completed" if job["status"] == "done" else job["status"],
        "release_version": job["result"].get("release_version"),
        "deployed": job["result"].get("deployed"),
        "message": (job["error"] or {}).get("message"),
    }


def _erasure_back(job: Row) -> dict[str, Any]:
    return {
        "id": job["id"],
        "tenant_id": job["tenant_id"],
        "user_id": job["subject"],
        "user_digest": job["input"]["user_digest"],
        "status": "completed" if job["status"] == "done" else "pending",
        "certificate": job["result"],
        "retrained_run": job["run_id"],
        "requested_at": job["created_at"],
        "completed_at": job["ended_at"],
    }


_FORWARD: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "upload_jobs": _upload,
    "recommendation_exports": _export,
    "training_jobs": _training,
    "erasures": _erasure,
}
_BACK: Mapping[str, tuple[str, Callable[[Row], dict[str, Any]]]] = {
    "upload_jobs": ("upload", _upload_back),
    "recommendation_exports": ("recommendation_export", _export_back),
    "training_jobs": ("training", _training_back),
    "erasures": ("erasure", _erasure_back),
}
_NULLABLE = frozenset(
    {
        *("claimed_by", "claimed_until", "error_code", "message", "upload_id", "report", "scenario", "release_version"),
        *("users_total", "rows", "bytes", "started_at", "completed_at", "ended_at", "model_type", "mode", "run_id"),
        *("deployed", "user_id", "certificate", "retrained_run"),
    }
)


def _table(
    name: str, types: Sequence[tuple[str, Any]], *, key: Sequence[str], indexes: Mapping[str, Sequence[str]]
) -> None:
    """Describe one of the tables as the revisions before left it."""
    if "tenants" not in _OLD.tables:
        sa.Table("tenants", _OLD, sa.Column("id", sa.String(length=63), primary_key=True))
    columns = []
    for names, kind in types:
        for each in names.split():
            foreign = (sa.ForeignKey("tenants.id"),) if each == "tenant_id" else ()
            default = "0" if each == "rests" else None
            columns.append(
                sa.Column(
                    each, kind, *foreign, primary_key=each in key, nullable=each in _NULLABLE, server_default=default
                )
            )
    sa.Table(name, _OLD, *columns, *(sa.Index(index, *of) for index, of in indexes.items()))


_CLAIMED: tuple[tuple[str, Any], ...] = (
    ("tenant_id", sa.String(length=63)),
    ("job_id", sa.String(length=80)),
    ("status", sa.String(length=16)),
    ("claimed_by", sa.String(length=64)),
    ("claimed_until created_at updated_at", _TIME),
    ("attempts rests", sa.Integer()),
    ("error_code", sa.String(length=64)),
    ("message", sa.Text()),
)
_table(
    "upload_jobs",
    (
        *_CLAIMED,
        ("kind source", sa.String(length=16)),
        ("filename", sa.Text()),
        ("sha256", sa.String(length=64)),
        ("validate_only", sa.Boolean()),
        ("bytes_total bytes_done", sa.BigInteger()),
        ("upload_id", sa.String(length=80)),
        ("report", sa.JSON()),
    ),
    key=("tenant_id", "job_id"),
    indexes={"ix_upload_jobs_status": ("status",)},
)
_table(
    "recommendation_exports",
    (
        *_CLAIMED,
        ("count", sa.Integer()),
        ("scenario", sa.Text()),
        ("format", sa.String(length=16)),
        ("release_version", sa.String(length=80)),
        ("users_done users_total rows bytes", sa.BigInteger()),
        ("started_at completed_at", _TIME),
    ),
    key=("tenant_id", "job_id"),
    indexes={"ix_recommendation_exports_status": ("status",)},
)
_table(
    "training_jobs",
    (
        ("id release_version", sa.String(length=40)),
        ("tenant_id", sa.String(length=63)),
        ("kind model_type mode status", sa.String(length=16)),
        ("hyperparameters", sa.JSON()),
        ("auto_deploy cancel_requested deployed", sa.Boolean()),
        ("estimated_seconds", sa.Float()),
        ("run_id", sa.String(length=64)),
        ("message", sa.Text()),
        ("created_at started_at ended_at", _TIME),
    ),
    key=("id",),
    indexes={
        "ix_training_jobs_tenant_time": ("tenant_id", "created_at"),
        "ix_training_jobs_status": ("status",),
        "ix_training_jobs_run_id": ("run_id",),
    },
)
_table(
    "erasures",
    (
        ("id", sa.String(length=40)),
        ("tenant_id", sa.String(length=63)),
        ("user_id", sa.String(length=256)),
        ("user_digest retrained_run", sa.String(length=64)),
        ("status", sa.String(length=16)),
        ("certificate", sa.JSON()),
        ("requested_at completed_at", _TIME),
    ),
    key=("id",),
    indexes={"ix_erasures_status": ("status",), "ix_erasures_tenant_id": ("tenant_id",)},
)


def _rename_ids(before: str, after: str, *, of: str) -> None:
    """Rename the member of kept answers that names a job whose id begins with `of`."""
    connection = op.get_bind()
    keys = sa.table(
        "write_keys",
        sa.column("tenant_id", sa.String()),
        sa.column("key_hash", sa.String()),
        sa.column("answer", sa.JSON()),
    )
    for tenant_id, key_hash, answer in connection.execute(sa.select(keys)).all():
        if isinstance(answer, dict) and str(answer.get(before, "")).startswith(of):
            this = sa.and_(keys.c.tenant_id == tenant_id, keys.c.key_hash == key_hash)
            connection.execute(sa.update(keys).where(this).values(answer={after: answer[before]}))
