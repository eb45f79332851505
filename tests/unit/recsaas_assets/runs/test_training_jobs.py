"""What the sensor does with a training job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsaas_assets.runs.training_jobs import MOST_STARTS, End, JobRun, RunState, Start, Wait, next_step
from resources.jobs.kinds.training import TrainingJob, TrainingStatus
from tests.unit.resources.training.test_training_progress import JOB

QUEUED = replace(JOB, status=TrainingStatus.QUEUED, run_id=None, started_at=None)


def step(job: TrainingJob, run: JobRun | None = None, starts: int = 1, **about: bool) -> Start | Wait | End:
    return next_step(job, run, starts=starts, **{"known": True, "active": True, "busy": False, **about})


def test_a_queued_job_starts_when_nothing_is_in_its_way() -> None:
    assert step(QUEUED) == Start()
    for about in ({"known": False}, {"active": False}, {"busy": True}):
        waits = step(QUEUED, **about)
        assert isinstance(waits, Wait) and "blue" in waits.why


def test_a_job_whose_run_is_going_on_waits_for_it() -> None:
    for job in (QUEUED, JOB):
        assert isinstance(step(job, JobRun("run-1", "going_on"), busy=True), Wait)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("job", [QUEUED, JOB])
def test_a_job_ends_as_its_run_did(job: TrainingJob, state: RunState) -> None:
    assert step(job, JobRun("run-1", state, "why"), busy=True) == End(TrainingStatus(state), "why")


def test_a_job_whose_run_was_not_started_in_time_is_given_another_one() -> None:
    late = JobRun("run-1", "not_started", "Run timed out")
    assert step(QUEUED, late) == Start()
    assert isinstance(step(QUEUED, late, busy=True), Wait)
    assert step(QUEUED, late, starts=MOST_STARTS) == End(TrainingStatus.FAILED, "Run timed out")


def test_a_job_whose_run_is_gone_has_failed() -> None:
    gone = step(JOB)
    assert isinstance(gone, End) and gone.status is TrainingStatus.FAILED
    assert gone.message is not None and "gone from Dagster" in gone.message
