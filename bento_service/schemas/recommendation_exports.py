"""Bodies of the exports of the recommendations of all users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from bento_service.schemas.common import MAX_COUNT, Answer, Body, Text
from resources.jobs.kinds.exports import (
    ExportFormat,
    ExportRequest,
    ExportStatus,
    RecommendationExport,
)


class ExportBody(Body):
    """An export to make: the list that each user would be answered with."""

    count: int = Field(default=10, ge=1, le=MAX_COUNT, description="How many items for each user.")
    scenario: Text | None = Field(default=None, description="Apply the rules of this scenario, too.")
    format: ExportFormat = ExportFormat.CSV
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def request(self) -> ExportRequest:
        """What is to be made."""
        return ExportRequest(count=self.count, scenario=self.scenario, format=self.format)


class ExportQueued(Answer):
    """The export is acknowledged, and made next."""

    export_id: str
    status: ExportStatus
    status_url: str

    @classmethod
    def of(cls, export: RecommendationExport) -> ExportQueued:
        """Say where to ask."""
        return cls(export_id=export.id, status=export.status, status_url=address(export))


class ExportError(Answer):
    """Why there is no file."""

    code: str
    message: str


class ExportAnswer(Answer):
    """How far an export is. `progress` is 0 to 1; `download_url` is there as long as there is a file."""

    export_id: str
    status: ExportStatus
    progress: float
    count: int
    scenario: str | None
    format: ExportFormat
    users_done: int
    users_total: int | None
    rows: int | None
    bytes: int | None
    release_version: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: ExportError | None
    download_url: str | None

    @classmethod
    def of(cls, export: RecommendationExport) -> ExportAnswer:
        """Show an export."""
        completed = export.status is ExportStatus.COMPLETED
        figures = export.figures
        return cls(
            export_id=export.id,
            status=export.status,
            progress=1.0 if completed else min(0.99, round(figures.share, 4)),  # the file comes after the last user
            count=export.request.count,
            scenario=export.request.scenario,
            format=export.request.format,
            users_done=figures.users_done,
            users_total=figures.users_total,
            rows=figures.rows,
            bytes=figures.bytes,
            release_version=figures.release_version,
            created_at=export.created_at,
            started_at=export.started_at,
            completed_at=export.completed_at,
            error=ExportError(code=export.error_code, message=export.message or "") if export.error_code else None,
            download_url=f"{address(export)}/file" if completed and figures.bytes is not None else None,
        )


class ExportPage(Answer):
    """Exports, newest first."""

    exports: tuple[ExportAnswer, ...]
    next_cursor: str | None


class ExportRemoved(Answer):
    """`cancelled`: it was in progress, and stays in the list; `removed`: it was finished, and is gone with its file."""

    export_id: str
    status: Literal["cancelled", "removed"]


def address(export: RecommendationExport) -> str:
    """Where an export is shown."""
    return f"/api/v1/recommendations/exports/{export.id}"
