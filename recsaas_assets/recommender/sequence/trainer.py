"""Fitting the sequence model: early stopping on validation NDCG@10, progress and cancellation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.adam import Adam
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.early_stopping import EarlyStopping, ValidationProbe
from recsaas_assets.recommender.lightgcn.graph import edge_weights
from recsaas_assets.recommender.lightgcn.propagation import Embeddings
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.trainer import EpochProgress, FitResult, TrainingCancelled
from recsaas_assets.recommender.sequence.encoder import Transformer
from recsaas_assets.recommender.sequence.histories import Histories
from recsaas_assets.recommender.sequence.objective import SequenceObjective, read, unit_vectors
from resources.release.sequence_encoder import SequenceEncoder
from resources.tenants.model_configs import SequenceConfig

_USERS_AT_ONCE = 512
_ATTENTION_AT_ONCE = 4_000_000
"""Numbers of one attention matrix while vectors are worked out: 16 MB."""


def fit_sequence(
    inputs: FitInputs,
    config: SequenceConfig,
    *,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit on pairs; the arguments, the order of events and the errors are those of `trainer.fit`.

    A user's vector is the state after the newest items; one without pairs has zeros, and so has an item without any.
    The vectors that `fold_in` holds are what the encoder reads: the item vectors at length 1.
    """
    inputs.require_pairs()
    started = time.perf_counter()
    model = _SequenceFit.start(inputs, config)
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
    return FitResult(vectors, tuple(history), best_epoch, time.perf_counter() - started, encoder=model.encoder())


@dataclass(eq=False)
class _SequenceFit:
    """Everything that an epoch reads and changes."""

    config: SequenceConfig
    histories: Histories
    objective: SequenceObjective
    embeddings: torch.Tensor
    transformer: Transformer
    optimisers: list[Adam]
    unknown: torch.Tensor
    """Rows of items without a pair."""
    generator: torch.Generator
    order: np.random.Generator
    readout: Readout
    probe: ValidationProbe | None
    stopping: EarlyStopping
    best_transformer: Transformer | None = None

    @classmethod
    def start(cls, inputs: FitInputs, config: SequenceConfig) -> _SequenceFit:
        pairs, n_users, n_items = inputs.pairs, inputs.n_users, inputs.n_items
        generator = torch.Generator().manual_seed(inputs.seed)
        known = torch.from_numpy(pairs.users_per_item(n_items) > 0)
        embeddings = torch.randn(n_items, config.learned_dim, generator=generator) * config.init_std * known[:, None]
        transformer = Transformer.start(config, generator)
        parameters = [embeddings, *transformer.parameters()]
        for parameter in parameters:
            parameter.requires_grad_()
        weights = edge_weights(pairs, "binary", config.half_life_days)
        return cls(
            config=config,
            histories=Histories(pairs, n_users, weights, padding=n_items),
            objective=SequenceObjective(pairs, n_items, config),
            embeddings=embeddings,
            transformer=transformer,
            optimisers=[Adam(each.data, beta1=config.beta1, beta2=config.beta2) for each in parameters],
            unknown=~known,
            generator=generator,
            order=np.random.default_rng(inputs.seed),
            readout=Readout.of(pairs, n_items, config),
            probe=ValidationProbe.of(inputs, limit=config.validation_users),
            stopping=EarlyStopping(patience=config.patience),
        )

    def epoch(self, decay: float, poll: Callable[[], None]) -> float:
        """One pass over all sequences, an optimiser step for each batch; returns the mean loss."""
        config, losses = self.config, []
        parameters = [self.embeddings, *self.transformer.parameters()]
        rates = [config.learning_rate, *[config.layer_learning_rate] * (len(parameters) - 1)]
        for batch in self.histories.batches(config.length, config.horizon, config.batch_size, self.order):
            poll()
            loss = self.objective.loss(self.embeddings, self.transformer, batch, self.generator)
            if loss is None:
                continue
            gradients = torch.autograd.grad(loss, parameters)
            for optimiser, gradient, rate in zip(self.optimisers, gradients, rates, strict=True):
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
            self.best_transformer = copy.deepcopy(self.transformer)
        return metrics

    def best(self, total: int) -> tuple[int, ModelVectors]:
        """The best epoch and its vectors; ``total``, the last, where none was measured.

        Raises:
            Diverged: they are not finite.
        """
        best_epoch, (users, items) = self.stopping.best or (total, self.vectors())
        stored_users, stored_items = self.readout(users, items)
        vectors = ModelVectors(
            users=stored_users,
            items=stored_items,
            fold_in=items.numpy(),
            start_users=users.numpy(),
            start_items=items.numpy(),
        )
        vectors.require_finite()
        return best_epoch, vectors

    def encoder(self) -> SequenceEncoder:
        """The transformer of the best epoch."""
        return (self.best_transformer or self.transformer).released(self.config.history_weight)

    @torch.no_grad()
    def vectors(self) -> Embeddings:
        """Unit vectors of all users, after their newest items, and of all items."""
        items = unit_vectors(self.embeddings.detach()).clone()
        items[self.unknown] = 0
        counts = self.histories.counts
        users = torch.zeros(len(counts), items.shape[1])
        active = np.flatnonzero(counts)
        by_length = active[np.argsort(counts[active], kind="stable")]  # little padding
        length, heads = self.config.length, self.config.heads
        step = min(_USERS_AT_ONCE, max(1, _ATTENTION_AT_ONCE // (length**2 * heads)))
        for start in range(0, len(by_length), step):
            rows = by_length[start : start + step]
            newest, count = self.histories.in_order(rows, length)
            states = self.transformer.states(read(items, newest), self.config.history_weight, generator=self.generator)
            users[torch.from_numpy(rows)] = states[torch.arange(len(rows)), count - 1]
        return users, items
