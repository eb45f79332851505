"""Bodies of the training routes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue

from bento_service.schemas.common import Answer, Body, JsonObject, Text
from resources.jobs.kinds.training import TrainingJob, TrainingStatus
from resources.release.manifest import ReleaseManifest
from resources.tenants.settings import ModelType
from resources.tenants.training_request import TrainingKind, TrainingMode
from resources.training.progress import Phase, TrainingProgress

DeploymentStatus = Literal["deployed", "held", "not_requested"]


class ReindexRequest(Body):
    """A new index and release of the newest trained model."""

    auto_deploy: bool = Field(default=True, description="Without it the release is written and does not go live.")
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")


class TrainRequest(ReindexRequest):
    """A run that trains; what is left out is as the tenant's settings have it."""

    model_type: ModelType | None = None
    hyperparameters: JsonObject = Field(
        default_factory=dict,
        description="`embedding_dim`, `num_layers`, `learning_rate`, `batch_size`, `epochs`, `negative_samples`, and "
        "every one of the model's own. They hold for this run.",
    )
    training_mode: TrainingMode | None = None


class JobAccepted(Answer):
    """The job is stored; its run starts when no other run of the tenant is going on."""

    job_id: str
    status: TrainingStatus
    estimated_duration_minutes: float
    progress_url: str

    @classmethod
    def of(cls, job: TrainingJob) -> JobAccepted:
        """Show a job that was just made, or how it stands when the request came again."""
        return cls(
            job_id=job.id,
            status=job.status,
            estimated_duration_minutes=max(0.1, round(job.estimated_seconds / 60, 1)),
            progress_url=progress_url(job),
        )


class JobMetrics(Answer):
    """The newest figures of the run; null where nothing is measured."""

    train_loss: float | None = None
    val_ndcg_at_10: float | None = Field(default=None, serialization_alias="val_ndcg@10")
    val_recall_at_20: float | None = Field(default=None, serialization_alias="val_recall@20")


class JobGate(Answer):
    """What the gate said of the release: `passed`, `refused`, or `skipped` where nothing could be measured."""

    outcome: str
    reasons: tuple[str, ...]


class JobSummary(Answer):
    """One line of the list of jobs. `hyperparameters` are by our own names."""

    job_id: str
    kind: TrainingKind
    status: Phase
    progress: float
    model_type: ModelType | None
    hyperparameters: Mapping[str, JsonValue]
    training_mode: TrainingMode | None
    auto_deploy: bool
    cancel_requested: bool
    run_id: str | None
    model_version: str | None
    deployment_status: DeploymentStatus | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    training_duration_seconds: float | None
    progress_url: str

    @classmethod
    def of(cls, job: TrainingJob, progress: TrainingProgress) -> JobSummary:
        """Show a job."""
        return cls(**_summary(job, progress))


class JobPage(Answer):
    """The tenant's jobs, newest first."""

    jobs: tuple[JobSummary, ...]
    next_cursor: str | None = None


class JobProgress(JobSummary):
    """How far a job is. `progress` is 0 to 1; epochs are those of the fit that `fit` names.

    `final_metrics` (of the test period) and `gate` are there once the release is written, unless it is not stored any
    more.
    """

    stage: str | None
    fit: str | None
    current_epoch: int | None
    total_epochs: int | None
    metrics: JobMetrics
    estimated_completion: datetime | None
    final_metrics: Mapping[str, float | None] | None
    gate: JobGate | None

    @classmethod
    def with_release(
        cls, job: TrainingJob, progress: TrainingProgress, manifest: ReleaseManifest | None
    ) -> JobProgress:
        """Show a job and what its release says of itself."""
        gate = None if manifest is None else manifest.gate
        return cls(
            **_summary(job, progress),
            stage=progress.stage,
            fit=progress.fit,
            current_epoch=progress.epoch,
            total_epochs=progress.total_epochs,
            metrics=JobMetrics(
                train_loss=progress.metrics.get("loss"),
                val_ndcg_at_10=progress.metrics.get("ndcg@10"),
                val_recall_at_20=progress.metrics.get("recall@20"),
            ),
            estimated_completion=progress.estimated_completion,
            final_metrics=None if manifest is None else manifest.metrics.overall,
            gate=None if gate is None else JobGate(outcome=gate.outcome, reasons=gate.reasons),
        )


def progress_url(job: TrainingJob) -> str:
    """Where the progress of the job is shown."""
    return f"/api/v1/training/{job.id}/progress"


def _summary(job: TrainingJob, progress: TrainingProgress) -> dict[str, Any]:
    request = job.request
    return {
        "job_id": job.id,
        "kind": request.kind,
        "status": progress.phase,
        "progress": progress.share,
        "model_type": request.model_type,
        "hyperparameters": request.hyperparameters,
        "training_mode": request.mode,
        "auto_deploy": request.auto_deploy,
        "cancel_requested": job.cancel_requested,
        "run_id": job.run_id,
        "model_version": job.release_version,
        "deployment_status": _deployment(job),
        "error": job.message if job.status in (TrainingStatus.FAILED, TrainingStatus.CANCELLED) else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "training_duration_seconds": job.seconds,
        "progress_url": progress_url(job),
    }


def _deployment(job: TrainingJob) -> DeploymentStatus | None:
    if job.release_version is None:
        return None
    if job.deployed:
        return "deployed"
    return "held" if job.request.auto_deploy else "not_requested"
