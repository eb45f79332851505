"""Fitting the two-tower model: blocks of users, early stopping on validation NDCG@10, progress and cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.feature_tables import Features, FeatureTable
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.adam import Adam
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.early_stopping import EarlyStopping, ValidationProbe
from recsaas_assets.recommender.lightgcn.propagation import Embeddings
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, TrainingCancelled
from recsaas_assets.recommender.two_tower.encoding import encode
from recsaas_assets.recommender.two_tower.objective import PairBlocks, TwoTowerObjective, shuffled_blocks
from recsaas_assets.recommender.two_tower.towers import History, Layer, Towers
from resources.tenants.model_configs import TwoTowerConfig


def fit_two_tower(
    inputs: FitInputs,
    config: TwoTowerConfig,
    *,
    features: Features | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit on pairs and ``features``; the arguments, the order of events and the errors are those of `trainer.fit`.

    A user or item without pairs has the vector that its features give, or zero where nothing is known of it. The
    vectors to fold new users in with are the item vectors: the sum over a user's events points to the mean of what the
    user met, which is the tower's answer without its hidden layer.
    """
    inputs.require_pairs()
    started = time.perf_counter()
    model = _Fit.start(inputs, config, features)
    total = inputs.epochs(config.steps)
    history: list[EpochProgress] = []
    for epoch in range(1, total + 1):

        def poll(done: int = epoch - 1) -> None:
            if should_stop is not None and should_stop():
                raise TrainingCancelled(f"Training was cancelled after {done} of {total} epochs.")

        poll()
        loss = model.epoch(1 - (epoch - 1) / config.steps, poll)
        due = epoch % config.evaluate_every == 0 or epoch == total
        metrics = model.measure(epoch, poll) if due else {}
        elapsed = time.perf_counter() - started
        progress = EpochProgress(epoch, total, loss, elapsed / epoch * (total - epoch), metrics)
        history.append(progress)
        if on_epoch is not None:
            on_epoch(progress)
        if model.stopping.exhausted:
            break
    best_epoch, vectors = model.best(total)
    return FitResult(vectors, tuple(history), best_epoch, time.perf_counter() - started)


