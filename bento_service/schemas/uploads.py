"""Bodies of the upload routes."""

from __future__ import annotations

from datetime import datetime

from bento_service.schemas.common import Answer
from resources.control_db.uploads import UploadRecord
from resources.uploads.report import UploadReport


class UploadSummary(Answer):
    """One line of the list of uploads. `ingested_run` is the pipeline run that first took its rows in."""

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
