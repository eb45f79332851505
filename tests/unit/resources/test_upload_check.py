"""A check in a child process ends with its parent's wish, and its job is back in the queue."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.control_db.upload_jobs import JobStatus, claim_job, get_job
from resources.lake import Lake
from resources.settings import load_settings
from resources.tenant import TenantId
from resources.upload_check import check_in_child
from resources.upload_jobs import submit_upload
from resources.uploads.contract import Kind


def test_a_child_that_is_stopped_puts_its_job_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    settings, tenant, now = load_settings(), TenantId("acme"), datetime.now(UTC)
    db = open_control_db(settings.database_url)
    create_tenant(db, tenant, name="Acme", now=now)
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n1,Lamp\n")
    options = {"filename": file.name, "sha256": "0" * 64, "source": "http", "now": now, "validate_only": False}
    submit_upload(Lake.open(settings.lake_url), db, tenant, Kind.ITEMS, file, **options)
    job = claim_job(db, worker="me", now=now, until=now + timedelta(minutes=1))
    assert job is not None
    stop = threading.Event()
    stop.set()
    assert check_in_child(job, worker="me", stop=stop) is None
    left = get_job(db, tenant, job.job_id)
    assert (left.status, left.attempts) == (JobStatus.QUEUED, 0)
    db.close()
