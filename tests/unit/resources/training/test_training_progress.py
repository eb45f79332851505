"""Progress of a training job: it grows, and says what the run is at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recsaas_assets.recommender.lifecycle import trained_model as lifecycle
from resources.base.tenant import TenantId
from resources.jobs.kinds.training import TrainingJob, TrainingStatus
from resources.tenants.training_request import TrainingKind, TrainingRequest
from resources.training.progress import FITS, progress_of
from resources.training.runs import RunRecord

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
BLUE = TenantId("blue")
JOB = TrainingJob(
    id="job_1",
    tenant=BLUE,
    request=TrainingRequest(kind=TrainingKind.TRAIN),
    estimated_seconds=100.0,
    status=TrainingStatus.RUNNING,
    cancel_requested=False,
    run_id="run-1",
    release_version=None,
    deployed=None,
    message=None,
    created_at=NOW,
    started_at=NOW,
    ended_at=None,
)


def run(stage: str, fit: str | None = None, epoch: int | None = None, total: int | None = None) -> RunRecord:
    return RunRecord("run-1", BLUE, "running", stage, None, fit, epoch, total, {"loss": 0.5}, NOW, None)


def test_progress_grows_through_the_stages_of_a_run() -> None:
    on_the_way = [
        None,
        run("raw_items"),
        run("features"),
        run("training_set"),
        run("hyperparameter_search", None, 3, 30),
        run("lightgcn_model", None, 3, 30),
        run("lightgcn_model", "search", 1, 80),
        run("lightgcn_model", "search", 80, 80),
        run("lightgcn_model", "holdout", 1, 20),
        run("lightgcn_model", "release", 20, 20),
        run("evaluation", "release", 20, 20),
        run("faiss_index", "release", 20, 20),
        run("second_stage_model", "release", 20, 20),
        run("release", "release", 20, 20),
    ]
    found = [progress_of(JOB, each, now=NOW) for each in on_the_way]
    shares = [each.share for each in found]
    assert shares == sorted(shares) and shares[0] == 0.0 and 0.95 < shares[-1] < 1.0
    assert [each.phase for each in found] == ["training"] * 10 + ["evaluating"] + ["indexing"] * 3
    searching = found[4]
    assert (searching.epoch, searching.total_epochs, searching.metrics) == (None, None, {}), "trials are no epochs"
    assert (found[6].epoch, found[6].total_epochs, found[6].metrics) == (1, 80, {"loss": 0.5})


def test_the_fits_are_those_of_the_trainer() -> None:
    assert FITS == (lifecycle.SEARCH, lifecycle.HOLDOUT, lifecycle.BEFORE_LIVE, lifecycle.RELEASE)


@pytest.mark.parametrize("status", ["queued", "completed", "failed", "cancelled"])
def test_a_job_that_does_not_run_is_as_it_says(status: str) -> None:
    job = replace(JOB, status=TrainingStatus(status))
    found = progress_of(job, run("features"), now=NOW)
    assert (found.phase, found.estimated_completion) == (status, None)
    assert (found.share == 1.0) is (status == "completed")


def test_reindexing_is_indexing_from_the_start() -> None:
    job = replace(JOB, request=TrainingRequest(kind=TrainingKind.REINDEX))
    found = [progress_of(job, each, now=NOW) for each in (None, run("faiss_index"), run("release"))]
    assert [each.phase for each in found] == ["indexing"] * 3
    assert 0.0 == found[0].share < found[1].share < found[2].share < 1.0


def test_the_estimate_holds_until_it_is_over_and_goes_by_the_pace_then() -> None:
    early = progress_of(JOB, run("features"), now=NOW + timedelta(seconds=30))
    assert early.estimated_completion == NOW + timedelta(seconds=100)
    late = progress_of(JOB, run("training_set"), now=NOW + timedelta(seconds=300))
    assert late.estimated_completion == NOW + timedelta(seconds=1000), "3 tenths took 300 s"
