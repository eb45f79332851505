"""Training and full ranking on Gowalla, in the split of the LightGCN paper."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.fitting.adam import Adam
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.graph import bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.propagation import propagate
from recsaas_assets.recommender.lightgcn.sampled_softmax import SampledSoftmax
from recsaas_assets.recommender.lightgcn.trainer import fit
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg, recall
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from resources.base.errors import InvalidInput
from resources.tenants.model_configs import LightGCNConfig

PUBLISHED = {"recall@20": 0.1830, "ndcg@20": 0.1554}
"""LightGCN with three layers and 64 dimensions (He et al. 2020, table 3, with the evaluation of their repository)."""


@dataclass(frozen=True, eq=False)
class PaperSplit:
    """Pairs to train on and to rank, with rows as in the files."""

    train: Pairs
    test: Pairs
    n_users: int
    n_items: int

    @classmethod
    def read(cls, folder: Path) -> PaperSplit:
        """From `train.parquet` and `test.parquet` with the columns user and item.

        Raises:
            InvalidInput: a file is not there.
        """
        frames = []
        for name in ("train", "test"):
            path = folder / f"{name}.parquet"
            if not path.is_file():
                raise InvalidInput(f"{path} is not there; set RECSAAS_BENCH_DATA to the folder that holds gowalla/.")
            frames.append(pl.read_parquet(path))
        train, test = (Pairs.of(each["user"], each["item"]) for each in frames)
        both = pl.concat(frames)
        return cls(train, test, *(1 + int(np.max(both[side].to_numpy())) for side in ("user", "item")))


@dataclass(frozen=True)
class Run:
    """One fit and its full ranking. Seconds are wall clock but for ``cpu_seconds``, which is that of all threads."""

    seed: int
    steps: int
    metrics: dict[str, float]
    train_seconds: float
    train_cpu_seconds: float
    evaluate_seconds: float


def rank_everybody(split: PaperSplit, vectors: ModelVectors) -> dict[str, float]:
    """Recall@20 and NDCG@20 over all users with test pairs, their training items left out, all others ranked."""
    users = np.unique(split.test.user_row)
    everything = np.ones(split.n_items, dtype=bool)
    seen = split.train.csr(split.n_users, split.n_items)
    ranked, _ = VectorScorer(vectors.users, vectors.items, everything).top_k(users, 20, seen)
    relevance = mark_relevant(users, ranked, split.test, split.n_users, split.n_items)
    return {"recall@20": float(recall(relevance, 20).mean()), "ndcg@20": float(ndcg(relevance, 20).mean())}


def run_once(split: PaperSplit, config: LightGCNConfig, *, seed: int, stop_after: int | None = None) -> Run:
    """Fit on the training pairs, for ``stop_after`` steps of the schedule or all, and rank the test pairs."""
    cpu = time.process_time()
    fitted = fit(FitInputs(split.train, split.n_users, split.n_items, seed, stop_after=stop_after), config)
    cpu = time.process_time() - cpu
    started = time.perf_counter()
    metrics = rank_everybody(split, fitted.vectors)
    seconds = time.perf_counter() - started
    return Run(seed, fitted.best_epoch, metrics, fitted.seconds, cpu, seconds)


def first_to_publish(split: PaperSplit, config: LightGCNConfig, *, seed: int, every: int) -> Run | None:
    """The shortest fit, in multiples of ``every`` steps of the same schedule, that passes both published figures.

    Every length is a fit of its own, so that its seconds hold nothing but training; None when none does.
    """
    for steps in range(every, config.steps + 1, every):
        run = run_once(split, config, seed=seed, stop_after=steps)
        if all(run.metrics[name] > figure for name, figure in PUBLISHED.items()):
            return run
    return None


def step_milliseconds(split: PaperSplit, config: LightGCNConfig, *, seed: int) -> dict[str, float]:
    """Milliseconds of the parts of one step, each the fastest of a few, and of its dense products alone."""
    generator = torch.Generator().manual_seed(seed)
    weights = edge_weights(split.train, config.edge_weight)
    graph = bipartite(normalised_adjacency(split.train, weights, split.n_users, split.n_items))
    objective = SampledSoftmax(split.train, split.n_users, split.n_items, config)
    users, items = (torch.randn(n, config.learned_dim, generator=generator) for n in (split.n_users, split.n_items))
    optimisers = [Adam(each.clone(), beta1=config.beta1, beta2=config.beta2) for each in (users, items)]
    block, negatives = users[: config.user_block], items[: config.negatives]
    terms = block @ negatives.T
    n_blocks = split.n_users / config.user_block

    def dense_products() -> None:
        torch.mm(block, negatives.T)
        torch.mm(terms, negatives)
        torch.mm(terms.T, block)

    def adam() -> None:
        for optimiser, each in zip(optimisers, (users, items), strict=True):
            optimiser.step(each, config.learning_rate)

    propagation = 2 * _fastest(lambda: propagate(graph, users, items, config.layer_weights))
    positives = _fastest(lambda: (graph.user_item @ items, graph.item_user @ users))
    loss = _fastest(lambda: objective.loss_and_gradient(users, items, generator))
    return {
        "propagation": propagation,
        "positives": positives,
        "negatives_and_normalisation": loss - positives,
        "of_it_dense_products": n_blocks * _fastest(dense_products),
        "adam": _fastest(adam),
    }


def _fastest(work: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return round(1000 * min(seconds), 2)
