"""Writing an export in a child process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.jobs import store
from resources.jobs.claims import read_outcome, write_outcome
from resources.jobs.model import Job, JobError, JobKind, JobStatus, Outcome
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobRunner
from resources.processes.interpreter import run_in_child, stopped_with_parent
from resources.recommendations.exports import ExportWriter
from resources.storage.lake import Lake


def export_in_child(job: Job, *, worker: str, stop: threading.Event) -> Outcome | None:
    """Do what `JobRunner.run` does for an export that `worker` has claimed, in a child.

    Returns:
        None when it is not finished by this.

    Raises:
        ChildBroke: there is no outcome.
        NotReady: there was an outage.
    """
    outcome = read_outcome(run_in_child(__name__, [job.tenant.value, job.id, worker], stop=stop))
    if outcome is None:
        return None
    error = outcome["error"]
    return Outcome(
        status=JobStatus(outcome["status"]),
        result=outcome["result"],
        error=None if error is None else JobError(**error),
    )


def main(tenant: str, export_id: str, worker: str) -> None:
    """Write a claimed export, and then to standard output what came of it, as JSON."""
    stop = stopped_with_parent()
    write_outcome(lambda: _written(TenantId(tenant), export_id, worker, stop))


def _written(tenant: TenantId, export_id: str, worker: str, stop: threading.Event) -> Mapping[str, Any] | None:
    settings = load_settings()
    lake = Lake.open(settings.lake_url, scratch=settings.scratch, s3_endpoint=settings.s3_endpoint)
    db = open_control_db(settings.database_url)
    try:
        queue = JobQueue(db, _now, worker)
        runner = JobRunner(queue, {JobKind.EXPORT: ExportWriter(lake, db, _now)}, stop)
        done = runner.run(store.get_job(db, tenant, JobKind.EXPORT, export_id))
    finally:
        db.close()
    return None if done is None else asdict(done)


def _now() -> datetime:
    return datetime.now(UTC)
