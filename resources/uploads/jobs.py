"""Large uploads: acknowledged once the file is in the lake and its job is committed, checked by whoever claims it.

A claim ends by itself soon after the process that holds it dies, and the next one begins the check anew; storing is
idempotent, so a check that ran twice leaves what one would have left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from upath import UPath

from resources.base.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotReady,
    RecsaasError,
    TooLarge,
    UploadRefused,
)
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant
from resources.control_db.upload_jobs import (
    JobStatus,
    UploadJob,
    claim_job,
    enqueue_job,
    finish_job,
    forget_finished,
    list_unfinished,
    note_progress,
    release_claim,
    renew_claim,
)
from resources.jobs.claims import LEASE, MAX_ATTEMPTS, OUTAGES, RENEW_SECONDS, Clock, kept_claim, rest_after
from resources.storage.lake import Lake, local_file, put_file
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadOrigin, UploadPolicy
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.store_in_child import store_in_child

MAX_UNFINISHED = 10
"""Unfinished jobs that one tenant may have: they hold disk, and each makes the others wait."""
_STALE = timedelta(days=1)
_REMEMBERED = timedelta(days=7)


class CheckInterrupted(Exception):
    """The process stops, another one has the claim, or the rules changed: the check is to begin anew."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job that is done, with the report of its file where the file could be read."""

    job: UploadJob
    report: UploadReport | None = None


@dataclass(frozen=True, slots=True)
class JobRunner:
    """One process that checks files. `name` is its own among all processes; `stop` interrupts a check.

    Whoever claims a job renews the claim until `run` has ended, wherever that runs. `most_of_one` says how many files
    of one tenant may be checked at the same time; None: any number.
    """

    lake: Lake
    db: ControlDb
    clock: Clock
    name: str
    max_bytes: int
    stop: threading.Event
    most_of_one: int | None = None

    def claim(self) -> UploadJob | None:
        """Take the next job; None when nothing waits. A job that ended too many processes ends here, unread."""
        while True:
            now = self.clock()
            job = claim_job(self.db, worker=self.name, now=now, until=now + LEASE, most_of_one=self.most_of_one)
            if job is None or job.attempts <= MAX_ATTEMPTS:
                return job
            self._finish(_failed(job, "The check of this file broke off again and again. Split the file."))

    def renew(self, job: UploadJob) -> bool:
        """Keep the claim; False when another process has it now."""
        now = self.clock()
        return renew_claim(self.db, job, worker=self.name, now=now, until=now + LEASE)

    def run(self, job: UploadJob) -> FinishedJob | None:
        """Check and store the file of a claimed job; return the finished job, or None when it is not finished.

        An outage of the storage or the control DB, and a stop of this process, put the job back into the queue.
        """
        try:
            with self._watched(job) as on_progress:
                done = self._checked(job, on_progress)
        except CheckInterrupted:
            self.put_back(job)
            return None
        except OUTAGES:
            self.rest(job)
            raise
        return self._finish(done)

    def put_back(self, job: UploadJob) -> None:
        """Queue a job that was interrupted, as if nobody had begun it."""
        self._release(job, attempts=job.attempts - 1, rests=job.rests, wait=timedelta())

    def rest(self, job: UploadJob) -> None:
        """Queue a job again for later, after an outage, which is not its fault."""
        self._release(job, attempts=job.attempts - 1, rests=job.rests + 1, wait=rest_after(job.rests))

    def give_up(self, job: UploadJob) -> None:
        """Note an error nobody expected: try again later, or end the job as failed."""
        if job.attempts < MAX_ATTEMPTS:
            self._release(job, attempts=job.attempts, rests=job.rests + 1, wait=rest_after(job.rests))
        else:
            self._finish(_failed(job, "Something went wrong on our side. Send the file again; if it stays, tell us."))

    def _checked(self, job: UploadJob, on_progress: Callable[[int], None]) -> FinishedJob:
        file = job_file(self.lake, job)
        try:
            with local_file(file) as path:
                store = TenantStore(self.lake, self.db, job.tenant)
                report = store_in_child(store, _upload(job, path), self._policy(job.tenant), on_progress=on_progress)
        except FileNotFoundError:
            if file.exists():
                raise
            return _failed(job, "The received file is gone from the lake. Send it again.")
        except Conflict as error:  # the tenant's rules changed meanwhile
            raise CheckInterrupted from error
        except (NotReady, ConfigurationError):  # the lake is away, or its credentials are: the file waits for it
            raise
        except RecsaasError as error:
            refused = isinstance(error, InvalidInput | TooLarge)
            failure = replace(
                job,
                status=JobStatus.REFUSED if refused else JobStatus.FAILED,
                error_code=error.reason if isinstance(error, UploadRefused) else error.code,
                message=error.message,
            )
            return FinishedJob(failure)
        # What is stored has its report in the lake; a copy here would outlive an erasure.
        done = replace(
            job,
            status=JobStatus.CHECKED if job.validate_only else JobStatus.STORED,
            bytes_done=job.bytes_total,
            upload_id=report.upload_id,
            report=report.model_dump(mode="json") if job.validate_only else None,
        )
        return FinishedJob(done, report)

    def _policy(self, tenant: TenantId) -> UploadPolicy:
        settings = get_tenant(self.db, tenant).settings
        return UploadPolicy(settings, self.max_bytes, UploadLimits.of(load_settings()))

    @contextmanager
    def _watched(self, job: UploadJob) -> Iterator[Callable[[int], None]]:
        """What is yielded takes progress, which is noted now and then, and ends a check that is to stop."""
        done = 0

        def keep() -> bool:
            return note_progress(self.db, job, worker=self.name, bytes_done=done, now=self.clock())

        with kept_claim(keep, every=RENEW_SECONDS, name="upload-progress") as lost:

            def on_progress(bytes_done: int) -> None:
                nonlocal done
                done = min(bytes_done, job.bytes_total)
                if self.stop.is_set() or lost.is_set():
                    raise CheckInterrupted

            yield on_progress

    def _finish(self, done: FinishedJob) -> FinishedJob | None:
        if not finish_job(self.db, done.job, worker=self.name, now=self.clock()):
            return None
        job_file(self.lake, done.job).unlink(missing_ok=True)
        return done

    def _release(self, job: UploadJob, *, attempts: int, rests: int, wait: timedelta) -> None:
        now, counts = self.clock(), {"attempts": attempts, "rests": rests}
        release_claim(self.db, job, worker=self.name, now=now, not_before=now + wait, **counts)


