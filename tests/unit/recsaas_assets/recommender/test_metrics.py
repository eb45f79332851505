"""Metrics with expected values worked out by hand."""

import numpy as np
import pytest

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.ranking import (
    Relevance,
    coverage,
    mark_relevant,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
)

# User 0 likes items 1 and 4, user 1 likes item 0. The lists hold three places; user 1's list is one short.
TRUTH = Pairs.of([0, 0, 1], [1, 4, 0])
RANKED = np.array([[2, 1, 4], [0, 3, -1]], dtype=np.int32)


def _relevance() -> Relevance:
    return mark_relevant(np.array([0, 1], dtype=np.int32), RANKED, TRUTH, 2, 5)


def test_hits_ignore_padding() -> None:
    relevance = _relevance()
    assert relevance.hits.tolist() == [[False, True, True], [True, False, False]]
    assert relevance.targets.tolist() == [2, 1]


def test_padding_is_not_the_last_item_of_the_user_before() -> None:
    # Key of user 1, item -1 would be the key of user 0, last item, if padding were not left out.
    relevance = mark_relevant(
        np.array([1], dtype=np.int32), np.array([[-1]], dtype=np.int32), Pairs.of([0, 1], [4, 0]), 2, 5
    )
    assert relevance.hits.tolist() == [[False]]


def test_ndcg_by_hand() -> None:
    # User 0: (1/log2 3 + 1/log2 4) / (1 + 1/log2 3) = (0.63093 + 0.5) / 1.63093; user 1: first place, 1.
    assert ndcg(_relevance(), 3) == pytest.approx([0.693426, 1.0], abs=1e-6)


def test_ideal_dcg_is_cut_at_k() -> None:
    # At k = 1 the best possible DCG is 1 even for the user with two relevant items.
    assert ndcg(_relevance(), 1).tolist() == [0.0, 1.0]


def test_k_beyond_the_list_counts_what_is_there() -> None:
    assert ndcg(_relevance(), 10) == pytest.approx([0.693426, 1.0], abs=1e-6)


def test_recall_precision_and_reciprocal_rank_by_hand() -> None:
    relevance = _relevance()
    assert recall(relevance, 2).tolist() == [0.5, 1.0]
    assert precision(relevance, 2).tolist() == [0.5, 0.5]
    assert reciprocal_rank(relevance).tolist() == [0.5, 1.0]


def test_reciprocal_rank_without_a_hit_is_zero() -> None:
    assert reciprocal_rank(Relevance(np.zeros((1, 3), dtype=bool), np.array([1]))).tolist() == [0.0]


def test_coverage_counts_distinct_items_not_padding() -> None:
    assert coverage(RANKED, 3, 5) == 5 / 5
    assert coverage(RANKED, 1, 5) == 2 / 5
    assert coverage(RANKED, 3, 0) == 0.0


def test_novelty_by_hand() -> None:
    # (users + 1) / (3 + 1): item 0 known to all → 0 bit, item 1 to one → 1 bit, item 2 to nobody → 2 bits.
    ranked = np.array([[0, 2], [1, -1], [-1, -1]], dtype=np.int32)
    assert novelty(ranked, 2, np.array([3, 1, 0]), 3).tolist() == [1.0, 1.0, 0.0]
