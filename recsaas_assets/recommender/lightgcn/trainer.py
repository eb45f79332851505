"""Fitting LightGCN: early stopping on validation NDCG@10, progress, cancellation, and going on after a kill."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.bpr import Bpr
from recsaas_assets.recommender.lightgcn.early_stopping import ValidationProbe
from recsaas_assets.recommender.lightgcn.fit_state import FitState, fit_fingerprint, resume
from recsaas_assets.recommender.lightgcn.fold_in import fold_in_vectors
from recsaas_assets.recommender.lightgcn.graph import Bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.objective import Objective
from recsaas_assets.recommender.lightgcn.propagation import propagate, through_graph
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.sampled_softmax import SampledSoftmax
from recsaas_assets.recommender.lightgcn.user_share import UserShare, everybody
from resources.base.errors import InvalidInput, RecsaasError
from resources.release.sequence_encoder import SequenceEncoder
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
    ``encoder`` is that of a sequence model, which makes a user's vector of rows of ``vectors.fold_in``.
    """

    vectors: ModelVectors
    history: tuple[EpochProgress, ...]
    best_epoch: int
    seconds: float
    resumed_at: int = 0
    not_resumed: str = ""
    encoder: SequenceEncoder | None = None


def fit(
    inputs: FitInputs,
    config: LightGCNConfig,
    *,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    share: UserShare | None = None,
    on_epoch: Callable[[EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Fit LightGCN; on a CPU the same inputs and configuration give the same vectors, bit for bit.

    Args:
        device: ``cpu`` or ``cuda``. All draws are made on the CPU, so that both see the same; on CUDA sums are in no
            fixed order, so that two fits agree to rounding only.
        checkpoint: where to keep the state of a long fit, and to go on from.
        share: the users that this process holds, when several fit one model (see `data_parallel/processes.py`);
            the vectors of users in the result are theirs alone.
        should_stop: asked before every epoch and, at most five times a second, within one.

    Raises:
        InvalidInput: there is no pair, or ``inputs.initial`` has the wrong shape.
        Diverged: the vectors are not finite.
        TrainingCancelled: ``should_stop`` said so.
    """
    inputs.require_pairs()
    running = _Fit.start(inputs, config, device, share or everybody(inputs.n_users))
    state, saves = running.state, None
    not_resumed = ""
    if checkpoint is not None:
        fingerprint = fit_fingerprint(inputs, config, total=running.total, device=device)
        not_resumed = resume(state, checkpoint, fingerprint)
        saves = _Saves(checkpoint, fingerprint, running.started)
    running.seconds_before, resumed_at = state.seconds, state.epoch
    history = [EpochProgress(*entry) for entry in state.history]
    poll = _Poll(should_stop, state, running.total)
    while running.goes_on:
        poll.ask()
        progress = running.epoch(poll, saves)
        history.append(progress)
        if on_epoch is not None:
            on_epoch(progress)
    if saves is not None:
        saves.end(state)
    best_epoch, vectors = running.best(device)
    return FitResult(vectors, tuple(history), best_epoch, running.seconds, resumed_at, not_resumed)


@dataclass(eq=False)
class _Fit:
    """A fit that is going on: what stays the same in all epochs, and the state that changes.

    ``weights`` (n_pairs,) are those of the edges, ``adjacency`` (n_users, n_items) is normalised.
    """

    inputs: FitInputs
    config: LightGCNConfig
    share: UserShare
    weights: npt.NDArray[np.float32]
    adjacency: sparse.csr_array
    graph: Bipartite
    objective: Objective
    readout: Readout
    probe: ValidationProbe | None
    state: FitState
    total: int
    started: float
    seconds_before: float = 0.0
    """What the process took that a resumed fit began in."""

    @classmethod
    def start(cls, inputs: FitInputs, config: LightGCNConfig, device: str, share: UserShare) -> "_Fit":
        started = time.perf_counter()
        pairs, n_users, n_items = inputs.pairs, inputs.n_users, inputs.n_items
        weights = edge_weights(pairs, config.edge_weight, config.half_life_days)
        adjacency = normalised_adjacency(pairs, weights, n_users, n_items)
        return cls(
            inputs=inputs,
            config=config,
            share=share,
            weights=weights,
            adjacency=adjacency,
            graph=share.bipartite(adjacency, device=device),
            objective=_objective(inputs, config, device, share),
            readout=Readout.of(pairs, n_items, config),
            probe=ValidationProbe.of(inputs, limit=config.validation_users, share=share),
            state=FitState.start(inputs, config, device=device, share=share),
            total=inputs.epochs(config.steps),
            started=started,
        )

    @property
    def goes_on(self) -> bool:
        return self.state.epoch < self.total and not self.state.stopping.exhausted

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def epoch(self, poll: "_Poll", saves: "_Saves | None") -> EpochProgress:
        """Take the steps of one epoch, and measure where one is due."""
        state, config = self.state, self.config
        epoch = state.epoch + 1
        rate = config.learning_rate
        if config.schedule == "linear":
            rate *= 1 - state.epoch / config.steps
        state.mark_epoch()
        for step in islice(self.objective.epoch(state.generator, poll), state.step, None):
            if saves is not None:
                saves.when_due(state)
            found = through_graph(self.graph, step, state.users, state.items, config.layer_weights, poll)
            state.take_step(found, rate)
        metrics = self._measure(epoch, poll)
        state.seconds = self.seconds
        progress = EpochProgress(
            epoch, self.total, state.mean_loss, state.seconds / epoch * (self.total - epoch), metrics
        )
        state.end_epoch((progress.epoch, progress.total, progress.loss, progress.eta_seconds, progress.metrics))
        return progress

    def _measure(self, epoch: int, poll: "_Poll") -> dict[str, float]:
        """The validation figures, kept for early stopping; empty at an epoch that is not measured."""
        if self.probe is None or not (epoch % self.config.evaluate_every == 0 or epoch == self.total):
            return {}
        users, items = self.state.users, self.state.items
        current = self._read_out(*propagate(self.graph, users, items, self.config.layer_weights, poll))
        metrics = self.probe.measure(*current, poll)
        self.state.stopping.look(epoch, metrics["ndcg@10"], (users.clone(), items.clone()))
        return metrics

    def best(self, device: str) -> tuple[int, ModelVectors]:
        """The best epoch and its vectors.

        Raises:
            Diverged: they are not finite.
        """
        state, layer_weights = self.state, self.config.layer_weights
        best_epoch, (users, items) = state.stopping.best or (state.epoch, (state.users, state.items))
        stored_users, stored_items = self._read_out(*propagate(self.graph, users, items, layer_weights))
        n_items = self.inputs.n_items
        degrees = np.bincount(self.inputs.pairs.item_row, weights=self.weights, minlength=n_items).astype(np.float32)
        start_users, start_items = users.cpu(), items.cpu()
        home_graph = self.graph if device == "cpu" else self.share.bipartite(self.adjacency)
        vectors = ModelVectors(
            users=stored_users,
            items=stored_items,
            fold_in=fold_in_vectors(home_graph, start_users, start_items, layer_weights, degrees),
            start_users=start_users.numpy(),
            start_items=start_items.numpy(),
        )
        vectors.require_finite()
        return best_epoch, vectors

    def _read_out(self, users: torch.Tensor, items: torch.Tensor) -> tuple[Vectors, Vectors]:
        return self.readout(users.cpu(), items.cpu())


class _Saves:
    """Writes the state of a fit into its checkpoint: when that is due, and at the end of a fit that has written one."""

    def __init__(self, checkpoint: Checkpoint, fingerprint: str, started: float) -> None:
        self._checkpoint, self._fingerprint = checkpoint, fingerprint
        self._written, self._last = False, started

    def when_due(self, state: FitState) -> None:
        if time.perf_counter() - self._last >= self._checkpoint.every_seconds:
            self._checkpoint.save(state.snapshot(), self._fingerprint)
            self._written, self._last = True, time.perf_counter()

    def end(self, state: FitState) -> None:
        if self._written:
            self._checkpoint.save(state.snapshot(), self._fingerprint)


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


def _objective(inputs: FitInputs, config: LightGCNConfig, device: str, share: UserShare) -> Objective:
    pairs, n_users, n_items = inputs.pairs, inputs.n_users, inputs.n_items
    if config.loss == "softmax":
        return SampledSoftmax(pairs, n_users, n_items, config, device=device, share=share)
    if share.processes > 1:
        raise InvalidInput("BPR trains in one process; choose the loss softmax, or one process.")
    return Bpr(pairs, n_users, n_items, config, device=device)
