"""Training on request: a job in, its progress out. The pipeline starts it, so the answer never waits for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.api.data.interactions import IdempotencyKey
from bento_service.dependencies import Services, WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageCursor, PageLimit, pages_by_time
from bento_service.scheduling.threads import threaded
from bento_service.schemas.training import (
    JobAccepted,
    JobPage,
    JobProgress,
    JobSummary,
    ReindexRequest,
    TrainRequest,
    progress_url,
)
from resources.access.actor import Actor
from resources.base.errors import Conflict, CorruptRelease, ReleaseNotFound
from resources.base.tenant import TenantId
from resources.control_db.idempotency import WriteKey
from resources.control_db.tenants import get_tenant
from resources.jobs.kinds.training import (
    TrainingJob,
    add_training_job,
    ask_to_cancel,
    get_training_job,
    list_training_jobs,
)
from resources.plans.checks import check_feature, check_training
from resources.release.manifest import ReleaseManifest
from resources.release.store import ReleaseStore
from resources.tenants.hyperparameters import own_hyperparameters
from resources.tenants.training_request import TrainingKind, TrainingRequest
from resources.training.estimate import estimated_seconds
from resources.training.progress import TrainingProgress, progress_of
from resources.training.runs import find_run

router = APIRouter(tags=["training"])
Trainer = Annotated[Principal, Depends(require("training:write"))]
_PAGES = pages_by_time("t")

_TRAIN_EXAMPLES = {
    "as the settings say": {},
    "this run only": {
        "model_type": "lightgcn",
        "hyperparameters": {"embedding_dim": 128, "epochs": 120, "learning_rate": 0.05},
        "training_mode": "full",
        "auto_deploy": False,
    },
}
_REINDEX_EXAMPLES = {"and go live": {}, "only write the release": {"auto_deploy": False}}
_TRAIN: dict[str, Any] = {
    "response_model": JobAccepted,
    "status_code": 202,
    "openapi_extra": json_body(TrainRequest, _TRAIN_EXAMPLES, required=False),
}
_REINDEX: dict[str, Any] = {**_TRAIN, "openapi_extra": json_body(ReindexRequest, _REINDEX_EXAMPLES, required=False)}


@dataclass(frozen=True, slots=True)
class _Asked:
    """For whom a job is asked for, by whom, and the idempotency key of the request."""

    tenant: TenantId
    by: Actor
    key: str | None


@router.post("/api/v1/train", summary="Train", **_TRAIN)
@router.post("/admin/train", summary="Train, short form", **_TRAIN)
async def train(
    request: Request, principal: Trainer, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Queue a run of the whole pipeline, with a model and hyper-parameters that hold for this run."""
    services.require_writable_lake()
    body = await read_body(request, TrainRequest, services.bodies, optional=True)
    principal.check_tenant(body.tenant_id)
    asked = _Asked(principal.tenant, principal.actor(request), idempotency_key)
    return await services.threads.writes.run(principal.tenant.value, _train, services, asked, body)


@router.post("/api/v1/reindex", summary="Build the index anew", **_REINDEX)
@router.post("/admin/reindex", summary="Build the index anew, short form", **_REINDEX)
async def reindex(
    request: Request, principal: Trainer, services: WithServices, idempotency_key: IdempotencyKey = None
) -> Response:
    """Queue a run that builds index and release from the newest trained model, without training."""
    services.require_writable_lake()
    body = await read_body(request, ReindexRequest, services.bodies, optional=True)
    principal.check_tenant(body.tenant_id)
    asked = _Asked(principal.tenant, principal.actor(request), idempotency_key)
    return await services.threads.writes.run(principal.tenant.value, _reindex, services, asked, body)


@router.get("/api/v1/training", response_model=JobPage, summary="List training jobs")
@threaded("reads")
def jobs(
    principal: Trainer,
    services: WithServices,
    limit: PageLimit = 50,
    cursor: PageCursor = None,
) -> Response:
    """List the tenant's jobs, newest first."""
    found = list_training_jobs(services.db, principal.tenant, limit=limit + 1, before=_PAGES.place(cursor))
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda job: job.created_at)
    page = JobPage(jobs=tuple(JobSummary.of(job, _progress(services, job)) for job in shown), next_cursor=next_cursor)
    return Response(page.model_dump_json(by_alias=True), media_type="application/json")


@router.get("/api/v1/training/{job_id}/progress", response_model=JobProgress, summary="Show a training job's progress")
@threaded("reads")
def progress(principal: Trainer, services: WithServices, job_id: str) -> Response:
    """Tell how far a job is; in the end with its release, figures and gate, or with the reason why it failed."""
    return _shown(services, get_training_job(services.db, principal.tenant, job_id))


@router.delete("/api/v1/training/{job_id}", response_model=JobProgress, summary="Cancel a training job")
@threaded("writes")
def cancel(request: Request, principal: Trainer, services: WithServices, job_id: str) -> Response:
    """Cancel a job: a queued one ends at once, a running one stops within seconds, as its progress then shows."""
    by, now = principal.actor(request), services.clock()
    return _shown(services, ask_to_cancel(services.db, principal.tenant, job_id, now=now, by=by))


def _train(services: Services, asked: _Asked, body: TrainRequest) -> Response:
    model_type = body.model_type or get_tenant(services.db, asked.tenant).settings.training.model_type
    request = TrainingRequest(
        kind=TrainingKind.TRAIN,
        model_type=model_type,
        hyperparameters=own_hyperparameters(model_type, body.hyperparameters),
        mode=body.training_mode,
        auto_deploy=body.auto_deploy,
    )
    return _queued(services, asked, request, body)


def _reindex(services: Services, asked: _Asked, body: ReindexRequest) -> Response:
    if not services.lake.tenant(asked.tenant).trained_model.exists():
        raise Conflict(f"Tenant {asked.tenant} has no trained model to index. Train one first: POST /api/v1/train")
    request = TrainingRequest(kind=TrainingKind.REINDEX, auto_deploy=body.auto_deploy)
    return _queued(services, asked, request, body)


def _queued(services: Services, asked: _Asked, request: TrainingRequest, body: ReindexRequest) -> Response:
    with services.db.read() as session:
        if request.kind is TrainingKind.TRAIN and request.model_type == "two_tower":
            check_feature(session, asked.tenant, "two_tower", now=services.clock())
        check_training(session, asked.tenant, now=services.clock())
    job = add_training_job(
        services.db,
        asked.tenant,
        request,
        estimated_seconds=estimated_seconds(services.db, asked.tenant, request.kind),
        now=services.clock(),
        key=WriteKey.of(asked.key, request.kind, body.model_dump(mode="json")),
        by=asked.by,
    )
    return Response(
        JobAccepted.of(job).model_dump_json(),
        status_code=202,
        media_type="application/json",
        headers={"Location": progress_url(job)},
    )


def _shown(services: Services, job: TrainingJob) -> Response:
    answer = JobProgress.with_release(job, _progress(services, job), _manifest(services, job))
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


def _progress(services: Services, job: TrainingJob) -> TrainingProgress:
    run = None if job.run_id is None else find_run(services.db, job.tenant, job.run_id)
    return progress_of(job, run, now=services.clock())


def _manifest(services: Services, job: TrainingJob) -> ReleaseManifest | None:
    """What the job's release says of itself; None when it is not stored any more, or cannot be read."""
    if job.release_version is None:
        return None
    try:
        return ReleaseStore(services.lake.tenant(job.tenant)).manifest(job.release_version)
    except (ReleaseNotFound, CorruptRelease):
        return None
