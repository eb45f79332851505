"""The pairwise loss: its gradient, its batches, and what it leaves out."""

from functools import partial

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.lightgcn.bpr import Bpr
from recsaas_assets.recommender.lightgcn.graph import Bipartite, normalised_adjacency
from recsaas_assets.recommender.lightgcn.propagation import through_graph
from resources.tenants.model_configs import LightGCNConfig
from tests.unit.recsaas_assets.recommender.paper import paper_config

N_USERS, N_ITEMS, DIM = 6, 5, 3
CONFIG = LightGCNConfig(loss="bpr", dim=DIM, batch_size=4, l2=0.3, positive_weight="sqrt")


def _pairs() -> Pairs:
    rng = np.random.default_rng(3)
    cells = rng.permutation(N_USERS * N_ITEMS)[:11]
    return Pairs.of(cells // N_ITEMS, cells % N_ITEMS, rng.uniform(0.5, 5, len(cells)))


def _batches(pairs: Pairs, config: LightGCNConfig = CONFIG, seed: int = 1) -> list[partial]:  # type: ignore[type-arg]
    return list(
        Bpr(pairs, N_USERS, N_ITEMS, config).epoch(torch.Generator().manual_seed(seed), lambda: None)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("layer_weights", [(1.0,), (0.25, 0.25, 0.25, 0.25), (0.0, 0.4, 0.6)])
def test_gradient_through_the_graph_equals_finite_differences(layer_weights: tuple[float, ...]) -> None:
    """By every single coordinate of E0, in double precision: the loss, the propagation and the decay together.

    Other steps come first: nothing of their gradients may be left over, as it is without zero_grad.
    """
    pairs = _pairs()
    dense = torch.from_numpy(normalised_adjacency(pairs, pairs.weight, N_USERS, N_ITEMS).toarray()).double()
    graph = Bipartite(dense, dense.T)
    start = torch.Generator().manual_seed(1)
    users, items = (torch.randn(n, DIM, generator=start, dtype=torch.double) for n in (N_USERS, N_ITEMS))
    *earlier, step = _batches(pairs)
    for each in earlier:
        through_graph(graph, each, users, items, layer_weights)
    h = 1e-5
    found = through_graph(graph, step, users, items, layer_weights)
    for parameter, gradient in zip((users, items), (found.users, found.items), strict=True):
        for place in np.ndindex(*parameter.shape):
            ends = []
            for sign in (1, -1):
                parameter[place] += sign * h
                ends.append(through_graph(graph, step, users, items, layer_weights).loss)
                parameter[place] -= sign * h
            assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-8)


def test_loss_by_hand() -> None:
    """One triple: x = e_u·(e_i − e_j) = 2; ln(1 + e⁻²) + ½·0.3·(|u|² + |i|² + |j|²)."""
    users, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    step = partial(
        Bpr(Pairs.of([0], [0]), 1, 2, CONFIG).loss_and_gradient,
        user_rows=torch.tensor([0]),
        positive_rows=torch.tensor([0]),
        negative_rows=torch.tensor([1]),
        weights=torch.tensor([1.0]),
    )
    graph = Bipartite(torch.zeros(1, 2), torch.zeros(2, 1))
    found = through_graph(graph, step, users, items, (1.0,))
    assert found.loss == pytest.approx(np.log1p(np.exp(-2)) + 0.15 * (1 + 5 + 9))


def test_an_epoch_sees_every_pair_once_with_an_item_the_user_does_not_have() -> None:
    pairs = _pairs()
    batches = _batches(pairs)
    assert [len(each.keywords["user_rows"]) for each in batches] == [4, 4, 3]
    rows = {
        name: torch.cat([each.keywords[f"{name}_rows"] for each in batches]).tolist()
        for name in ("user", "positive", "negative")
    }
    known = set(zip(pairs.user_row.tolist(), pairs.item_row.tolist(), strict=True))
    seen = list(zip(rows["user"], rows["positive"], strict=True))
    assert len(seen) == len(pairs) and set(seen) == known
    assert not known & set(zip(rows["user"], rows["negative"], strict=True))


def test_the_generator_decides_the_batches() -> None:
    """Neither numpy's nor torch's global generator has a say."""
    first, again, other = (
        [each.keywords["negative_rows"].tolist() for each in _batches(_pairs(), seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_weights_have_mean_one_and_multiply_the_terms() -> None:
    pairs = Pairs.of([0, 1], [0, 0], [1.0, 9.0])
    weights = torch.cat([each.keywords["weights"] for each in _batches(pairs)])
    assert sorted(weights.tolist()) == pytest.approx([0.5, 1.5])


def test_a_user_with_every_item_is_left_out() -> None:
    pairs = Pairs.of([0, 0, 1], [0, 1, 0])
    batches = list(Bpr(pairs, 2, 2, CONFIG).epoch(torch.Generator(), lambda: None))
    assert [each.keywords["user_rows"].tolist() for each in batches] == [[1]]  # type: ignore[attr-defined]


def test_the_papers_configuration_round_trips() -> None:
    config = paper_config()
    assert LightGCNConfig.model_validate_json(config.model_dump_json()) == config
    assert (config.loss, config.batch_size, config.learning_rate, config.l2) == ("bpr", 2048, 1e-3, 1e-4)
