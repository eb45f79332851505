"""LightGCN trained the way reference implementations train it: the yardstick of `recsaas bench gowalla`.

BPR in batches of 2,048, a propagation over the whole graph of users and items in every step, gradients by autograd,
three layers with equal weights, Adam at 1e-3, L2 of 1e-4 on the batch (He et al. 2020, section 4.1.2).
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from scipy import sparse

from recsaas_assets.recommender.data.negatives import UserNegatives
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import edge_weights, normalised_adjacency

BATCH = 2048
EPOCHS = 1000
_LAYERS = 3


def seconds_per_step(pairs: Pairs, n_users: int, n_items: int, *, dim: int, steps: int, seed: int) -> float:
    """Wall clock of the median of ``steps`` steps, after one that warms up. Drawing the batch is not counted."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    graph = _square(pairs, n_users, n_items)
    table = torch.nn.Parameter(torch.randn(n_users + n_items, dim) * 0.1)
    optimiser = torch.optim.Adam([table], lr=1e-3)
    sampler = UserNegatives.of(pairs, n_users, n_items)
    seconds = []
    for _ in range(steps + 1):
        places = rng.integers(len(pairs), size=BATCH)
        drawn = sampler.draw(pairs.user_row[places], 1, rng)[:, 0]
        users = torch.from_numpy(pairs.user_row[places].astype(np.int64))
        positives, negatives = (
            torch.from_numpy(rows.astype(np.int64) + n_users) for rows in (pairs.item_row[places], drawn)
        )
        started = time.perf_counter()
        layers: list[torch.Tensor] = [table]
        for _ in range(_LAYERS):
            layers.append(torch.sparse.mm(graph, layers[-1]))
        final = torch.stack(layers).mean(dim=0)
        margins = (final[users] * (final[positives] - final[negatives])).sum(dim=1)
        squares = sum(table[rows].pow(2).sum() for rows in (users, positives, negatives))
        loss = torch.nn.functional.softplus(-margins).mean() + 1e-4 * squares / (2 * BATCH)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def steps_per_epoch(pairs: Pairs) -> int:
    """Batches that see every pair once; the last one may be short."""
    return -(-len(pairs) // BATCH)


def _square(pairs: Pairs, n_users: int, n_items: int) -> torch.Tensor:
    """[[0, N], [Nᵀ, 0]] as a sparse tensor."""
    half = normalised_adjacency(pairs, edge_weights(pairs, "binary"), n_users, n_items)
    whole = sparse.block_array([[None, half], [half.T, None]]).tocsr()
    with warnings.catch_warnings():
        # torch announces once per process that CSR is in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(whole.indptr.astype(np.int64)),
            torch.from_numpy(whole.indices.astype(np.int64)),
            torch.from_numpy(whole.data.astype(np.float32)),
            size=whole.shape,
            check_invariants=False,
        )
