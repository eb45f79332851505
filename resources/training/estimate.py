"""How long a training job will probably take: as long as the tenant's runs before it."""

from __future__ import annotations

from statistics import median

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import counting_uploads
from resources.jobs.kinds.training import list_training_jobs
from resources.tenants.training_request import TrainingKind
from resources.training.runs import list_runs
from resources.uploads.contract.columns import Kind

_LOOKED_AT = 50
_COUNTED = 5
# From `recsaas bench e2e`: of a tenant's first run nothing better is known.
_FIRST_SECONDS = 20.0
_SECONDS_PER_ROW = 1e-4
_REINDEX_SECONDS = 5.0


def estimated_seconds(db: ControlDb, tenant: TenantId, kind: TrainingKind) -> float:
    """Median of the tenant's newest runs of this kind that ended well; without any, a guess by the uploaded rows."""
    reindexed = {
        job.run_id
        for job in list_training_jobs(db, tenant, limit=_LOOKED_AT)
        if job.request.kind is TrainingKind.REINDEX
    }
    seconds = [
        (run.ended_at - run.started_at).total_seconds()
        for run in list_runs(db, tenant, limit=_LOOKED_AT)
        if run.status == "completed"
        and run.ended_at is not None
        and (run.run_id in reindexed) == (kind is TrainingKind.REINDEX)
    ]
    if seconds:
        return median(seconds[:_COUNTED])
    if kind is TrainingKind.REINDEX:
        return _REINDEX_SECONDS
    rows = sum(upload.rows_accepted for upload in counting_uploads(db, tenant, kind=Kind.INTERACTIONS))
    return _FIRST_SECONDS + rows * _SECONDS_PER_ROW
