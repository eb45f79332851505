"""What lists are made of, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recsaas_assets.recommender.metrics.bootstrap import Resamples
from recsaas_assets.recommender.metrics.exposure import (
    exposure,
    gini,
    head_items,
    mean_of_list,
    popularity_percentiles,
)


def test_gini_of_equal_and_of_one_for_all() -> None:
    shown = np.array([[2.0, 2, 2, 2], [0, 0, 0, 8], [0, 0, 1, 3], [0, 0, 0, 0]])
    # The third: sorted 0, 0, 1, 3, so 2·(3·1 + 4·3)/(4·4) − 5/4.
    assert gini(shown).tolist() == pytest.approx([0, 0.75, 0.625, 0])


def test_percentiles_count_ties_half_and_leave_unknown_items_out() -> None:
    # Known: 1, 1, 3, 5. An item of 1 has none below and two alike.
    assert popularity_percentiles(np.array([5, 1, 0, 1, 3])).tolist() == [0.875, 0.25, 0, 0.25, 0.625]
    assert popularity_percentiles(np.zeros(2, np.int64)).tolist() == [0, 0]


def test_head_is_a_fifth_of_the_known_items_rounded_up() -> None:
    assert np.nonzero(head_items(np.array([0, 3, 9, 1, 1, 2, 9])))[0].tolist() == [2, 6]


def test_mean_of_a_list_skips_empty_places() -> None:
    ranked = np.array([[0, 1, -1], [-1, -1, -1], [1, 1, 0]], np.int32)
    assert mean_of_list(ranked, 2, np.array([1.0, 0.0])).tolist() == [0.5, 0, 0]


def test_coverage_and_gini_with_an_interval_around_the_value() -> None:
    ranked = np.array([[0, 1], [0, 2], [0, -1], [0, 1]], np.int32)
    rankable = np.array([True, True, True, True, False])
    found = exposure(ranked, 2, rankable, Resamples(4, seed=0))
    assert found["coverage@2"][0] == 0.75
    assert found["gini@2"][0] == pytest.approx(2 * (2 * 1 + 3 * 2 + 4 * 4) / (4 * 7) - 5 / 4)
    for value, low, high in found.values():
        assert 0 <= low < value < high <= 1


def test_nothing_shown_is_zero() -> None:
    nothing = np.full((2, 3), -1, np.int32)
    found = exposure(nothing, 3, np.ones(4, bool), Resamples(2, seed=0))
    assert [each.tolist() for each in found.values()] == [[0, 0, 0]] * 3
