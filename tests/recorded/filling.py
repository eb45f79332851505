"""Fills an installation with everything that one may hold: jobs of every kind in every state, releases, events.

It writes into tables as they are at schema 0010, where no request leads to a state: to a process that died, or to an
error on our side.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from fastapi import FastAPI

from bento_service.app import create_app
from recsaas_assets.cli import cli
from resources.access.scopes import SCOPES
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key, hash_secret
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant, suspend_tenant
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake
from resources.tenants.settings import TenantSettings
from tests.defs.site import interactions_csv, items_csv, users_csv
from tests.recorded.release import Plan, contents_of, draft_of
from tests.unit.bento_service.client import Client, client_of

TENANTS = ("alma", "birk", "cedar")
"""Trained by runs; with releases and no run; suspended."""
INLINE_BYTES = 3_000
"""Files up to this size are checked before they are answered."""
DEAD = "a-machine-that-is-gone:4711:1700000000:00c0ffee"
"""Claims of this worker are those of a process that died."""
BIRK = Plan("k", 40, 20, seed=9, popularity=False)


def key_of(tenant: str) -> str:
    """Return the API key of a tenant of the installation, which opens nothing else."""
    return f"sk_live_recorded-installation-{tenant}"


@dataclass
class Filling:
    """An installation while it is filled.

    Attributes:
        jobs: the status that each job was left in, by its tenant and the address that shows it.
    """

    app: FastAPI
    client: Client
    home: Path
    now: datetime
    jobs: dict[str, str] = field(default_factory=dict)

    def send(self, by: str, do: str, body: Any = None, *, file: str | None = None) -> Any:
        """Send a request that is answered well, with a body of JSON or a file."""
        method, path = do.split(" ", 1)
        options: dict[str, Any] = {"json": body} if body is not None else {}
        if file is not None:
            options["files"] = {"file": (f"{path.rsplit('/', 1)[1].split('?')[0]}.csv", file)}
        answer = self.client.request(method, path, headers={"Authorization": f"Bearer {key_of(by)}"}, **options)
        assert answer.status_code in (200, 201, 202), f"{do}: {answer.text}"
        return answer.json()

    def execute(self, statement: str, *values: Any) -> None:
        """Write into the control DB what no request leads to."""
        with sqlite3.connect(self.home / "control.db") as connection:
            changed = connection.execute(statement, values).rowcount
        connection.close()
        assert changed == 1, statement

    def time(self, **later: float) -> str:
        """Return a time as SQLite stores it."""
        return f"{self.now + timedelta(**later):%Y-%m-%d %H:%M:%S.%f}"


def create(home: Path, now: datetime) -> None:
    """Create the tenants, their keys and the release of the second one."""
    settings = load_settings(home)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    words = TenantSettings(interaction_types={"bought": "purchase", "hated": "dislike"})
    for name in TENANTS:
        create_tenant(db, TenantId(name), name=name.title(), now=now, settings=words)
        made, _ = create_api_key(db, TenantId(name), name="everything", scopes=SCOPES, now=now)
        with sqlite3.connect(home / "control.db") as connection:
            known = (hash_secret(key_of(name)), key_of(name)[:14], made.id)
            connection.execute("UPDATE api_keys SET key_hash = ?, prefix = ? WHERE id = ?", known)
        connection.close()
    store = ReleaseStore(lake.tenant(TenantId("birk")))
    for suffix in ("00000001", "00000002"):
        version = new_version(now, suffix)
        store.write(version, contents_of(BIRK), draft_of(BIRK, "birk"))
        store.promote(version, now, "test", "recorded")
    db.close()


@contextmanager
def served(home: Path, now: datetime) -> Iterator[Filling]:
    """Answer for the installation, at one moment for ever."""
    settings = load_settings(home).model_copy(
        update={"inline_upload_bytes": INLINE_BYTES, "rate_limit": 1e9, "pointer_check_seconds": 0}
    )
    db = open_control_db(settings.database_url)
    app = create_app(settings, db, Lake.open(settings.lake_url, scratch=settings.scratch), lambda: now)
    with client_of(app) as client:
        yield Filling(app, client, home, now)
    app.state.services.decisions.close()
    app.state.services.contexts.close()
    db.close()


def upload(filling: Filling) -> None:
    """Upload what the first run learns from, and a file that is withdrawn."""
    filling.send("alma", "POST /api/v1/upload/items", file=items_csv("a", 20) + "ax,,no title,1\n")
    filling.send("alma", "POST /api/v1/upload/users", file=users_csv("a", 30))
    large = interactions_csv("a", 30, 20, rows=450) + "au001,ai001,bought,not a time\nau001,,view,2026-01-05\n"
    _finished(filling, "alma", "POST /api/v1/upload/interactions", large, "stored")
    small = filling.send("alma", "POST /api/v1/upload/interactions", file=interactions_csv("a", 5, 5, rows=9, seed=3))
    filling.send("alma", f"DELETE /api/v1/uploads/{small['upload_id']}")
    filling.send("birk", "POST /api/v1/upload/items", file=items_csv("k", 10))


def live(filling: Filling, name: str, count: int) -> None:
    """Let events, changes of items and rules happen to every tenant that is answered for."""
    for tenant, prefix in (("alma", "a"), ("birk", "k")):
        users = [f"{prefix}u{n:03}" for n in range(4)] + ["u003", "stranger", "visitor"]
        events = [
            {
                "user_id": users[n % len(users)],
                "item_id": f"{prefix}i{n % 9:03}" if prefix == "a" else f"k{n % 9:03}",
                "interaction_type": ("view", "bought", "like", "hated", "recommendations_shown")[n % 5],
                "event_id": f"{name}-{n}",
                "timestamp": "2026-03-20T10:00:00Z",
                **({"session_id": f"visit-{n % 3}"} if n % 4 == 0 else {}),
            }
            for n in range(count)
        ]
        filling.send(tenant, "POST /events", {"events": events})
        changed = [{"item_id": f"{prefix}i{n:03}", "title": f"{name} {n}", "price": n + 0.5} for n in range(2)]
        filling.send(tenant, "POST /api/v1/items", {"items": [*changed, {"item_id": f"{name}-new", "title": "New"}]})
        target = {"item_ids": [f"{prefix}i{3:03}", f"k{len(name):03}"]}
        filling.send(tenant, "POST /api/v1/rules", {"kind": "pin", "target": target, "note": name})
        filling.send(tenant, "POST /api/v1/rules", {"kind": "bury", "target": {"category": "left"}, "note": name})


def train() -> str:
    """Run the whole graph for the first tenant, and return the run."""
    result = CliRunner().invoke(cli, ["run", "alma", "--json"])
    assert result.exit_code == 0, result.output
    run_id: str = json.loads(result.stdout)["run_id"]
    return run_id


def erase(filling: Filling) -> None:
    """Erase a user, whom the release then is copied without, and acknowledge an erasure that is not done."""
    done = filling.send("alma", "DELETE /api/v1/users/au007")
    filling.jobs[f"alma /api/v1/erasures/{done['erasure_id']}"] = "completed"
    pending = "erasure-0123456789abcdef01234567"
    digest = hmac.new(pending.encode(), b"au008", hashlib.sha256).hexdigest()
    columns = "id, tenant_id, user_id, user_digest, status, certificate, requested_at"
    values = (pending, "alma", "au008", digest, "pending", '{"events": 0}', filling.time())
    filling.execute(f"INSERT INTO erasures ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
    filling.jobs[f"alma /api/v1/erasures/{pending}"] = "pending"


def upload_jobs(filling: Filling) -> None:
    """Leave jobs of uploads in every state."""
    check = "POST /api/v1/upload/interactions?validate_only=true"
    _finished(filling, "alma", check, interactions_csv("a", 30, 20, rows=120, seed=4), "checked")
    _finished(filling, "alma", "POST /api/v1/upload/items", "sku;what\n" * 600, "refused")
    failed = _queued(filling, "alma", items_csv("f", 200), "failed")
    message = "Something went wrong on our side. Send the file again; if it stays, tell us."
    _upload_job(filling, failed, "failed", attempts=3, error_code="internal_error", message=message)
    for seed, tenant in ((5, "alma"), (6, "birk"), (7, "birk")):
        _queued(filling, tenant, interactions_csv("a", 30, 20, rows=120, seed=seed), "queued")
    died = _queued(filling, "alma", interactions_csv("a", 30, 20, rows=130, seed=8), "checking")
    claim = {"claimed_by": DEAD, "claimed_until": filling.time(minutes=-1)}
    _upload_job(filling, died, "checking", attempts=1, bytes_done=1_000, **claim)
    breaks = _queued(filling, "alma", items_csv("z", 210), "checking")
    _upload_job(filling, breaks, "checking", attempts=3, **claim)
    rests = _queued(filling, "alma", items_csv("r", 220), "queued")
    _upload_job(filling, rests, "queued", attempts=1, rests=2, claimed_until=filling.time(seconds=30))


def exports(filling: Filling) -> None:
    """Leave exports of recommendations in every state."""
    path = "/api/v1/recommendations/exports"
    done = filling.send("alma", f"POST {path}", {"count": 3})["export_id"]
    assert filling.app.state.services.job_worker.run_next()
    filling.jobs[f"alma {path}/{done}"] = "completed"
    for status in ("failed", "cancelled", "running"):
        export = filling.send("alma", f"POST {path}", {"count": 4, "format": "parquet"})["export_id"]
        filling.jobs[f"alma {path}/{export}"] = status
        if status == "cancelled":
            filling.send("alma", f"DELETE {path}/{export}")
        elif status == "failed":
            _export(filling, export, "failed", error_code="internal_error", message="Broke off.", attempts=3)
        else:
            claim = {"claimed_by": DEAD, "claimed_until": filling.time(minutes=-1), "attempts": 1}
            _export(filling, export, "running", started_at=filling.time(minutes=-2), users_done=2, **claim)
    export = filling.send("birk", f"POST {path}", {"count": 2, "scenario": "home"})["export_id"]
    filling.jobs[f"birk {path}/{export}"] = "queued"


def training_jobs(filling: Filling, run_id: str, version: str) -> None:
    """Leave training jobs in every state; `run_id` is a run that made the release `version`."""
    began, ended = filling.time(minutes=-9), filling.time(minutes=-8)
    over = {"started_at": began, "ended_at": ended}
    done = {"status": "completed", "run_id": run_id, "release_version": version, "deployed": 1, **over}
    _training_job(filling, "alma", "completed", **done)
    _training_job(filling, "alma", "failed", status="failed", run_id="lost-run", message="Out of memory.", **over)
    cancelled = _training_job(filling, "alma", "cancelled")
    filling.send("alma", f"DELETE /api/v1/training/{cancelled}")
    _training_job(filling, "alma", "queued")
    _training_job(filling, "birk", "running", status="running", run_id="a-run-that-is-gone", started_at=began)


def answer(filling: Filling) -> list[str]:
    """Have recommendations answered, and return the addresses of their receipts."""
    receipts = []
    for tenant, users in (("alma", ("au001", "stranger")), ("birk", ("u003", "visitor"))):
        for user in users:
            given = filling.send(tenant, "POST /api/v1/recommendations", {"user_id": user, "count": 4})
            receipts.append(f"{tenant} /api/v1/recommendations/{given['recommendation_id']}/receipt")
    return receipts


def suspend(filling: Filling) -> None:
    """Leave a suspended tenant with a file that waits, and a key that was revoked."""
    _queued(filling, "cedar", items_csv("c", 200), "queued")
    made = filling.send("alma", "POST /api/v1/api-keys", {"name": "old", "scopes": ["recommendations:read"]})
    filling.send("alma", f"DELETE /api/v1/api-keys/{made['id']}")
    suspend_tenant(filling.app.state.services.db, TenantId("cedar"))


def _queued(filling: Filling, tenant: str, csv: str, status: str) -> str:
    kind = "items" if csv.startswith("item_id") else "interactions"
    job = filling.send(tenant, f"POST /api/v1/upload/{kind}", file=csv)
    filling.jobs[f"{tenant} {job['status_url']}"] = status
    job_id: str = job["job_id"]
    return job_id


def _finished(filling: Filling, tenant: str, do: str, csv: str, status: str) -> None:
    job = filling.send(tenant, do, file=csv)
    assert filling.app.state.services.job_worker.run_next()
    filling.jobs[f"{tenant} {job['status_url']}"] = status


def _upload_job(filling: Filling, job_id: str, status: str, **values: Any) -> None:
    _set(filling, "upload_jobs", "job_id", job_id, status=status, **values)


def _export(filling: Filling, export_id: str, status: str, **values: Any) -> None:
    _set(filling, "recommendation_exports", "job_id", export_id, status=status, **values)


def _training_job(filling: Filling, tenant: str, left_as: str, **values: Any) -> str:
    body = {"hyperparameters": {"embedding_dim": 8, "epochs": 4}, "training_mode": "full"}
    job: str = filling.send(tenant, "POST /api/v1/train", body)["job_id"]
    if values:
        _set(filling, "training_jobs", "id", job, **values)
    filling.jobs[f"{tenant} /api/v1/training/{job}/progress"] = left_as
    return job


def _set(filling: Filling, table: str, key: str, name: str, **values: Any) -> None:
    columns = ", ".join(f"{column} = ?" for column in values)
    filling.execute(f"UPDATE {table} SET {columns} WHERE {key} = ?", *values.values(), name)
