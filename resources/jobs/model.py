"""Jobs: work that was acknowledged and is done later, by the process that gets to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from resources.base.tenant import TenantId


class JobKind(StrEnum):
    """Kind of the work; `resources.jobs.registry` says how each kind is treated."""

    UPLOAD = "upload"
    EXPORT = "recommendation_export"
    ERASURE = "erasure"
    TRAINING = "training"
    TENANT_EXPORT = "tenant_export"
    TENANT_ERASURE = "tenant_erasure"


class JobStatus(StrEnum):
    """Where a job stands; `done`, `failed` and `cancelled` are the ends. APIs of a kind have words of their own."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job ended without its result: a code for programs, and a message for a person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the table of jobs.

    `id` is unique among the jobs of a tenant. `subject` is what the job is about, for look-ups: the kind of an upload,
    of a training, the user to erase. `attempts` counts the processes that began the job and did not end it, `rests` how
    often an outage or an error has put it back. `progress` is 0 to 1. `result` holds figures while the job runs, and
    what came of it in the end. `run_id` is the Dagster run that belongs to it. `started_at` is when the process began
    that works on it or has done it. `input`, `result` and `error` are JSON.
    """

    tenant: TenantId
    id: str
    kind: JobKind
    input: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.QUEUED
    priority: int = 0
    subject: str | None = None
    attempts: int = 0
    rests: int = 0
    progress: float = 0.0
    result: Mapping[str, Any] = field(default_factory=dict)
    error: JobError | None = None
    cancel_requested: bool = False
    run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in UNFINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job in hand is: `share` is 0 to 1, `figures` are its own counts (JSON)."""

    share: float
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, with its result (JSON) or its error."""

    status: JobStatus
    result: Mapping[str, Any] = field(default_factory=dict)
    error: JobError | None = None