@dataclass(eq=False)
class _Fit:
    """Everything that an epoch reads and changes."""

    config: TwoTowerConfig
    pairs: PairBlocks
    objective: TwoTowerObjective
    towers: Towers
    optimisers: list[Adam]
    rates: list[float]
    user_inputs: torch.Tensor
    item_inputs: torch.Tensor
    unknown: tuple[torch.Tensor, torch.Tensor]
    """Rows of users and of items without a pair and without any feature."""
    generator: torch.Generator
    readout: Readout
    probe: ValidationProbe | None
    stopping: EarlyStopping
    best_ids: Embeddings | None = None
    """The learned parameters of users and items at the best epoch that was measured."""

    @classmethod
    def start(cls, inputs: FitInputs, config: TwoTowerConfig, features: Features | None) -> _Fit:
        pairs, n_users, n_items = inputs.pairs, inputs.n_users, inputs.n_items
        generator = torch.Generator().manual_seed(inputs.seed)
        with_pairs = pairs.items_per_user(n_users) > 0, pairs.users_per_item(n_items) > 0
        tables = (None, None) if features is None else (features.users, features.items)
        encoded = [encode(table, len(known), known) for table, known in zip(tables, with_pairs, strict=True)]
        dim = config.learned_dim
        ids = [
            torch.randn(len(known), dim, generator=generator) * config.init_std * torch.from_numpy(known)[:, None]
            for known in with_pairs
        ]
        layers = [
            Layer.start(width, config.hidden, dim, std=config.init_std, generator=generator)
            for width in (2 * dim + encoded[0].shape[1], dim + encoded[1].shape[1])
        ]
        towers = Towers(ids[0], ids[1], layers[0], layers[1], config.feature_weight)
        unknown = [_unknown(table, known) for table, known in zip(tables, with_pairs, strict=True)]
        for parameter in towers.parameters():
            parameter.requires_grad_()
        n_layer_parameters = len(list(towers.parameters())) - 2
        return cls(
            config=config,
            pairs=PairBlocks(pairs, n_users, config),
            objective=TwoTowerObjective(pairs, n_items, config, user_inputs=encoded[0], item_inputs=encoded[1]),
            towers=towers,
            optimisers=[Adam(each.data, beta1=config.beta1, beta2=config.beta2) for each in towers.parameters()],
            rates=[config.learning_rate] * 2 + [config.layer_learning_rate] * n_layer_parameters,
            user_inputs=encoded[0],
            item_inputs=encoded[1],
            unknown=(unknown[0], unknown[1]),
            generator=generator,
            readout=Readout.of(pairs, n_items, config),
            probe=ValidationProbe.of(inputs, limit=config.validation_users),
            stopping=EarlyStopping(patience=config.patience),
        )

    def epoch(self, decay: float, poll: Callable[[], None]) -> float:
        """One pass over all users with pairs, an optimiser step for each block; returns the mean loss."""
        losses = []
        for users in shuffled_blocks(self.pairs.active, self.config.user_block, self.generator):
            poll()
            loss = self.objective.loss(self.towers, self.pairs.of(users), self.generator)
            if loss is None:
                continue
            gradients = torch.autograd.grad(loss, list(self.towers.parameters()))
            for optimiser, gradient, rate in zip(self.optimisers, gradients, self.rates, strict=True):
                optimiser.step(gradient, rate * decay)
            losses.append(float(loss.detach()))
        return float(np.mean(losses)) if losses else 0.0

    def measure(self, epoch: int, poll: Callable[[], None]) -> dict[str, float]:
        """The validation figures, kept for early stopping; empty when there is nobody to measure on."""
        if self.probe is None:
            return {}
        current = self.vectors()
        metrics = self.probe.measure(*self.readout(*current), poll)
        self.stopping.look(epoch, metrics["ndcg@10"], current)
        if self.stopping.best is not None and self.stopping.best[0] == epoch:
            self.best_ids = self.towers.user_ids.detach().clone(), self.towers.item_ids.detach().clone()
        return metrics

    def best(self, total: int) -> tuple[int, ModelVectors]:
        """The best epoch and its vectors; ``total``, the last, where none was measured.

        Raises:
            Diverged: they are not finite.
        """
        best_epoch, final = self.stopping.best or (total, self.vectors())
        start_users, start_items = self.best_ids or (self.towers.user_ids.detach(), self.towers.item_ids.detach())
        stored_users, stored_items = self.readout(*final)
        vectors = ModelVectors(
            users=stored_users,
            items=stored_items,
            fold_in=final[1].numpy(),
            start_users=start_users.numpy(),
            start_items=start_items.numpy(),
        )
        vectors.require_finite()
        return best_epoch, vectors

    @torch.no_grad()
    def vectors(self) -> Embeddings:
        """Unit vectors of all users, with their whole history, and of all items."""
        towers, size = self.towers, self.config.user_block
        blocks = []
        for start in range(0, len(towers.user_ids), size):
            rows = np.arange(start, min(start + size, len(towers.user_ids)))
            block = self.pairs.of(rows)
            history = History.of(block.owner, block.items, block.weights, len(rows))
            blocks.append(towers.users(towers.user_ids[block.users], history, self.user_inputs[block.users]))
        users, items = torch.cat(blocks), towers.items(towers.item_ids, self.item_inputs)
        users[self.unknown[0]], items[self.unknown[1]] = 0, 0
        return users, items


def _unknown(table: FeatureTable | None, with_pairs: npt.NDArray[np.bool_]) -> torch.Tensor:
    if table is None:
        return torch.from_numpy(~with_pairs)
    return torch.from_numpy(~with_pairs & np.isnan(table.values).all(axis=1))
