"""New users through the graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.fold_in import fold_in_vectors, graph_part
from recsaas_assets.recommender.lightgcn.graph import bipartite, edge_weights, normalised_adjacency
from recsaas_assets.recommender.lightgcn.propagation import propagate
from recsaas_assets.recommender.lightgcn.trainer import fit
from resources.ranker.fold_in import folded_vector
from resources.tenants.model_configs import LightGCNConfig

WEIGHTS = (0.1, 0.3, 0.6)
PAIRS = Pairs.of([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 3], [1, 2, 3, 1, 1, 4])


def test_the_graph_part_is_what_propagation_gives_a_user_without_an_embedding_of_their_own() -> None:
    """The last user again, with a zero E0: propagation, by hand and dense, gives Σ_i r_i z_i over √d_u."""
    rng = np.random.default_rng(0)
    users, items = (torch.from_numpy(rng.normal(size=(n, 5)).astype(np.float32)) for n in (3, 4))
    weights = edge_weights(PAIRS, "linear")
    adjacency = normalised_adjacency(PAIRS, weights, 3, 4)
    degrees = np.bincount(PAIRS.item_row, weights=weights, minlength=4).astype(np.float32)
    z = graph_part(bipartite(adjacency), users, items, WEIGHTS, degrees)
    events = np.array([1, 1, 4], np.float32)  # of items 0, 2 and 3
    dense = torch.from_numpy(adjacency.toarray())
    layers = [(users, items)]
    for _ in WEIGHTS[1:]:
        before = layers[-1]
        layers.append((dense @ before[1], dense.T @ before[0]))
    expected = sum(weight * layer[0][2] for weight, layer in zip(WEIGHTS[1:], layers[1:], strict=True))
    assert events @ z[[0, 2, 3]] / np.sqrt(events.sum()) == pytest.approx(expected.numpy(), abs=1e-5)


def test_both_parts_count_alike() -> None:
    rng = np.random.default_rng(1)
    users, items = (torch.from_numpy(rng.normal(size=(n, 5)).astype(np.float32)) for n in (3, 4))
    graph = bipartite(normalised_adjacency(PAIRS, PAIRS.weight, 3, 4))
    degrees = np.bincount(PAIRS.item_row, weights=PAIRS.weight, minlength=4).astype(np.float32)
    z = graph_part(graph, users, items, WEIGHTS, degrees)
    final = propagate(graph, users, items, WEIGHTS)[1].numpy()
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (z, final)]
    assert fold_in_vectors(graph, users, items, WEIGHTS, degrees) == pytest.approx(unit[0] + unit[1], abs=1e-5)


def test_an_item_without_pairs_adds_nothing_and_one_layer_leaves_the_items_own_direction() -> None:
    items = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    graph = bipartite(normalised_adjacency(Pairs.of([0], [0]), np.ones(1, np.float32), 1, 2))
    folded = fold_in_vectors(graph, torch.ones(1, 2), items, (1.0,), np.array([1, 0], np.float32))
    assert folded.tolist() == [[1, 0], [0, 0]]


def test_one_event_puts_a_new_user_into_the_right_community() -> None:
    """Users and items of two communities: whoever touches one item gets the others of its community first."""
    pairs = Pairs.of(
        *zip(*((u, i) for u in range(20) for i in range(10) if u % 2 == i % 2 and (u + i) % 3), strict=True)
    )
    config = LightGCNConfig(dim=8, steps=30, negatives=16, popularity_weight=0.2)
    vectors = fit(FitInputs(pairs, 20, 10, seed=1), config).vectors
    for item in range(10):
        user = folded_vector(vectors.fold_in, np.array([item], np.int32), None, config.dim)
        assert user is not None
        best = np.argsort(-(vectors.items @ user))[:5]
        assert set(best % 2) == {item % 2}
