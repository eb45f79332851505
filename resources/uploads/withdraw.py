"""Taking an upload back: its rows stop counting with the next run; its files, its report and its trace stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from resources.access.actor import SYSTEM, Actor
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import UploadRecord, counting_uploads, find_upload, withdraw_upload
from resources.jobs.kinds.uploads import list_unfinished_uploads


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawn upload.

    `send_again` are later uploads of its kind, oldest first, some of whose rows were left out as duplicates, maybe of
    this one: sent again, the same files are compared anew.
    """

    upload: UploadRecord
    send_again: tuple[str, ...]


def withdraw(db: ControlDb, tenant: TenantId, upload_id: str, *, now: datetime, by: Actor = SYSTEM) -> Withdrawal:
    """Withdraw an upload; a second time changes nothing.

    Raises:
        UploadNotFound: the tenant has no upload with this id.
        Conflict: its file waits to be checked, so it is not stored yet.
    """
    if find_upload(db, tenant, upload_id) is None:
        jobs = [job for job in list_unfinished_uploads(db, tenant) if job.job_id in (upload_id, f"store-{upload_id}")]
        if jobs:
            raise Conflict(
                f"The file of {upload_id} is still being checked. Withdraw it when it is stored; "
                f"GET /api/v1/uploads/jobs/{jobs[0].job_id} tells when."
            )
    upload = withdraw_upload(db, tenant, upload_id, now=now, by=by)
    later = [
        each.upload_id
        for each in counting_uploads(db, tenant, kind=upload.kind)
        if each.sequence > upload.sequence and each.rows_duplicate
    ]
    return Withdrawal(upload, tuple(later))
