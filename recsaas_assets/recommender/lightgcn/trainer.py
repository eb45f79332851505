"""Fitting LightGCN: early stopping on validation NDCG@10, progress, cancellation, and going on after a kill."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors, Vectors
from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
from recsaas_assets.recommender.lightgcn.bpr import Bpr
from recsaas_assets.recommender.lightgcn.early_stopping import ValidationProbe
from recsaas_assets.recommender.lightgcn.fit_state import FitState, fit_fingerprint, resume
from recsaas_assets.recommender.lightgcn.fold_in import fold_in_vectors
from recsaas_assets.recommender.lightgcn.graph import edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.objective import Objective
from recsaas_assets.recommender.lightgcn.propagation import propagate, through_graph
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.sampled_softmax import SampledSoftmax
from recsaas_assets.recommender.lightgcn.user_share import UserShare, everybody
from resources.base.errors import InvalidInput, RecsaasError
from resources.tenants.model_configs import LightGCNConfig

_SECONDS_BETWEEN_POLLS = 0.2


class TrainingCancelled(RecsaasError):
    """The caller asked the fit to stop; nothing of it is kept, except in a checkpoint."""

    code = "training_cancelled"


@dataclass(frozen=True)
class EpochProgress:
    """State after one epoch. ``metrics`` holds the validation figures at epochs where they were measured."""

    epoch: int
    total: int
    loss: float
    eta_seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FitResult:
    """The vectors of the best epoch. ``seconds`` is wall clock from first graph to last readout.

    ``resumed_at`` is the number of epochs that a checkpoint brought; ``not_resumed`` says why one was not used.
    """

    vectors: ModelVectors
    history: tuple[EpochProgress, ...]
    best_epoch: int
    seconds: float
    resumed_at: int = 0
    not_resumed: str = ""


def fit(
    pairs: Pairs,
    n_users: int,
    n_items: int,
    config: LightGCNConfig,
    *,
    seed: int,
    validation: Pairs | None = None,
    stop_after: int | None = None,
    initial: tuple[Vectors, Vectors] | None = None,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    share: UserShare | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit on ``pairs``; on a CPU the same inputs and ``seed`` give the same vectors, bit for bit.

    With ``validation`` (pairs in the same rows) the fit stops early and returns its best epoch. ``stop_after`` ends it
    at that epoch on the same learning rate schedule: a refit on more data for as long as validation said.

    Args:
        initial: E0 of users (n_users, t) and items (n_items, t) to start from; a row with NaN starts at random.
        device: ``cpu`` or ``cuda``. All draws are made on the CPU, so that both see the same; on CUDA sums are in no
            fixed order, so that two fits agree to rounding only.
        checkpoint: where to keep the state of a long fit, and to go on from.
        share: the users that this process holds, when several fit one model (see `data_parallel.py`); the vectors of
            users in the result are theirs alone.
        should_stop: asked before every epoch and, at most five times a second, within one.

    Raises:
        InvalidInput: there is no pair, or ``initial`` has the wrong shape.
        Diverged: the vectors are not finite.
        TrainingCancelled: ``should_stop`` said so.
    """
    if len(pairs) == 0:
        raise InvalidInput("There is no user × item pair to fit on; upload interactions with a positive signal.")
    started = time.perf_counter()
    weights = edge_weights(pairs, config.edge_weight, config.half_life_days)
    adjacency = normalised_adjacency(pairs, weights, n_users, n_items)
    share = share or everybody(n_users)
    graph = share.bipartite(adjacency, device=device)
    objective = _objective(pairs, n_users, n_items, config, device, share)
    readout = Readout.of(pairs, n_items, config)
    probe = ValidationProbe.of(
        validation, pairs, n_users, n_items, limit=config.validation_users, seed=seed, share=share
    )
    state = FitState.start(pairs, n_users, n_items, config, seed=seed, initial=initial, device=device, share=share)
    total = min(config.steps, stop_after or config.steps)
    not_resumed, fingerprint = "", ""
    if checkpoint is not None:
        fingerprint = fit_fingerprint(
            pairs, validation, config, n_users, n_items, seed=seed, total=total, initial=initial, device=device
        )
        not_resumed = resume(state, checkpoint, fingerprint)
    resumed_at, seconds_before, saved = state.epoch, state.seconds, started
    history = [EpochProgress(*entry) for entry in state.history]
    poll = _Poll(should_stop, state, total)

    while state.epoch < total and not state.stopping.exhausted:
        poll.ask()
        epoch = state.epoch + 1
        rate = config.learning_rate
        if config.schedule == "linear":
            rate *= 1 - state.epoch / config.steps
        state.mark_epoch()
        for step in islice(objective.epoch(state.generator, poll), state.step, None):
            if checkpoint is not None and time.perf_counter() - saved >= checkpoint.every_seconds:
                checkpoint.save(state.snapshot(), fingerprint)
                saved = time.perf_counter()
            found = through_graph(graph, step, state.users, state.items, config.layer_weights, poll)
            state.take_step(found, rate)
        metrics: dict[str, float] = {}
        if probe is not None and (epoch % config.evaluate_every == 0 or epoch == total):
            current = _read_out(readout, *propagate(graph, state.users, state.items, config.layer_weights, poll))
            metrics = probe.measure(*current, poll)
            state.stopping.look(epoch, metrics["ndcg@10"], (state.users.clone(), state.items.clone()))
        state.seconds = seconds_before + time.perf_counter() - started
        progress = EpochProgress(epoch, total, state.mean_loss, state.seconds / epoch * (total - epoch), metrics)
        state.end_epoch((progress.epoch, progress.total, progress.loss, progress.eta_seconds, progress.metrics))
        history.append(progress)
        if on_epoch is not None:
            on_epoch(progress)
    if checkpoint is not None and saved != started:
        checkpoint.save(state.snapshot(), fingerprint)

    best_epoch, (users, items) = state.stopping.best or (state.epoch, (state.users, state.items))
    stored_users, stored_items = _read_out(readout, *propagate(graph, users, items, config.layer_weights))
    degrees = np.bincount(pairs.item_row, weights=weights, minlength=n_items).astype(np.float32)
    start_users, start_items = users.cpu(), items.cpu()
    home_graph = graph if device == "cpu" else share.bipartite(adjacency)
    vectors = ModelVectors(
        users=stored_users,
        items=stored_items,
        fold_in=fold_in_vectors(home_graph, start_users, start_items, config.layer_weights, degrees),
        start_users=start_users.numpy(),
        start_items=start_items.numpy(),
    )
    vectors.require_finite()
    seconds = seconds_before + time.perf_counter() - started
    return FitResult(vectors, tuple(history), best_epoch, seconds, resumed_at, not_resumed)


