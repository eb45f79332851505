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
from recsaas_assets.recommender.data.vectors import ModelVectors, Vectors
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, fit
from recsaas_assets.recommender.lightgcn.user_share import shares
from resources.tenants.model_configs import LightGCNConfig

_RESULT = "result.json"
_PAIRS = ("user_row", "item_row", "weight", "age_days")


@dataclass(frozen=True, eq=False)
class ParallelFit:
    """The inputs of a fit, as the processes read them from a folder; the names are those of `trainer.fit`."""

    pairs: Pairs
    n_users: int
    n_items: int
    config: LightGCNConfig
    seed: int
    validation: Pairs | None = None
    stop_after: int | None = None
    initial: tuple[Vectors, Vectors] | None = None
    device: str = "cpu"

    def save(self, folder: Path) -> None:
        """Write arrays that can be mapped into memory, and `fit.json`."""
        for name, pairs in (("pairs", self.pairs), ("validation", self.validation)):
            if pairs is not None:
                for field in _PAIRS:
                    np.save(folder / f"{name}_{field}.npy", getattr(pairs, field), allow_pickle=False)
        for name, array in zip(("users", "items"), self.initial or (), strict=False):
            np.save(folder / f"initial_{name}.npy", array, allow_pickle=False)
        document = {
            "n_users": self.n_users,
            "n_items": self.n_items,
            "config": self.config.model_dump(mode="json"),
            "seed": self.seed,
            "stop_after": self.stop_after,
            "device": self.device,
            "validation": self.validation is not None,
            "initial": self.initial is not None,
        }
        (folder / "fit.json").write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ParallelFit:
        """Read what `save` wrote; the arrays stay in their files, and processes of one machine share the memory."""
        document: dict[str, Any] = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        has_validation, has_initial = document.pop("validation"), document.pop("initial")

        def pairs(name: str) -> Pairs:
            return Pairs(*(_read(folder / f"{name}_{field}.npy") for field in _PAIRS))

        return cls(
            pairs=pairs("pairs"),
            validation=pairs("validation") if has_validation else None,
            initial=(_read(folder / "initial_users.npy"), _read(folder / "initial_items.npy")) if has_initial else None,
            config=LightGCNConfig.model_validate(document.pop("config")),
            **document,
        )


def fit_own_share(folder: Path, on_epoch: Callable[[EpochProgress], None]) -> None:
    """Fit the job in `folder` with the processes that torch.distributed has joined, and leave a part of the result."""
    job = ParallelFit.load(folder)
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    result = fit(
        job.pairs,
        job.n_users,
        job.n_items,
        job.config,
        seed=job.seed,
        validation=job.validation,
        stop_after=job.stop_after,
        initial=job.initial,
        device=job.device,
        share=shares(job.pairs, job.n_users, processes)[rank],
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
