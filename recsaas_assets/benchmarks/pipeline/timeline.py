"""Seconds of each stage between the answer of an upload and the first recommendation made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsaas_assets.benchmarks.workplace import Workplace
from recsaas_assets.instance.home import dagster_instance
from resources.base.errors import NotReady
from resources.base.tenant import TenantId
from resources.release.pointer import POINTER
from resources.training.runs import list_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster._core.execution.stats import RunStepKeyStatsSnapshot

# The first step of each stage that is not raw; what starts before any of them belongs to raw.
_STAGES = ("features", "training_set", "lightgcn_model", "evaluation", "faiss_index", "release")


@dataclass(frozen=True, slots=True)
class Timeline:
    """Seconds of each stage, in order of time; they add up to `total`."""

    total: float
    stages: dict[str, float]


def timeline_of(place: Workplace, tenant: TenantId, *, answered: float, served: float) -> Timeline:
    """Follow the tenant's only run from `answered` to `served` (seconds since 1970).

    A stage lasts until the next one begins, its checks included. `wait_for_run` is the sensor's quiet time and tick;
    `run_start` the queue and a process that loads the code; `service` the time from the pointer's move to an answer.

    Raises:
        NotReady: the tenant did not have exactly one run: the figures would mean nothing.
    """
    runs = list_runs(place.db, tenant)
    if len(runs) != 1:
        raise NotReady(f"Tenant {tenant} had {len(runs)} runs instead of one; try again on a quieter machine.")
    with dagster_instance(place.settings) as instance:
        (record,) = instance.get_run_records(limit=1)
        begun = _starts(instance.get_run_step_stats(runs[0].run_id))
    moved = (Path(str(place.tenant(tenant).releases)) / POINTER).stat().st_mtime
    moments = {
        "wait_for_run": answered,
        "run_start": record.create_timestamp.timestamp(),
        "raw": min(begun.values()),
        **{stage: begun[stage] for stage in _STAGES},
        "service": moved,
    }
    ordered = sorted(moments, key=lambda name: moments[name])
    ends = [moments[name] for name in ordered[1:]] + [served]
    stages = {name: round(end - moments[name], 2) for name, end in zip(ordered, ends, strict=True)}
    return Timeline(round(served - answered, 2), stages)


def _starts(steps: Sequence[RunStepKeyStatsSnapshot]) -> dict[str, float]:
    return {step.step_key: step.start_time for step in steps if step.start_time is not None}
