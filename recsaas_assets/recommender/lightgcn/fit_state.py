"""The state of a fit between two steps: all that has to be kept to go on from there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.adam import Adam
from recsaas_assets.recommender.fitting.checkpoint import (
    CannotResume,
    Checkpoint,
    Snapshot,
    fingerprint_of,
)
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.early_stopping import EarlyStopping
from recsaas_assets.recommender.lightgcn.objective import LossGradient
from recsaas_assets.recommender.lightgcn.user_share import UserShare
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import LightGCNConfig

HistoryEntry = tuple[int, int, float, float, dict[str, float]]
"""The fields of an `EpochProgress`."""


@dataclass(eq=False)
class FitState:
    """``epoch`` epochs are done, and ``step`` steps of the next one, with a sum of losses of ``loss_sum``."""

    users: torch.Tensor
    items: torch.Tensor
    optimisers: tuple[Adam, Adam]
    stopping: EarlyStopping
    generator: torch.Generator
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[HistoryEntry] = field(default_factory=list)
    _draws: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))

    @classmethod
    def start(
        cls, inputs: FitInputs, config: LightGCNConfig, *, device: str, share: UserShare | None = None
    ) -> FitState:
        """Embeddings of ``inputs.initial`` or random ones; ``share`` says of which users.

        Raises:
            InvalidInput: ``inputs.initial`` has the wrong shape.
        """
        generator = torch.Generator().manual_seed(inputs.seed)
        pairs, n_users, n_items = inputs.pairs, inputs.n_users, inputs.n_items
        started = []
        for side, (n_rows, pairs_per_row) in enumerate(
            ((n_users, pairs.items_per_user(n_users)), (n_items, pairs.users_per_item(n_items)))
        ):
            embeddings = torch.randn(n_rows, config.learned_dim, generator=generator).mul_(config.init_std)
            if inputs.initial is not None:
                _put_in(embeddings, inputs.initial[side])
            # A row without pairs has nothing to learn from; zero keeps its start noise out of the answers.
            embeddings[torch.from_numpy(pairs_per_row == 0)] = 0
            started.append(embeddings)
        # All are drawn and some are kept: the start does not depend on the number of processes.
        mine = started[0] if share is None else started[0][share.rows].clone()
        users, items = mine.to(device), started[1].to(device)
        first, second = (Adam(each, beta1=config.beta1, beta2=config.beta2) for each in (users, items))
        return cls(users, items, (first, second), EarlyStopping(patience=config.patience), generator)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the epoch's steps so far; 0 when it has none."""
        return self.loss_sum / max(self.step, 1)

    def mark_epoch(self) -> None:
        """Remember where the generator stands, for a resumed fit has to draw the epoch's batches again."""
        self._draws = self.generator.get_state()

    def take_step(self, found: LossGradient, learning_rate: float) -> None:
        """Move the embeddings by the gradient, which nothing else may have added to."""
        for optimiser, gradient in zip(self.optimisers, (found.users, found.items), strict=True):
            optimiser.step(gradient, learning_rate)
        self.step += 1
        self.loss_sum += found.loss

    def end_epoch(self, entry: HistoryEntry) -> None:
        """Count the epoch and start the next."""
        self.history.append(entry)
        self.epoch += 1
        self.step, self.loss_sum = 0, 0.0
        self.mark_epoch()

    def snapshot(self) -> Snapshot:
        """The state as it stands; it shares the memory of the embeddings, so write it before the next step."""
        best_epoch, best = self.stopping.best or (0, ())
        tensors = self._tensors() | {
            f"best_{side}": tensor for side, tensor in zip(("users", "items"), best, strict=False)
        }
        return Snapshot(
            arrays={name: tensor.cpu().numpy() for name, tensor in tensors.items()} | {"draws": self._draws.numpy()},
            document={
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "seconds": self.seconds,
                "optimiser_steps": self.optimisers[0].steps,
                "stopping": [self.stopping.previous, self.stopping.best_value, self.stopping.bad_looks, best_epoch],
                "history": self.history,
            },
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Become the state of the snapshot, which was taken of a fit with the same inputs."""
        arrays, document = snapshot.arrays, snapshot.document
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        self.generator.set_state(torch.from_numpy(arrays["draws"]))
        for optimiser in self.optimisers:
            optimiser.steps = document["optimiser_steps"]
        stopping = self.stopping
        stopping.previous, stopping.best_value, stopping.bad_looks, best_epoch = document["stopping"]
        if best_epoch:
            best = [torch.from_numpy(arrays[f"best_{side}"]).to(self.users.device) for side in ("users", "items")]
            stopping.best = (best_epoch, (best[0], best[1]))
        self.epoch, self.step = document["epoch"], document["step"]
        self.loss_sum, self.seconds = document["loss_sum"], document["seconds"]
        self.history = [(*entry,) for entry in document["history"]]

    def _tensors(self) -> dict[str, torch.Tensor]:
        found = {"users": self.users, "items": self.items}
        for side, optimiser in zip(("users", "items"), self.optimisers, strict=True):
            found |= {f"{side}_mean": optimiser.mean, f"{side}_square": optimiser.square}
        return found


def fit_fingerprint(inputs: FitInputs, config: LightGCNConfig, *, total: int, device: str) -> str:
    """SHA-256 (hex) of everything that decides the vectors of a fit, led by the version of the checkpoint's form."""
    validation, initial = inputs.validation, inputs.initial
    size = f"{inputs.n_users} {inputs.n_items} {inputs.seed} {total} {device} {torch.__version__}"
    parts: list[npt.NDArray[Any] | str] = [
        f"1 {size} {validation is None} {initial is None}",
        config.model_dump_json(),
    ]
    for each in (inputs.pairs, validation or Pairs.empty()):
        parts += [each.user_row, each.item_row, each.weight, each.age_days]
    return fingerprint_of([*parts, *(initial or ())])


def resume(state: FitState, checkpoint: Checkpoint, fingerprint: str) -> str:
    """Let ``state`` go on where the checkpoint stands, if there is one; returns why it cannot be used, or nothing."""
    try:
        snapshot = checkpoint.load(fingerprint)
    except CannotResume as error:
        return error.message
    if snapshot is not None:
        state.restore(snapshot)
    return ""


def _put_in(embeddings: torch.Tensor, known: Vectors) -> None:
    if known.shape != tuple(embeddings.shape):
        raise InvalidInput(
            f"The embeddings to start from have shape {known.shape}, this fit needs {tuple(embeddings.shape)}; "
            "start without them."
        )
    rows = torch.from_numpy(np.isfinite(known).all(axis=1))
    embeddings[rows] = torch.from_numpy(known)[rows]
