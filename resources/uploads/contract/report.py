"""The answer to an upload: what was taken, what was not, and why."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, model_validator

from resources.uploads.contract.columns import Kind
from resources.uploads.contract.quality import UploadQuality

MAX_LISTED_ERRORS = 100
MAX_VALUE_CHARACTERS = 100


class UploadStatus(StrEnum):
    """`partial` means some rows were rejected; `rejected` means all were."""

    SUCCESS = "success"
    PARTIAL = "partial"
    REJECTED = "rejected"


class RowError(BaseModel):
    """One reason for which one row was rejected. `row` is the line in the file; the header is line 1."""

    model_config = ConfigDict(frozen=True)

    row: int
    column: str | None
    error: str
    value: str | None
    item_id: str | None = None
    user_id: str | None = None


class UploadStatistics(BaseModel):
    """Statistics of the accepted rows; the rows that delete are only counted, as `deletions`.

    `unknown_items` is null when there was no catalogue to compare with. `completeness` is the share of rows with a
    value, for every optional column of the contract; it is empty when there are no rows.
    """

    model_config = ConfigDict(frozen=True)

    unique_users: int = 0
    unique_items: int = 0
    unknown_items: int | None = None
    interaction_types: dict[str, int] = {}
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    deletions: int = 0
    completeness: dict[str, float] = {}


class UploadReport(BaseModel):
    """The report of one upload, as the routes that take data in answer with it (docs/api.md).

    `errors_by_rule` counts rejected rows by `<column>.<rule>`; a row that breaks two rules counts under both.
    `already_stored` says that nothing was stored, because the content was there before: the report is the first one.
    `rules_fingerprint` names the tenant's rules by which the rows were judged.
    """

    model_config = ConfigDict(frozen=True)

    upload_id: str
    kind: Kind
    status: UploadStatus
    filename: str
    sha256: str
    rows_total: int
    rows_accepted: int
    rows_rejected: int
    rows_duplicate: int
    validation_errors: tuple[RowError, ...] = ()
    errors_by_rule: dict[str, int] = {}
    statistics: UploadStatistics = UploadStatistics()
    storage_location: str | None = None
    rejected_url: str | None = None
    validate_only: bool = False
    already_stored: bool = False
    rules_fingerprint: str = ""
    quality: UploadQuality | None = None

    @model_validator(mode="after")
    def _rows_add_up(self) -> UploadReport:
        if self.rows_total != self.rows_accepted + self.rows_rejected + self.rows_duplicate:
            raise ValueError("rows_total must equal rows_accepted + rows_rejected + rows_duplicate")
        if len(self.validation_errors) > MAX_LISTED_ERRORS:
            raise ValueError(f"validation_errors lists at most {MAX_LISTED_ERRORS} errors")
        return self


def status_of(*, accepted: int, rejected: int, duplicate: int) -> UploadStatus:
    """Return the status; duplicates are right, so they alone make no upload partial, and one is not all rejected."""
    if rejected and not accepted and not duplicate:
        return UploadStatus.REJECTED
    return UploadStatus.PARTIAL if rejected else UploadStatus.SUCCESS
