"""The check of a large upload in a process of its own, behind everything else in the queue for the processor.

The service goes on to answer at its usual speed, all memory of the check goes back to the system, and a file that kills
its check kills nothing else. The child runs `main`; its standard input is a pipe that nobody writes to: it ends when
the parent wants the child to stop, and when the parent dies, however that happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from resources.control_db.engine import open_control_db
from resources.control_db.upload_jobs import JobStatus, UploadJob, get_job
from resources.lake import Lake
from resources.settings import load_settings
from resources.tenant import TenantId
from resources.upload_jobs import FinishedJob, JobRunner
from resources.uploads.report import UploadReport

STOP_SECONDS = 20.0
"""How long a child that is to stop may take to put its job back, before it ends itself."""
_LISTEN_SECONDS = 0.5
_NICENESS = 10
# The child finds this package where the parent did, also in a Bento, whose folder is not the working one.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from resources.upload_check import main; main(*sys.argv[1:])"


class CheckBroke(Exception):
    """The child died, or ended with an error that it did not expect; the message is what it said."""


def check_in_child(job: UploadJob, *, worker: str, stop: threading.Event) -> FinishedJob | None:
    """Do what `JobRunner.run` does for a job that `worker` has claimed, in a child; None when it is not finished.

    Raises:
        CheckBroke: there is no outcome; after an outage the child has put the job back.
    """
    package = str(Path(__file__).absolute().parents[1])
    listening, held = os.pipe()
    with open(held, "wb") as lifeline:
        try:
            child = subprocess.Popen(
                [sys.executable, "-c", _START, package, job.tenant.value, job.job_id, worker],
                stdin=listening,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a key press that stops the service is not for the child
            )
        finally:
            os.close(listening)
        while True:
            try:
                answer, said = child.communicate(timeout=_LISTEN_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    lifeline.close()
    if child.returncode != 0:
        raise CheckBroke(f"exit status {child.returncode}: {said.decode(errors='replace')[-4000:]}")
    outcome = json.loads(answer)
    if outcome is None:
        return None
    report = None if outcome["report"] is None else UploadReport.model_validate(outcome["report"])
    return FinishedJob(
        replace(job, status=JobStatus(outcome["status"]), error_code=outcome["error_code"]), report=report
    )


def main(tenant: str, job_id: str, worker: str) -> None:
    """Check the file of a claimed job and write the outcome to standard output as JSON."""
    os.nice(_NICENESS)
    stop = threading.Event()
    threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
    settings = load_settings()
    lake = Lake.open(settings.lake_url, scratch=settings.scratch, s3_endpoint=settings.s3_endpoint)
    db = open_control_db(settings.database_url)
    try:
        runner = JobRunner(
            lake, db, lambda: datetime.now(UTC), name=worker, max_bytes=settings.max_upload_bytes, stop=stop
        )
        done = runner.run(get_job(db, TenantId(tenant), job_id))
    finally:
        db.close()
    outcome = done and {
        "status": done.job.status,
        "error_code": done.job.error_code,
        "report": done.report and done.report.model_dump(mode="json"),
    }
    sys.stdout.write(json.dumps(outcome))


def _stop_with_parent(stop: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)
    stop.set()
    time.sleep(STOP_SECONDS)
    os._exit(1)  # the claim ends by itself
