"""Large uploads: acknowledged once the file is in the lake and its job is committed, checked by whoever claims it.

A claim ends by itself soon after the process that holds it dies, and the next one begins the check anew; storing is
idempotent, so a check that ran twice leaves what one would have left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from upath import UPath

from resources.access.actor import SYSTEM, Actor
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
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant
from resources.jobs import store
from resources.jobs.kinds.uploads import (
    ReceivedUpload,
    UploadJob,
    UploadJobStatus,
    list_unfinished_uploads,
    too_many_uploads,
)
from resources.jobs.model import Job, JobKind, JobStatus, Outcome, Progress
from resources.jobs.runner import JobControl, JobInterrupted, failed
from resources.storage.lake import Lake, local_file, put_file
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadOrigin, UploadPolicy
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.headers.mapping import laid_over, mapping_of
from resources.uploads.store_in_child import store_in_child

_STALE = timedelta(days=1)
_REMEMBERED = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOutcome(Outcome):
    """The outcome of an upload job, with the report of its file where the file could be read."""

    report: UploadReport | None = None


@dataclass(frozen=True, slots=True)
class UploadChecker:
    """The handler of upload jobs: checks and stores their files."""

    lake: Lake
    db: ControlDb
    max_bytes: int

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Check and store the file of a claimed job.

        Raises:
            JobInterrupted: the process stops, another one has the claim, or the tenant's rules changed.
        """
        upload, done = UploadJob.of(job), 0

        def on_progress(bytes_done: int) -> None:
            nonlocal done
            done = min(bytes_done, upload.received.bytes_total)
            control.note(Progress(share=done / max(upload.received.bytes_total, 1), figures={"bytes_done": done}))

        try:
            report = self._stored(upload, on_progress)
        except FileNotFoundError:
            if job_file(self.lake, upload).exists():
                raise
            return _failed("The received file is gone from the lake. Send it again.", bytes_done=done)
        except Conflict as error:  # the tenant's rules changed meanwhile
            raise JobInterrupted from error
        except (NotReady, ConfigurationError):  # the lake is away, or its credentials are: the file waits for it
            raise
        except RecsaasError as error:
            return _refused(error, bytes_done=done)
        return _checked(upload, report)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Remove the received file: it is stored by now, or never will be."""
        job_file(self.lake, UploadJob.of(job)).unlink(missing_ok=True)

    def _stored(self, upload: UploadJob, on_progress: Callable[[int], None]) -> UploadReport:
        tenant = TenantStore(self.lake, self.db, upload.tenant)
        settings = get_tenant(self.db, upload.tenant).settings
        if upload.received.mapping is not None:
            kind = Kind(upload.received.kind)
            settings = laid_over(settings, kind, mapping_of(kind, upload.received.mapping))
        policy = UploadPolicy(settings, self.max_bytes, UploadLimits.of(load_settings()))
        with local_file(job_file(self.lake, upload)) as path:
            return store_in_child(tenant, _incoming(upload, path), policy, on_progress=on_progress)


def submit_upload(tenant: TenantStore, local: Path, received: ReceivedUpload, *, now: datetime) -> UploadJob:
    """Put a received file into the lake and queue its check. The same file again returns the unfinished job.

    Raises:
        TooManyRequests: too many jobs of the tenant wait; nothing is stored.
    """
    job = Job(
        tenant=tenant.tenant,
        id=job_id_of(
            Kind(received.kind), received.sha256, validate_only=received.validate_only, mapping=received.mapping
        ),
        kind=JobKind.UPLOAD,
        subject=received.kind,
        input=asdict(received),
        created_at=now,
        updated_at=now,
    )
    unfinished = list_unfinished_uploads(tenant.db, tenant.tenant)
    _tidy(tenant, unfinished, now)
    waiting = next((each for each in unfinished if each.job_id == job.id), None)
    if waiting is not None:
        return waiting
    file = job_file(tenant.lake, UploadJob.of(job))
    put_file(local, file)
    try:
        queued = UploadJob.of(store.add_job(tenant.db, job, refused=too_many_uploads))
    except RecsaasError:
        file.unlink(missing_ok=True)
        raise
    if queued.created_at != job.created_at:
        file.unlink(missing_ok=True)
    return queued


def cancel_upload(tenant: TenantStore, job_id: str, *, now: datetime, by: Actor = SYSTEM) -> Job:
    """Cancel an unfinished upload job and remove its file: no erasure looks at files of jobs that have ended.

    Raises:
        UploadJobNotFound: the tenant has no such job.
        Conflict: it has ended already.
    """
    job = store.get_job(tenant.db, tenant.tenant, JobKind.UPLOAD, job_id)
    if not job.finished:
        job_file(tenant.lake, UploadJob.of(job)).unlink(missing_ok=True)  # first, or a crash would leave it
    return store.cancel_job(tenant.db, tenant.tenant, JobKind.UPLOAD, job_id, now=now, by=by)


def job_id_of(kind: Kind, sha256: str, *, validate_only: bool, mapping: Mapping[str, Any] | None = None) -> str:
    """Return the id of a job: the same content, sent for the same purpose, always has the same one."""
    if mapping is not None:
        sha256 = hashlib.sha256(f"{sha256}{json.dumps(mapping, sort_keys=True)}".encode()).hexdigest()
    return f"{'check' if validate_only else 'store'}-{kind}-{sha256[:16]}"


def job_file(lake: Lake, job: UploadJob) -> UPath:
    """Place of a job's file. Every submission has its own: the end of one must not remove the file of the next."""
    return lake.tenant(job.tenant).upload_jobs / f"{_stamp(job.created_at)}-{job.job_id}"


