"""Several processes, each with a share of the users, fit what one process fits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.data_parallel import processes as data_parallel
from recsaas_assets.recommender.data_parallel.parallel_job import ParallelFit
from recsaas_assets.recommender.data_parallel.processes import MIN_PAIRS, fit_in_processes, processes_for
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.trainer import (
    EpochProgress,
    FitResult,
    TrainingCancelled,
    fit,
)
from recsaas_assets.recommender.lightgcn.user_share import UserShare, everybody, shares
from resources.base.errors import InvalidInput
from resources.processes.supervisor import ProcessFailed
from resources.tenants.model_configs import LightGCNConfig

USERS, ITEMS = 60, 24
# Blocks of users that lie across the borders of the shares, and every part of the readout.
CONFIG = LightGCNConfig(
    dim=8,
    steps=16,
    negatives=16,
    user_block=13,
    evaluate_every=2,
    half_life_days=20.0,
    edge_weight="log",
    popularity_weight=0.4,
    validation_users=20,
    patience=3,
)


def _pairs(seed: int, n: int) -> Pairs:
    """Odd users take odd items; the later users take more of them."""
    rng = np.random.default_rng(seed)
    users = (USERS * np.sqrt(rng.random(n))).astype(int)
    items = 2 * rng.integers(0, ITEMS // 2, n) + users % 2
    return Pairs.of(users, items, rng.integers(1, 5, n), rng.random(n) * 50)


@pytest.fixture(scope="module")
def job() -> ParallelFit:
    return ParallelFit(FitInputs(_pairs(0, 500), USERS, ITEMS, seed=3, validation=_pairs(1, 60)), CONFIG)


@pytest.fixture(scope="module")
def alone(job: ParallelFit) -> FitResult:
    return fit(job.inputs, CONFIG)


def assert_same(alone: FitResult, vectors: dict[str, np.ndarray], together: FitResult) -> None:
    assert len(together.history) == len(alone.history) > 4
    assert together.best_epoch == alone.best_epoch
    assert [each.loss for each in together.history] == pytest.approx([each.loss for each in alone.history], abs=1e-4)
    for ours, theirs in zip(together.history, alone.history, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-9)
    for name, array in vectors.items():
        np.testing.assert_allclose(array, getattr(alone.vectors, name), atol=1e-4)


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_fit_what_one_process_fits(
    job: ParallelFit, alone: FitResult, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sums of torch.distributed, by threads: milliseconds instead of starting processes."""
    waiting = threading.Barrier(processes, timeout=20)
    parts: list[torch.Tensor] = []

    def all_reduce(tensor: torch.Tensor) -> None:
        parts.append(tensor)
        waiting.wait()
        total = torch.stack(sorted(parts, key=id)).sum(dim=0)
        waiting.wait()
        tensor.copy_(total)
        if waiting.wait() == 0:
            parts.clear()
        waiting.wait()

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    with ThreadPoolExecutor(processes) as threads:
        futures = [
            threads.submit(fit, job.inputs, CONFIG, share=share) for share in shares(job.inputs.pairs, USERS, processes)
        ]
        results = [future.result() for future in futures]
    vectors = {
        name: np.concatenate([getattr(each.vectors, name) for each in results])
        if name in ModelVectors.OF_USERS
        else getattr(results[0].vectors, name)
        for name in ModelVectors.names()
    }
    for result in results:
        assert_same(alone, vectors, result)


