"""The check of a large upload in a child process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from resources.child import run_in_child, stopped_with_parent
from resources.claims import read_outcome, write_outcome
from resources.control_db.engine import open_control_db
from resources.control_db.upload_jobs import JobStatus, UploadJob, get_job
from resources.lake import Lake
from resources.settings import load_settings
from resources.tenant import TenantId
from resources.upload_jobs import FinishedJob, JobRunner
from resources.uploads.report import UploadReport


def check_in_child(job: UploadJob, *, worker: str, stop: threading.Event) -> FinishedJob | None:
    """Do what `JobRunner.run` does for a job that `worker` has claimed, in a child; None when it is not finished.

    Raises:
        ChildBroke: there is no outcome.
        NotReady: there was an outage.
    """
    outcome = read_outcome(run_in_child(__name__, [job.tenant.value, job.job_id, worker], stop=stop))
    if outcome is None:
        return None
    report = None if outcome["report"] is None else UploadReport.model_validate(outcome["report"])
    return FinishedJob(
        replace(job, status=JobStatus(outcome["status"]), error_code=outcome["error_code"]), report=report
    )


def main(tenant: str, job_id: str, worker: str) -> None:
    """Check the file of a claimed job and write the outcome to standard output as JSON."""
    stop = stopped_with_parent()
    write_outcome(lambda: _checked(TenantId(tenant), job_id, worker, stop))


def _checked(tenant: TenantId, job_id: str, worker: str, stop: threading.Event) -> Mapping[str, Any] | None:
    settings = load_settings()
    lake = Lake.open(settings.lake_url, scratch=settings.scratch, s3_endpoint=settings.s3_endpoint)
    db = open_control_db(settings.database_url)
    try:
        runner = JobRunner(
            lake, db, lambda: datetime.now(UTC), name=worker, max_bytes=settings.max_upload_bytes, stop=stop
        )
        done = runner.run(get_job(db, tenant, job_id))
    finally:
        db.close()
    if done is None:
        return None
    return {
        "status": done.job.status,
        "error_code": done.job.error_code,
        "report": done.report and done.report.model_dump(mode="json"),
    }