def _tidy(tenant: TenantStore, unfinished: tuple[UploadJob, ...], now: datetime) -> None:
    """Forget old jobs, and remove files whose job was never committed because a process died in between."""
    store.forget_finished(tenant.db, tenant.tenant, JobKind.UPLOAD, before=now - _REMEMBERED)
    folder = tenant.folder.upload_jobs
    wanted = {job_file(tenant.lake, job).name for job in unfinished}
    for file in list_files(folder):
        if file.name not in wanted and file.name.lstrip(".") < _stamp(now - _STALE):
            (folder / file.name).unlink(missing_ok=True)


def _incoming(upload: UploadJob, file: Path) -> IncomingUpload:
    received = upload.received
    return IncomingUpload(
        Kind(received.kind),
        file,
        filename=received.filename,
        origin=cast(UploadOrigin, received.source),
        received_at=upload.created_at,  # when it was acknowledged: what came by API since is later
        sha256=received.sha256,
        validate_only=received.validate_only,
        by=received.by,
    )


def _stamp(time: datetime) -> str:
    """Return a time as a file name; names sort as times do."""
    return f"{time.astimezone(UTC):%Y%m%dT%H%M%S.%f}"


def _checked(upload: UploadJob, report: UploadReport) -> UploadOutcome:
    """Outcome of a readable file. A stored one has its report in the lake: a copy here would outlive an erasure."""
    only_checked = upload.received.validate_only
    result = {
        "bytes_done": upload.received.bytes_total,
        "outcome": UploadJobStatus.CHECKED if only_checked else UploadJobStatus.STORED,
        "upload_id": report.upload_id,
        "report": report.model_dump(mode="json") if only_checked else None,
    }
    return UploadOutcome(status=JobStatus.DONE, result=result, report=report)


def _refused(error: RecsaasError, *, bytes_done: int) -> Outcome:
    refused = isinstance(error, InvalidInput | TooLarge)
    return failed(
        error.reason if isinstance(error, UploadRefused) else error.code,
        error.message,
        bytes_done=bytes_done,
        outcome=UploadJobStatus.REFUSED if refused else UploadJobStatus.FAILED,
    )


def _failed(message: str, *, bytes_done: int = 0) -> Outcome:
    return failed("internal_error", message, bytes_done=bytes_done, outcome=UploadJobStatus.FAILED)