@pytest.mark.e2e
def test_two_processes_fit_what_one_does(job: ParallelFit, alone: FitResult, tmp_path: Path) -> None:
    told: list[EpochProgress] = []
    together = fit_in_processes(job, 2, scratch=tmp_path, on_epoch=told.append)
    assert_same(alone, {name: getattr(together.vectors, name) for name in ModelVectors.names()}, together)
    assert tuple(told) == together.history
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "last_words", "said"),
    [
        ("kill", 0.5, r"Training process 2 of 3 was killed by signal 9, and the others were ended\. .*memory"),
        ("raise", 60.0, r"Training process 2 of 3 failed, and the others were ended: ValueError: something is odd"),
    ],
)
def test_one_that_ends_takes_the_others_with_it(
    job: ParallelFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, last_words: float, said: str
) -> None:
    monkeypatch.setattr(data_parallel, "_WORKER", "tests.unit.recsaas_assets.recommender.failing_worker")
    monkeypatch.setattr(data_parallel, "_LAST_WORDS_SECONDS", last_words)  # enough for all that end by themselves
    (tmp_path / "how").write_text(how)
    started = time.monotonic()
    with pytest.raises(ProcessFailed, match=said):
        fit_in_processes(job, 3, scratch=tmp_path)
    assert time.monotonic() - started < 300


def test_cancelling_ends_them(job: ParallelFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_parallel, "_WORKER", "tests.unit.recsaas_assets.recommender.failing_worker")
    (tmp_path / "how").write_text("wait")
    told: list[EpochProgress] = []
    with pytest.raises(TrainingCancelled, match="after 1 epochs"):
        fit_in_processes(job, 2, scratch=tmp_path, on_epoch=told.append, should_stop=lambda: bool(told))
    assert told == [EpochProgress(1, 9, 0.5, 0.0, {"ndcg@10": 0.25})]


def test_a_job_survives_its_files(job: ParallelFit, tmp_path: Path) -> None:
    start = (np.ones((USERS, 7), np.float32), np.zeros((ITEMS, 7), np.float32))
    small = FitInputs(Pairs.of([0], [1]), 1, 2, seed=1, stop_after=4, initial=start)
    for saved in (job, ParallelFit(small, CONFIG)):
        saved.save(tmp_path)
        loaded = ParallelFit.load(tmp_path)
        ours, theirs = loaded.inputs, saved.inputs
        assert ours.pairs.to_polars().equals(theirs.pairs.to_polars())
        assert (loaded.config, ours.seed, ours.stop_after) == (CONFIG, theirs.seed, theirs.stop_after)
        assert (ours.validation is None, ours.initial is None) == (theirs.validation is None, theirs.initial is None)


def test_shares_cover_all_users_once_and_weigh_about_the_same(job: ParallelFit) -> None:
    pairs = job.inputs.pairs
    split = shares(pairs, USERS, 3)
    assert [each.first for each in split] == [0, *(each.last for each in split[:-1])] and split[-1].last == USERS
    assert sum(len(each.pairs(pairs)) for each in split) == len(pairs)
    sizes = [len(each.pairs(pairs)) + (each.last - each.first) * len(pairs) / USERS for each in split]
    assert max(sizes) < 1.2 * min(sizes)
    assert sorted(each.last - each.first for each in shares(Pairs.of([0], [0]), 1, 2)) == [0, 1]


def test_rows_of_a_share() -> None:
    share = UserShare(10, 20, 2)
    assert [share.local(*block) for block in ((0, 5), (5, 15), (12, 14), (15, 99), (30, 40))] == [
        slice(0, 0),
        slice(0, 5),
        slice(2, 4),
        slice(5, 10),
        slice(10, 10),
    ]
    assert everybody(5).local(2, 9) == slice(2, 5)


def test_what_cannot_be_shared_is_trained_by_one_process(job: ParallelFit, tmp_path: Path) -> None:
    bpr = CONFIG.model_copy(update={"loss": "bpr"})
    assert [processes_for(each, MIN_PAIRS, 4) for each in (CONFIG, bpr)] == [4, 1]
    assert processes_for(CONFIG, MIN_PAIRS - 1, 4) == 1
    with pytest.raises(InvalidInput, match="softmax"):
        fit_in_processes(ParallelFit(job.inputs, bpr), 2, scratch=tmp_path)
    with pytest.raises(InvalidInput, match="one process"):
        fit(job.inputs, bpr, share=UserShare(0, 30, 2))