class _Poll:
    """Asks the caller whether to stop, and raises when it says so."""

    def __init__(self, should_stop: Callable[[], bool] | None, state: FitState, total: int) -> None:
        self._should_stop, self._state, self._total = should_stop, state, total
        self._asked = time.monotonic()

    def __call__(self) -> None:
        """Ask, unless that was just done: the caller may look into a database to answer."""
        if time.monotonic() - self._asked >= _SECONDS_BETWEEN_POLLS:
            self.ask()

    def ask(self) -> None:
        """Ask in any case."""
        if self._should_stop is not None and self._should_stop():
            raise TrainingCancelled(f"Training was cancelled after {self._state.epoch} of {self._total} epochs.")
        self._asked = time.monotonic()


def _objective(
    pairs: Pairs, n_users: int, n_items: int, config: LightGCNConfig, device: str, share: UserShare
) -> Objective:
    if config.loss == "softmax":
        return SampledSoftmax(pairs, n_users, n_items, config, device=device, share=share)
    if share.processes > 1:
        raise InvalidInput("BPR trains in one process; choose the loss softmax, or one process.")
    return Bpr(pairs, n_users, n_items, config, device=device)


def _read_out(readout: Readout, users: torch.Tensor, items: torch.Tensor) -> tuple[Vectors, Vectors]:
    return readout(users.cpu(), items.cpu())
