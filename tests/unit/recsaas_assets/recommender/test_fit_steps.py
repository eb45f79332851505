"""Whole steps of a fit: gradients by finite differences, and the optimiser against its paper."""

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.bpr import Bpr
from recsaas_assets.recommender.lightgcn.fit_state import FitState
from recsaas_assets.recommender.lightgcn.graph import bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.propagation import through_graph
from recsaas_assets.recommender.lightgcn.sampled_softmax import SampledSoftmax
from recsaas_assets.recommender.lightgcn.trainer import fit
from resources.tenants.model_configs import LightGCNConfig

N_USERS, N_ITEMS = 12, 9
SOFTMAX = LightGCNConfig(dim=4, steps=5, negatives=6, user_block=5, edge_weight="log", schedule="linear")
BPR = LightGCNConfig(dim=4, steps=3, loss="bpr", batch_size=16, l2=0.01, schedule="constant")


def _pairs() -> Pairs:
    rng = np.random.default_rng(2)
    cells = rng.permutation(N_USERS * N_ITEMS)[:40]
    return Pairs.of(cells // N_ITEMS, cells % N_ITEMS, rng.uniform(1, 5, len(cells)))


@pytest.mark.parametrize("config", [SOFTMAX, BPR], ids=lambda each: each.loss)
def test_a_fit_takes_the_steps_of_adam_along_fresh_gradients(config: LightGCNConfig) -> None:
    """Adam as its paper states it, in double precision.

    A gradient that is left over from the step before, as without zero_grad, ends elsewhere; so does another rate.
    """
    pairs = _pairs()
    weights = edge_weights(pairs, config.edge_weight)
    graph = bipartite(normalised_adjacency(pairs, weights, N_USERS, N_ITEMS))
    objective = (SampledSoftmax if config.loss == "softmax" else Bpr)(pairs, N_USERS, N_ITEMS, config)
    state = FitState.start(FitInputs(pairs, N_USERS, N_ITEMS, seed=3), config, device="cpu")
    parameters = [state.users.double(), state.items.double()]
    means, squares = ([torch.zeros_like(each) for each in parameters] for _ in range(2))
    taken = 0
    for epoch in range(config.steps):
        rate = config.learning_rate * (1 - epoch / config.steps if config.schedule == "linear" else 1)
        for step in objective.epoch(state.generator, lambda: None):
            users, items = (each.float() for each in parameters)
            found = through_graph(graph, step, users, items, config.layer_weights)
            taken += 1
            for n, gradient in enumerate((found.users.double(), found.items.double())):
                means[n] = config.beta1 * means[n] + (1 - config.beta1) * gradient
                squares[n] = config.beta2 * squares[n] + (1 - config.beta2) * gradient**2
                mean, square = means[n] / (1 - config.beta1**taken), squares[n] / (1 - config.beta2**taken)
                parameters[n] = parameters[n] - rate * mean / (square.sqrt() + 1e-8)

    vectors = fit(FitInputs(pairs, N_USERS, N_ITEMS, seed=3), config).vectors
    np.testing.assert_allclose(vectors.start_users, parameters[0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors.start_items, parameters[1].numpy(), rtol=1e-4, atol=1e-5)


def test_softmax_gradient_through_the_graph_equals_finite_differences() -> None:
    """Along random directions, in the single precision that the fit uses; autograd's is in test_sampled_softmax."""
    pairs = _pairs()
    config = SOFTMAX.model_copy(update={"temperature": 0.5, "positive_weight": "sqrt", "user_exponent": 0.5})
    graph = bipartite(normalised_adjacency(pairs, edge_weights(pairs, "log"), N_USERS, N_ITEMS))
    objective = SampledSoftmax(pairs, N_USERS, N_ITEMS, config)
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 4, generator=generator) for n in (N_USERS, N_ITEMS))

    def at(u: torch.Tensor, i: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
        (step,) = objective.epoch(torch.Generator().manual_seed(7), lambda: None)
        found = through_graph(graph, step, u, i, config.layer_weights)
        return found.loss, found.users, found.items

    at(users + 1, items - 1)  # nothing of an earlier step's gradient may be left over
    _, by_users, by_items = at(users, items)
    # The gradient is of the sum over users, the loss a mean.
    total = float((np.bincount(pairs.user_row, weights=edge_weights(pairs, "sqrt")) ** 0.5).sum())
    for _ in range(5):
        toward = [torch.randn(each.shape, generator=generator) for each in (users, items)]
        h = 1e-2
        up, down = (at(users + s * toward[0], items + s * toward[1])[0] for s in (h, -h))
        slope = float((by_users * toward[0]).sum() + (by_items * toward[1]).sum()) / total
        assert slope == pytest.approx((up - down) / (2 * h), rel=0.02, abs=2e-4)


def test_edge_weights_enter_the_graph_normalised_by_weighted_degrees() -> None:
    """R = [[1, 4], [0, 5]]: degrees 5, 5 and 1, 9."""
    pairs = Pairs.of([0, 0, 1], [0, 1, 1], [1.0, 4.0, 5.0])
    linear = normalised_adjacency(pairs, edge_weights(pairs, "linear"), 2, 2).toarray()
    np.testing.assert_allclose(linear, [[1 / np.sqrt(5), 4 / np.sqrt(45)], [0, 5 / np.sqrt(45)]], rtol=1e-6)
    np.testing.assert_allclose(edge_weights(pairs, "sqrt"), [1, 2, np.sqrt(5)], rtol=1e-6)
    np.testing.assert_allclose(edge_weights(pairs, "log"), np.log([2, 5, 6]), rtol=1e-6)
    assert edge_weights(pairs, "binary").tolist() == [1, 1, 1]
    aged = Pairs.of([0, 1], [0, 0], [4.0, 4.0], [0.0, 20.0])
    np.testing.assert_allclose(edge_weights(aged, "linear", half_life_days=10), [4, 1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["log", "linear"])
def test_edge_weights_change_the_fit(kind: str) -> None:
    plain, weighted = (
        fit(
            FitInputs(_pairs(), N_USERS, N_ITEMS, seed=0), SOFTMAX.model_copy(update={"edge_weight": each})
        ).vectors.items
        for each in ("binary", kind)
    )
    assert not np.allclose(plain, weighted)


def test_weights_of_zero_leave_an_empty_row() -> None:
    pairs = Pairs.of([0, 0, 1], [0, 1, 1])
    adjacency = normalised_adjacency(pairs, np.array([4, 0, 0], np.float32), 2, 2).toarray()
    assert adjacency.tolist() == [[1, 0], [0, 0]]


def test_a_pair_of_years_ago_keeps_a_weight() -> None:
    weights = edge_weights(Pairs.of([0, 0, 0], [0, 1, 2], age_days=[0, 200, 7300]), "log", half_life_days=5)
    np.testing.assert_allclose(weights, np.log(2) * np.array([1, 2.0**-40, 2.0**-40]), rtol=1e-6)