def submit_upload(
    lake: Lake,
    db: ControlDb,
    tenant: TenantId,
    kind: Kind,
    local: Path,
    *,
    filename: str,
    sha256: str,
    source: UploadOrigin,
    now: datetime,
    validate_only: bool,
) -> UploadJob:
    """Put a received file into the lake and queue its check. The same file again returns the unfinished job.

    Raises:
        TooManyRequests: too many jobs of the tenant wait; nothing is stored.
    """
    job = UploadJob(
        tenant=tenant,
        job_id=job_id_of(kind, sha256, validate_only=validate_only),
        kind=kind.value,
        filename=filename,
        source=source,
        sha256=sha256,
        validate_only=validate_only,
        bytes_total=local.stat().st_size,
        created_at=now,
        updated_at=now,
    )
    unfinished = list_unfinished(db, tenant)
    _tidy(lake, db, tenant, unfinished, now)
    waiting = next((each for each in unfinished if each.job_id == job.job_id), None)
    if waiting is not None:
        return waiting
    file = job_file(lake, job)
    put_file(local, file)
    try:
        queued = enqueue_job(db, job, most=MAX_UNFINISHED)
    except RecsaasError:
        file.unlink(missing_ok=True)
        raise
    if queued.created_at != job.created_at:
        file.unlink(missing_ok=True)
    return queued


def job_id_of(kind: Kind, sha256: str, *, validate_only: bool) -> str:
    """Return the id of a job: the same content, sent for the same purpose, always has the same one."""
    return f"{'check' if validate_only else 'store'}-{kind}-{sha256[:16]}"


def job_file(lake: Lake, job: UploadJob) -> UPath:
    """Place of a job's file. Every submission has its own: the end of one must not remove the file of the next."""
    return lake.tenant(job.tenant).upload_jobs / f"{_stamp(job.created_at)}-{job.job_id}"


def _tidy(lake: Lake, db: ControlDb, tenant: TenantId, unfinished: tuple[UploadJob, ...], now: datetime) -> None:
    """Forget old jobs, and remove files whose job was never committed because a process died in between."""
    forget_finished(db, tenant, before=now - _REMEMBERED)
    folder = lake.tenant(tenant).upload_jobs
    wanted = {job_file(lake, job).name for job in unfinished}
    for file in list_files(folder):
        if file.name not in wanted and file.name.lstrip(".") < _stamp(now - _STALE):
            (folder / file.name).unlink(missing_ok=True)


def _upload(job: UploadJob, file: Path) -> IncomingUpload:
    return IncomingUpload(
        Kind(job.kind),
        file,
        filename=job.filename,
        origin=cast(UploadOrigin, job.source),
        received_at=job.created_at,  # when it was acknowledged: what came by API since is later
        sha256=job.sha256,
        validate_only=job.validate_only,
    )


def _stamp(time: datetime) -> str:
    """Return a time as a file name; names sort as times do."""
    return f"{time.astimezone(UTC):%Y%m%dT%H%M%S.%f}"


def _failed(job: UploadJob, message: str) -> FinishedJob:
    return FinishedJob(replace(job, status=JobStatus.FAILED, error_code="internal_error", message=message))
