"""Tenants backfilled side by side by the command, in processes that share one installation."""

from __future__ import annotations

import pytest

from recsaas_assets.benchmarks.pipeline.tenants import measure
from recsaas_assets.benchmarks.workplace import workplace


@pytest.mark.e2e
def test_three_tenants_at_a_time_go_live_and_nothing_mixes() -> None:
    with workplace() as place:
        result = measure(place, count=3, jobs=3, interactions=600)
    assert result.failures == {}
    assert result.passed, result
    assert result.files_looked_at >= 3 * 10
