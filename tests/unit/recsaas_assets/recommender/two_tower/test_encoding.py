"""Features as inputs of a tower."""

from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.data.feature_tables import FeatureTable
from recsaas_assets.recommender.two_tower.encoding import encode

ALL = np.ones(4, dtype=bool)


def table(*columns: list[float]) -> FeatureTable:
    values = np.array(columns, dtype=np.float32).T
    return FeatureTable(tuple(f"f{n}" for n in range(len(columns))), values)


def test_columns_have_mean_zero_and_deviation_one_on_a_damped_scale() -> None:
    encoded = encode(table([0, 9, 99, 99_999]), 4, ALL)
    assert encoded.shape == (4, 1)
    assert abs(float(encoded.mean())) < 1e-6
    assert abs(float(encoded.std(correction=0)) - 1) < 1e-5
    assert encoded[3, 0] < 2


def test_a_gap_is_the_mean_and_has_a_flag() -> None:
    nan = float("nan")
    encoded = encode(table([1, nan, 3, 5], [1, 2, 3, 4]), 4, ALL)
    assert encoded.shape == (4, 3)
    assert encoded[1, 0] == 0
    assert encoded[:, 2].tolist() == [0, 1, 0, 0]


def test_what_tells_no_rows_apart_is_left_out() -> None:
    nan = float("nan")
    assert encode(table([7, 7, 7, 7], [nan] * 4), 4, ALL).shape == (4, 0)
    assert encode(None, 4, ALL).shape == (4, 0)
    assert encode(table([1, 2, 3, 4]), 4, ~ALL).shape == (4, 0)


def test_the_scale_is_that_of_the_rows_the_fit_knows_and_outliers_are_cut() -> None:
    fitted = np.array([True, True, False, False])
    encoded = encode(table([1, 2, 1e30, -1e30]), 4, fitted)
    np.testing.assert_allclose(encoded[:2, 0], [-1, 1], atol=1e-5)
    assert encoded[2:, 0].tolist() == [5, -5]
