"""Intervals over users."""

from __future__ import annotations

import numpy as np
import pytest

from recsaas_assets.recommender.metrics.bootstrap import Resamples


def test_the_same_samples_each_time_and_every_sample_as_large_as_the_users() -> None:
    samples = Resamples(7, seed=1, n=20)
    first, second = (np.concatenate(list(samples.counts())) for _ in range(2))
    assert first.shape == (20, 7)
    assert (first.sum(axis=1) == 7).all()
    assert np.array_equal(first, second)
    assert not np.array_equal(first, np.concatenate(list(Resamples(7, seed=2, n=20).counts())))


def test_intervals_are_those_of_the_normal_approximation_on_many_users() -> None:
    values = np.random.default_rng(0).normal(3, 2, (4000, 1))
    ((low, high),) = Resamples(4000, seed=0).intervals(values)
    error = 1.96 * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.012)
    ((lower, higher),) = Resamples(4000, seed=0).intervals(values, 0.99)
    assert lower < low < high < higher


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    rng = np.random.default_rng(0)
    ours = rng.normal(0, 1, 500)
    theirs = ours + rng.normal(0.1, 0.01, 500)
    both = Resamples(500, seed=0).intervals(np.stack([ours, theirs, ours - theirs], axis=1))
    assert np.diff(both[2])[0] < np.diff(both[0])[0] / 10
    assert both[2][1] < 0


def test_blocks_do_not_change_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(Resamples(5, seed=3, n=9).counts()))
    monkeypatch.setattr("recsaas_assets.recommender.metrics.bootstrap._DRAWS_AT_ONCE", 10)
    assert len(blocks := list(Resamples(5, seed=3, n=9).counts())) == 5
    assert np.array_equal(np.concatenate(blocks), whole)


def test_nobody_and_nothing_give_zeros() -> None:
    assert Resamples(0, seed=0).intervals(np.zeros((0, 2))).tolist() == [[0, 0], [0, 0]]
    assert Resamples(3, seed=0).intervals(np.zeros((3, 0))).shape == (0, 2)
