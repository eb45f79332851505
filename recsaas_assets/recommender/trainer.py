"""Fitting LightGCN: full-batch steps, early stopping on validation NDCG@10, progress and cancellation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from recsaas_assets.recommender.adam import Adam
from recsaas_assets.recommender.config import LightGCNConfig
from recsaas_assets.recommender.early_stopping import EarlyStopping, ValidationProbe
from recsaas_assets.recommender.fold_in import fold_in_vectors
from recsaas_assets.recommender.graph import bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.pairs import Pairs
from recsaas_assets.recommender.propagation import propagate
from recsaas_assets.recommender.readout import Readout
from recsaas_assets.recommender.sampled_softmax import SampledSoftmax
from recsaas_assets.recommender.vectors import ModelVectors
from resources.errors import InvalidInput, RecsaasError


class TrainingCancelled(RecsaasError):
    """The caller asked the fit to stop; nothing of it is kept."""

    code = "training_cancelled"


@dataclass(frozen=True)
class EpochProgress:
    """State after one step. ``metrics`` holds the validation figures at steps where they were measured."""

    epoch: int
    total: int
    loss: float
    eta_seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FitResult:
    """The vectors of the best epoch. ``seconds`` is wall clock from first graph to last readout."""

    vectors: ModelVectors
    history: tuple[EpochProgress, ...]
    best_epoch: int
    seconds: float


def fit(
    pairs: Pairs,
    n_users: int,
    n_items: int,
    config: LightGCNConfig,
    *,
    seed: int,
    validation: Pairs | None = None,
    stop_after: int | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit on ``pairs``; the same inputs and ``seed`` give the same vectors.

    With ``validation`` (pairs in the same rows) the fit stops early and returns its best epoch. ``stop_after`` ends it
    at that epoch on the same learning rate schedule: a refit on more data for as long as validation said.
    Raises InvalidInput without any pair, TrainingCancelled when ``should_stop`` says so between two steps.
    """
    if len(pairs) == 0:
        raise InvalidInput("There is no user × item pair to fit on; upload interactions with a positive signal.")
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    weights = edge_weights(pairs, config.edge_weight, config.half_life_days)
    graph = bipartite(normalised_adjacency(pairs, weights, n_users, n_items))
    objective = SampledSoftmax(pairs, n_users, n_items, config)
    readout = Readout.of(pairs, n_items, config)
    users = torch.randn(n_users, config.learned_dim, generator=generator).mul_(config.init_std)
    items = torch.randn(n_items, config.learned_dim, generator=generator).mul_(config.init_std)
    # A row without pairs has nothing to learn from; zero keeps its start noise out of the answers.
    users[torch.from_numpy(pairs.items_per_user(n_users) == 0)] = 0
    items[torch.from_numpy(pairs.users_per_item(n_items) == 0)] = 0
    optimisers = [Adam(each, beta1=config.beta1, beta2=config.beta2) for each in (users, items)]
    probe = ValidationProbe.of(validation, pairs, n_users, n_items, limit=config.validation_users, seed=seed)
    stopping = EarlyStopping(patience=config.patience)
    total = min(config.steps, stop_after or config.steps)
    history: list[EpochProgress] = []

    for epoch in range(1, total + 1):
        if should_stop is not None and should_stop():
            raise TrainingCancelled(f"Training was cancelled after {epoch - 1} of {total} epochs.")
        final = propagate(graph, users, items, config.layer_weights)
        step = objective.loss_and_gradient(*final, generator)
        rate = config.learning_rate * (1 - (epoch - 1) / config.steps)
        for optimiser, gradient in zip(
            optimisers, propagate(graph, step.users, step.items, config.layer_weights), strict=True
        ):
            optimiser.step(gradient, rate)
        metrics: dict[str, float] = {}
        if probe is not None and (epoch % config.evaluate_every == 0 or epoch == total):
            current = readout(*propagate(graph, users, items, config.layer_weights))
            metrics = {"ndcg@10": probe.ndcg_at_10(*current)}
            stopping.look(epoch, metrics["ndcg@10"], (users.clone(), items.clone()))
        elapsed = time.perf_counter() - started
        progress = EpochProgress(epoch, total, step.loss, elapsed / epoch * (total - epoch), metrics)
        history.append(progress)
        if on_epoch is not None:
            on_epoch(progress)
        if stopping.exhausted:
            break
    best_epoch, (users, items) = stopping.best or (total, (users, items))
    stored_users, stored_items = readout(*propagate(graph, users, items, config.layer_weights))
    degrees = np.bincount(pairs.item_row, weights=weights, minlength=n_items).astype(np.float32)
    vectors = ModelVectors(
        users=stored_users,
        items=stored_items,
        fold_in=fold_in_vectors(graph, users, items, config.layer_weights, degrees),
        start_users=users.numpy(),
        start_items=items.numpy(),
    )
    return FitResult(vectors, tuple(history), best_epoch, time.perf_counter() - started)
