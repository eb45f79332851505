"""The written-out gradient against torch autograd, through normalisation and propagation."""

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.graph import bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.propagation import normalise, propagate
from recsaas_assets.recommender.lightgcn.sampled_softmax import NegativeSampler, SampledSoftmax
from resources.tenants.model_configs import LightGCNConfig

N_USERS, N_ITEMS, DIM = 7, 5, 3


def _pairs() -> Pairs:
    rng = np.random.default_rng(3)
    # The last user and the last item have no pair at all.
    cells = rng.permutation((N_USERS - 1) * (N_ITEMS - 1))[:14]
    weights = rng.uniform(0.5, 5, len(cells))
    return Pairs.of(cells // (N_ITEMS - 1), cells % (N_ITEMS - 1), weights, rng.uniform(0, 40, len(cells)))


def _reference_loss(
    users: torch.Tensor, items: torch.Tensor, pairs: Pairs, config: LightGCNConfig, generator: torch.Generator
) -> torch.Tensor:
    """The loss as its docstring states it, term by term, left to autograd."""
    adjacency = normalised_adjacency(
        pairs, edge_weights(pairs, config.edge_weight, config.half_life_days), N_USERS, N_ITEMS
    )
    graph = torch.from_numpy(adjacency.toarray()).to(users.dtype)
    layers = [(users, items)]
    for _ in config.layer_weights[1:]:
        layers.append((graph @ layers[-1][1], graph.T @ layers[-1][0]))
    final_users = sum(w * u for w, (u, _) in zip(config.layer_weights, layers, strict=True))
    final_items = sum(w * i for w, (_, i) in zip(config.layer_weights, layers, strict=True))
    unit_users = final_users / final_users.norm(dim=1, keepdim=True).clamp_min(1e-12)
    unit_items = final_items / final_items.norm(dim=1, keepdim=True).clamp_min(1e-12)
    cosines = unit_users @ unit_items.T / config.temperature
    weights = edge_weights(pairs, config.positive_weight, config.half_life_days)
    totals = np.bincount(pairs.user_row, weights=weights, minlength=N_USERS)
    sampler = NegativeSampler(pairs, N_ITEMS, config.negative_exponent)
    loss = users.new_zeros(())
    for user in range(N_USERS):
        if user % config.user_block == 0:
            negatives = sampler.draw(config.negatives, generator)
        if totals[user] == 0:
            continue
        mine = pairs.user_row == user
        p = torch.from_numpy(weights[mine] * totals[user] ** (config.user_exponent - 1)).to(users.dtype)
        loss = loss - (p * cosines[user, pairs.item_row[mine].astype(np.int64)]).sum()
        loss = loss + p.sum() * torch.logsumexp(cosines[user, negatives], dim=0)
    return loss


@pytest.mark.parametrize(
    "config",
    [
        LightGCNConfig(dim=DIM, negatives=4, user_block=3),
        LightGCNConfig(dim=DIM, negatives=6, user_block=2, temperature=0.5, layer_weights=(0.0, 0.2, 0.3, 0.5)),
        LightGCNConfig(
            dim=DIM,
            negatives=3,
            edge_weight="log",
            positive_weight="sqrt",
            user_exponent=0.5,
            half_life_days=10,
            negative_exponent=1.0,
        ),
    ],
)
def test_gradient_equals_autograd(config: LightGCNConfig) -> None:
    pairs = _pairs()
    start = torch.Generator().manual_seed(1)
    users, items = torch.randn(N_USERS, DIM, generator=start), torch.randn(N_ITEMS, DIM, generator=start)
    graph = bipartite(
        normalised_adjacency(pairs, edge_weights(pairs, config.edge_weight, config.half_life_days), N_USERS, N_ITEMS)
    )
    objective = SampledSoftmax(pairs, N_USERS, N_ITEMS, config)
    final = propagate(graph, users, items, config.layer_weights)
    step = objective.loss_and_gradient(*final, torch.Generator().manual_seed(9))
    by_users, by_items = propagate(graph, step.users, step.items, config.layer_weights)

    exact_users, exact_items = users.double().requires_grad_(), items.double().requires_grad_()
    loss = _reference_loss(exact_users, exact_items, pairs, config, torch.Generator().manual_seed(9))
    loss.backward()  # type: ignore[no-untyped-call]

    assert exact_users.grad is not None and exact_items.grad is not None
    torch.testing.assert_close(by_users[:-1], exact_users.grad[:-1].float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(by_items[:-1], exact_items.grad[:-1].float(), rtol=1e-4, atol=1e-4)
    weights = edge_weights(pairs, config.positive_weight, config.half_life_days)
    totals = np.bincount(pairs.user_row, weights=weights)
    total = float((totals**config.user_exponent).sum())
    assert step.loss == pytest.approx(loss.item() / total, rel=1e-4)


def test_two_steps_at_the_same_point_have_the_same_gradient() -> None:
    """No gradient is left over from the step before: the bug a forgotten zero_grad makes."""
    pairs, config = _pairs(), LightGCNConfig(dim=DIM, negatives=4)
    objective = SampledSoftmax(pairs, N_USERS, N_ITEMS, config)
    users, items = torch.ones(N_USERS, DIM), torch.arange(N_ITEMS * DIM).reshape(N_ITEMS, DIM).float()
    first = objective.loss_and_gradient(users, items, torch.Generator().manual_seed(2))
    second = objective.loss_and_gradient(users, items, torch.Generator().manual_seed(2))
    assert torch.equal(first.users, second.users) and torch.equal(first.items, second.items)


def test_negatives_follow_the_degree_and_leave_out_items_without_users() -> None:
    # Item 0 has four users, item 1 has one, item 2 none: with exponent ½ the odds are 2 : 1 : 0.
    pairs = Pairs.of([0, 1, 2, 3, 0], [0, 0, 0, 0, 1])
    drawn = NegativeSampler(pairs, 3, 0.5).draw(30_000, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=3) / 30_000
    torch.testing.assert_close(shares, torch.tensor([2 / 3, 1 / 3, 0.0]), atol=0.01, rtol=0)


def test_normalise_keeps_a_zero_vector() -> None:
    unit, lengths = normalise(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert unit.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    assert lengths[0].item() == 5
