"""A fit that was killed goes on where it was, and ends with the same vectors, bit for bit."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.checkpoint import Checkpoint, Snapshot
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, fit
from resources.tenants.model_configs import LightGCNConfig

SOFTMAX = LightGCNConfig(dim=4, steps=40, negatives=8, evaluate_every=3, patience=4)
SHORT = SOFTMAX.model_copy(update={"steps": 6})
BPR = SOFTMAX.model_copy(update={"loss": "bpr", "batch_size": 50, "learning_rate": 0.01, "steps": 12})


class Killed(Exception):
    """Stands for a process that ends without a word."""


@dataclass(frozen=True, slots=True)
class KillingCheckpoint(Checkpoint):
    """Ends the fit after the given number of saves."""

    saves_left: list[int] = field(default_factory=lambda: [1])

    def save(self, snapshot: Snapshot, fingerprint: str) -> None:
        Checkpoint.save(self, snapshot, fingerprint)
        self.saves_left[0] -= 1
        if self.saves_left[0] == 0:
            raise Killed


def _pairs(seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    return Pairs.of(rng.integers(0, 30, 200), rng.integers(0, 20, 200))


def _fit(config: LightGCNConfig, checkpoint: Checkpoint | None = None, seed: int = 3, data: int = 5) -> FitResult:
    return fit(FitInputs(_pairs(data), 30, 20, seed=seed, validation=_pairs(8)), config, checkpoint=checkpoint)


def _same(first: FitResult, second: FitResult) -> bool:
    def told(result: FitResult) -> list[tuple[int, float, dict[str, float]]]:
        return [(each.epoch, each.loss, each.metrics) for each in result.history]

    arrays = [(getattr(first.vectors, name), getattr(second.vectors, name)) for name in ModelVectors.names()]
    return (
        all(np.array_equal(one, other) for one, other in arrays)
        and told(first) == told(second)
        and first.best_epoch == second.best_epoch
    )


@pytest.mark.parametrize(("config", "saves"), [(SOFTMAX, 2), (SOFTMAX, 13), (BPR, 2), (BPR, 7), (BPR, 20)])
def test_killed_at_any_step_and_resumed_is_as_never_killed(config: LightGCNConfig, saves: int, tmp_path: Path) -> None:
    """Of BPR an epoch is several steps, so the kill comes in the middle of one."""
    with pytest.raises(Killed):
        _fit(config, KillingCheckpoint(UPath(tmp_path), 0, [saves]))
    resumed = _fit(config, Checkpoint(UPath(tmp_path), 0))
    assert _same(resumed, _fit(config))
    assert resumed.not_resumed == ""
    assert resumed.resumed_at == (saves - 1 if config is SOFTMAX else (saves - 1) // 4)


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(UPath(tmp_path), 0)
    first = _fit(SHORT, checkpoint)
    told: list[EpochProgress] = []
    again = fit(
        FitInputs(_pairs(5), 30, 20, seed=3, validation=_pairs(8)), SHORT, checkpoint=checkpoint, on_epoch=told.append
    )
    assert told == [] and again.resumed_at == len(first.history)
    assert _same(first, again)
    checkpoint.clear()
    checkpoint.clear()
    assert not list(tmp_path.iterdir())


def test_a_short_fit_leaves_no_file(tmp_path: Path) -> None:
    _fit(SHORT, Checkpoint(UPath(tmp_path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config", "seed", "data"),
    [(SHORT, 4, 5), (SHORT, 3, 6), (SHORT.model_copy(update={"temperature": 0.2}), 3, 5)],
    ids=["seed", "data", "config"],
)
def test_the_state_of_another_fit_is_not_gone_on_from(
    config: LightGCNConfig, seed: int, data: int, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(UPath(tmp_path), 0)
    _fit(SHORT, checkpoint)
    (first,) = tmp_path.iterdir()
    afresh = _fit(config, checkpoint, seed, data)
    assert (afresh.resumed_at, afresh.not_resumed) == (0, "")
    assert _same(afresh, _fit(config, None, seed, data))
    (other,) = set(tmp_path.iterdir()) - {first}
    first.replace(other)
    assert "another fit" in _fit(config, checkpoint, seed, data).not_resumed


@pytest.mark.parametrize("keep", [0, 40, 3000])
def test_a_damaged_file_is_said_and_not_used(keep: int, tmp_path: Path) -> None:
    _fit(SHORT, Checkpoint(UPath(tmp_path), 0))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    afresh = _fit(SHORT, Checkpoint(UPath(tmp_path), 0))
    assert "damaged" in afresh.not_resumed
    assert _same(afresh, _fit(SHORT))


_ENDLESS = """
import sys
from upath import UPath
from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
from resources.tenants.model_configs import LightGCNConfig
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.trainer import fit
config = LightGCNConfig(dim=4, steps=120, negatives=8)
pairs = Pairs.of(range(10), range(10))
told = lambda progress: print(progress.epoch, flush=True)
fit(FitInputs(pairs, 10, 10, seed=1), config, checkpoint=Checkpoint(UPath(sys.argv[1]), 0), on_epoch=told)
"""


@pytest.mark.e2e
def test_kill_minus_nine(tmp_path: Path) -> None:
    """A real process, killed while it writes its state after every step."""
    process = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            if int(line) >= 8:
                process.kill()
                break
    assert process.wait(30) == -9
    config = LightGCNConfig(dim=4, steps=120, negatives=8)
    pairs = Pairs.of(range(10), range(10))
    resumed = fit(FitInputs(pairs, 10, 10, seed=1), config, checkpoint=Checkpoint(UPath(tmp_path)))
    assert 5 <= resumed.resumed_at < 120
    assert _same(resumed, fit(FitInputs(pairs, 10, 10, seed=1), config))
