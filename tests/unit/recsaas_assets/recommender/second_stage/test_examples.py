from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.second_stage.examples import Examples, drawn, examples_of
from recsaas_assets.recommender.second_stage.retrieval import Past, Retrieval
from recsaas_assets.recommender.second_stage.sides import Sides
from recsaas_assets.recommender.second_stage.trees import ndcg_of


def test_candidates_are_unseen_learned_items_labelled_by_what_came_later() -> None:
    users = np.array([[1.0], [1.0], [1.0]], np.float32)
    items = np.array([[5], [4], [3], [2], [1]], np.float32)
    vectors = ModelVectors(users=users, items=items, fold_in=items, start_users=users, start_items=items)
    # Item 4 has no history: nobody gets it. User 2 has none either, and user 1 later takes only what they have.
    history = Pairs.of([0, 0, 1, 1], [0, 1, 2, 3])
    later = Pairs.of([0, 0, 0, 1, 2], [3, 0, 4, 2, 1])
    sides = Sides(np.zeros((3, 0), np.float32), np.zeros((5, 0), np.float32), (), ())

    retrieval = Retrieval(Past(vectors, history, sides, None), 1)
    examples = examples_of(retrieval, Holdout(history, later, 3, 5), limit=10, seed=0)

    assert examples.groups.tolist() == [2]
    assert examples.features[:, 0].tolist() == [3, 2]
    assert examples.labels.tolist() == [0, 1]
    assert examples.targets.tolist() == [1]


def test_ndcg_counts_targets_that_were_no_candidates() -> None:
    examples = Examples(
        np.zeros((5, 1), np.float32), np.array([0, 1, 1, 0, 0], np.int8), np.array([2, 3]), np.array([1, 2])
    )

    found = ndcg_of(examples, np.array([1.0, 2.0, 0.0, 2.0, 1.0]))

    # The first user's target comes first; the second's only candidate comes third, of two targets.
    assert np.allclose(found, [1.0, 0.5 / (1 + 1 / np.log2(3))])
    assert examples.of_users(np.array([False, True])).labels.tolist() == [1, 0, 0]


def test_thinned_examples_keep_every_hit() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(400) % 20 == 7).astype(np.int8)
    examples = Examples(rng.random((400, 1), np.float32), labels, np.full(20, 20), np.ones(20, np.int64))

    thin = examples.thinned(0.4, seed=3)

    assert thin.labels.sum() == labels.sum() and 100 < len(thin.labels) < 250
    assert thin.groups.sum() == len(thin.labels) == len(thin.features)
    ends = np.cumsum(thin.groups)
    assert all(thin.labels[end - size : end].sum() == 1 for size, end in zip(thin.groups, ends, strict=True))
    assert np.array_equal(thin.features, examples.thinned(0.4, seed=3).features)


def test_no_more_users_are_drawn_than_wanted() -> None:
    targets = Pairs.of(np.repeat(np.arange(50), 2), np.tile([0, 1], 50))

    some = drawn(targets, 50, limit=10, seed=1)

    assert len(np.unique(some.user_row)) == 10 and len(some) == 20
    assert drawn(targets, 50, limit=50, seed=1) is targets
