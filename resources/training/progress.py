"""How far a training job is, from what its run has noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from resources.jobs.kinds.training import TrainingJob, TrainingStatus
from resources.tenants.training_request import TrainingKind
from resources.training.runs import RunRecord

Phase = Literal["queued", "training", "evaluating", "indexing", "completed", "failed", "cancelled"]

FITS = ("search", "holdout", "before_live", "release")
"""The fits of one training in their order; some are left out, and progress then jumps."""
STAGES: Mapping[str, float] = {
    "raw_items": 0.01,
    "raw_users": 0.02,
    "tracked_events": 0.03,
    "raw_interactions": 0.04,
    "features": 0.05,
    "training_set": 0.3,
    "training_features": 0.34,
    "hyperparameter_search": 0.36,
    "lightgcn_model": 0.4,
    "two_tower_model": 0.4,
    "item_models": 0.8,
    "evaluation": 0.85,
    "faiss_index": 0.9,
    "second_stage_model": 0.93,
    "release": 0.97,
}
"""The share of a run (0 to 1) that is over when each stage begins, by the time that the stages take for a shop of
100,000 interactions. A stage is an asset of the pipeline, and `features` all of its dbt models; a test holds the names
against the graph."""
_REINDEX: Mapping[str, float] = {"faiss_index": 0.1, "release": 0.6}
_MODELS = ("lightgcn_model", "two_tower_model")
_MODEL_SHARE = STAGES["item_models"] - STAGES["lightgcn_model"]
# The second stage is fitted beside the index and after the evaluation: a phase never goes back.
_PHASES: Mapping[str, Phase] = {
    "evaluation": "evaluating",
    "faiss_index": "indexing",
    "second_stage_model": "indexing",
    "release": "indexing",
}
_PHASES_OUTSIDE_A_RUN: Mapping[TrainingStatus, Phase] = {
    TrainingStatus.QUEUED: "queued",
    TrainingStatus.COMPLETED: "completed",
    TrainingStatus.FAILED: "failed",
    TrainingStatus.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a job stands. `share` is 0 to 1 and grows until the job has ended; `fit` is the one that the epochs are of.

    `metrics` are the newest of the run: `loss`, and on the validation period `ndcg@10` and `recall@20`.
    """

    phase: Phase
    share: float
    stage: str | None
    fit: str | None
    epoch: int | None
    total_epochs: int | None
    metrics: Mapping[str, float]
    estimated_completion: datetime | None


def progress_of(job: TrainingJob, run: RunRecord | None, *, now: datetime) -> TrainingProgress:
    """Where the job stands; `run` is what its run has noted, if it has begun."""
    share = 1.0 if job.status is TrainingStatus.COMPLETED else _share(job.request.kind, run)
    fit = None if run is None else run.fit
    return TrainingProgress(
        phase=_phase(job, run),
        share=round(share, 4),
        stage=None if run is None else run.stage,
        fit=fit,
        epoch=run.epoch if run is not None and fit is not None else None,
        total_epochs=run.total_epochs if run is not None and fit is not None else None,
        metrics=run.metrics if run is not None and fit is not None else {},
        estimated_completion=_end(job, share, now),
    )


def _phase(job: TrainingJob, run: RunRecord | None) -> Phase:
    if (known := _PHASES_OUTSIDE_A_RUN.get(job.status)) is not None:
        return known
    first: Phase = "indexing" if job.request.kind is TrainingKind.REINDEX else "training"
    return first if run is None or run.stage is None else _PHASES.get(run.stage, first)


def _share(kind: TrainingKind, run: RunRecord | None) -> float:
    if run is None or run.stage is None:
        return 0.0
    share = (_REINDEX if kind is TrainingKind.REINDEX else STAGES).get(run.stage, 0.0)
    if run.stage in _MODELS and run.fit in FITS and run.epoch is not None and run.total_epochs:
        within = (FITS.index(run.fit) + min(1.0, run.epoch / run.total_epochs)) / len(FITS)
        share += _MODEL_SHARE * within
    return share


def _end(job: TrainingJob, share: float, now: datetime) -> datetime | None:
    """By the estimate as long as it holds, then by the time that the job has taken so far."""
    if job.status is not TrainingStatus.RUNNING or job.started_at is None:
        return None
    elapsed = max(0.0, (now - job.started_at).total_seconds())
    left = job.estimated_seconds - elapsed
    if left <= 0:
        left = elapsed * (1 - share) / max(share, 0.05)
    return now + timedelta(seconds=left)
