"""A fit that several processes do together, as files: what they are to do, and what each of them leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, fit
from recsaas_assets.recommender.lightgcn.user_share import shares
from resources.tenants.model_configs import LightGCNConfig

_RESULT = "result.json"
_PAIRS = ("user_row", "item_row", "weight", "age_days")


@dataclass(frozen=True, eq=False)
class ParallelFit:
    """A fit, as the processes read it from a folder; the fields are the arguments of `trainer.fit`."""

    inputs: FitInputs
    config: LightGCNConfig
    device: str = "cpu"

    def save(self, folder: Path) -> None:
        """Write arrays that can be mapped into memory, and `fit.json`."""
        inputs = self.inputs
        for name, pairs in (("pairs", inputs.pairs), ("validation", inputs.validation)):
            if pairs is not None:
                for field in _PAIRS:
                    np.save(folder / f"{name}_{field}.npy", getattr(pairs, field), allow_pickle=False)
        for name, array in zip(("users", "items"), inputs.initial or (), strict=False):
            np.save(folder / f"initial_{name}.npy", array, allow_pickle=False)
        document = {
            "n_users": inputs.n_users,
            "n_items": inputs.n_items,
            "config": self.config.model_dump(mode="json"),
            "seed": inputs.seed,
            "stop_after": inputs.stop_after,
            "device": self.device,
            "validation": inputs.validation is not None,
            "initial": inputs.initial is not None,
        }
        (folder / "fit.json").write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ParallelFit:
        """Read what `save` wrote; the arrays stay in their files, and processes of one machine share the memory."""
        document: dict[str, Any] = json.loads((folder / "fit.json").read_text(encoding="utf-8"))

        def pairs(name: str) -> Pairs:
            return Pairs(*(_read(folder / f"{name}_{field}.npy") for field in _PAIRS))

        inputs = FitInputs(
            pairs=pairs("pairs"),
            n_users=document["n_users"],
            n_items=document["n_items"],
            seed=document["seed"],
            validation=pairs("validation") if document["validation"] else None,
            stop_after=document["stop_after"],
            initial=(_read(folder / "initial_users.npy"), _read(folder / "initial_items.npy"))
            if document["initial"]
            else None,
        )
        return cls(inputs, LightGCNConfig.model_validate(document["config"]), document["device"])


def fit_own_share(folder: Path, on_epoch: Callable[[EpochProgress], None]) -> None:
    """Fit the job in `folder` with the processes that torch.distributed has joined, and leave a part of the result."""
    job = ParallelFit.load(folder)
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    result = fit(
        job.inputs,
        job.config,
        device=job.device,
        share=shares(job.inputs.pairs, job.inputs.n_users, processes)[rank],
        on_epoch=on_epoch if rank == 0 else None,
    )
    for name in ModelVectors.names():
        if rank == 0 or name in ModelVectors.OF_USERS:
            np.save(_part(folder, name, rank), getattr(result.vectors, name), allow_pickle=False)
    if rank == 0:
        document = {
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
            "history": [[e.epoch, e.total, e.loss, e.eta_seconds, e.metrics] for e in result.history],
        }
        (folder / _RESULT).write_text(json.dumps(document), encoding="utf-8")


def collected(folder: Path, processes: int) -> FitResult:
    """The result that all processes together have left in `folder`."""
    document = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    arrays = {
        name: np.concatenate([np.load(_part(folder, name, rank)) for rank in range(processes)])
        if name in ModelVectors.OF_USERS
        else np.load(_part(folder, name, 0))
        for name in ModelVectors.names()
    }
    history = tuple(EpochProgress(*entry) for entry in document["history"])
    return FitResult(ModelVectors(**arrays), history, document["best_epoch"], document["seconds"])


def _part(folder: Path, name: str, rank: int) -> Path:
    return folder / f"{name}-{rank}.npy"


def _read(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)
