"""Bodies of the upload and mapping routes."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from bento_service.schemas.common import Answer
from resources.control_db.uploads import UploadRecord
from resources.jobs.kinds.uploads import UploadJob, UploadJobStatus
from resources.training.readiness import Readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.report import UploadReport
from resources.uploads.headers.mapping import GivenMapping


class UploadSummary(Answer):
    """One line of the list of uploads. `ingested_run` is the pipeline run that first took its rows in.

    With `withdrawn_at` or `set_aside_at` its rows do not count any more; `left_out_run` is the first run without them,
    and `set_aside_reason` says why no run could work with them.
    """

    upload_id: str
    kind: str
    filename: str
    sha256: str
    source: str
    status: str
    rows_accepted: int
    rows_rejected: int
    rows_duplicate: int
    created_at: datetime
    ingested_run: str | None
    withdrawn_at: datetime | None
    set_aside_at: datetime | None
    set_aside_reason: str | None
    left_out_run: str | None

    @classmethod
    def of(cls, record: UploadRecord) -> UploadSummary:
        """Show what the control DB knows of an upload."""
        return cls(
            upload_id=record.upload_id,
            kind=record.kind,
            filename=record.filename,
            sha256=record.sha256,
            source=record.source,
            status=record.status,
            rows_accepted=record.rows_accepted,
            rows_rejected=record.rows_rejected,
            rows_duplicate=record.rows_duplicate,
            created_at=record.created_at,
            ingested_run=record.ingested_run,
            withdrawn_at=record.withdrawn_at,
            set_aside_at=record.set_aside_at,
            set_aside_reason=record.set_aside_reason,
            left_out_run=record.left_out_run,
        )


class UploadPage(Answer):
    """Uploads, newest first."""

    uploads: tuple[UploadSummary, ...]
    next_cursor: str | None


class StoredUpload(UploadReport):
    """The report of a stored upload, with where it came from and what became of it."""

    source: str
    created_at: datetime
    ingested_run: str | None
    withdrawn_at: datetime | None
    set_aside_at: datetime | None
    set_aside_reason: str | None
    left_out_run: str | None


class WithdrawnUpload(Answer):
    """An upload that was taken back. `send_again`: uploads whose rows may have been left out as its duplicates."""

    upload: UploadSummary
    send_again: tuple[str, ...]


class UploadAnswer(UploadReport):
    """The report of an upload; after one of interactions also whether there is enough to train on.

    `readiness` is null for other kinds, where nothing was stored, and where counting would keep the answer waiting.
    """

    readiness: Readiness | None = None


class JobError(Answer):
    """Why a file was not stored: the error that a smaller one would have been answered with."""

    code: str
    message: str


class UploadJobAnswer(Answer):
    """How far a large upload is. `progress` is 0 to 1.

    `status` is `queued` or `checking`, and in the end `stored`, `checked` (only to be validated), `refused` (the file
    cannot be read at all) or `failed` (our fault). `upload_id` and `report` are there from the end on.
    """

    job_id: str
    kind: str
    filename: str
    validate_only: bool
    upload_id: str | None
    status: UploadJobStatus
    status_url: str
    progress: float
    bytes_total: int
    bytes_done: int
    report: UploadReport | None
    error: JobError | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: UploadJob, *, report: UploadReport | None = None) -> UploadJobAnswer:
        """Show a job."""
        received = job.received
        finished = job.status in (UploadJobStatus.STORED, UploadJobStatus.CHECKED)
        return cls(
            job_id=job.job_id,
            kind=received.kind,
            filename=received.filename,
            validate_only=received.validate_only,
            upload_id=job.upload_id,
            status=job.status,
            status_url=f"/api/v1/uploads/jobs/{job.job_id}",
            # Comparing and storing come after the last byte was read.
            progress=1.0 if finished else min(0.99, round(job.bytes_done / max(received.bytes_total, 1), 4)),
            bytes_total=received.bytes_total,
            bytes_done=job.bytes_done,
            report=report,
            error=JobError(code=job.error_code, message=job.message or "") if job.error_code else None,
            created_at=job.created_at,
            updated_at=job.updated_at,
        )


class MappingBody(GivenMapping):
    """How the tenant's files of a kind are to be read: all of it, what is left out is found from each file."""

    tenant_id: str | None = Field(default=None, description="Has to agree with the credential, if it is there.")


class MappingAnswer(Answer):
    """How the tenant's files of a kind are read; null is found from each file.

    `interaction_types` are the tenant's names of interactions, of its files and events; null for other kinds.
    """

    kind: Kind
    columns: dict[str, str | None]
    separator: str | None
    encoding: str | None
    decimal: str | None
    date_order: str | None
    default_interaction_type: str | None
    interaction_types: dict[str, str] | None

    @classmethod
    def of(cls, kind: Kind, mapping: GivenMapping) -> MappingAnswer:
        """Show a mapping."""
        return cls(kind=kind, **mapping.model_dump())
