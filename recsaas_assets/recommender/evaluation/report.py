"""The evaluation report: what it holds. How a person reads it is in `report_text`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

MODEL = "lightgcn"
POPULARITY = "popularity"
DECIDING = "ndcg@10"
"""The metric by which the gate decides; the others are reported."""
DUEL_METRICS = (DECIDING, "recall@20")
"""In these nothing that was measured may be surely ahead of what is served."""

Figures = dict[str, float]
Intervals = dict[str, tuple[float, float]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class SplitSummary(_Frozen):
    """The test period, and how many of its users and pairs each figure speaks about."""

    evaluable: bool
    reason: str = ""
    validation_start: datetime | None = None
    test_start: datetime | None = None
    live_until: datetime | None = None
    train_interactions: int = 0
    validation_interactions: int = 0
    test_interactions: int = 0
    test_users: int = 0
    evaluated_users: int = 0
    """Users behind the main figures: known before the test, with at least one known item they had not seen."""
    new_users: int = 0
    """Test users without any pair before the test: measured in the cohort ``new_users`` only."""
    users_without_target: int = 0
    """Known test users who interacted with nothing but seen or cold items: not in the main figures."""
    test_pairs: int = 0
    evaluated_pairs: int = 0
    repeat_pairs: int = 0
    """Test pairs the user had before: in the cohort ``seen_included`` only."""
    cold_item_pairs: int = 0
    """Test pairs whose item had no interaction before the test: counted in the cohort ``cold_items``."""
    cold_items: int = 0


class Difference(_Frozen):
    """Mean over users of one model's metric minus another's, with the paired bootstrap interval at ``level``."""

    value: float
    low: float
    high: float
    level: float = 0.95
    users: int
    reference: float
    """Mean of the model that is subtracted."""

    @property
    def worse(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    @property
    def reversed(self) -> Difference:
        """The other model's metric minus this one's."""
        return self.model_copy(
            update={
                "value": -self.value,
                "low": -self.high,
                "high": -self.low,
                "reference": self.reference + self.value,
            }
        )


class Duel(_Frozen):
    """One model's metric minus another's, on the test period."""

    ours: str
    theirs: str
    metric: str
    difference: Difference


class Cohort(_Frozen):
    """Figures for a part of the test users or of their targets, per model."""

    about: str
    users: int
    pairs: int
    models: dict[str, Figures] = {}
    intervals: dict[str, Intervals] = {}


class Comparison(_Frozen):
    """The candidate against the live release, and popularity, on interactions that none of them has seen.

    ``holdout`` is "since_live" (later than everything the live release has seen: its stored vectors answer, the
    candidate is fitted on what the release could have seen) or "test" (hardly anything is newer than the release: its
    recipe is fitted again on what came before the test period). ``same_recipe``: then both are the same fit.
    ``live_start``: how the live release was trained; its recipe is that of a full fit.
    """

    release: str
    holdout: Literal["since_live", "test"]
    since: datetime
    same_recipe: bool = False
    live_start: Literal["full", "incremental"] = "full"
    users: int
    models: dict[str, Figures]
    intervals: dict[str, Intervals]
    differences: dict[str, Difference]
    """By metric: candidate minus live."""
    cohorts: dict[str, Difference]
    """By cohort: candidate minus live, by the deciding metric."""
    against_popularity: Difference


class LiveSummary(_Frozen):
    """The release that was live when the report was made.

    ``measured``: its own gate had figures. ``second_stage``: what its second stage added to its NDCG@10 on its own test
    period, None without one. ``damaged``: it cannot be read, so it answers nobody.
    """

    version: str
    algorithm: str = ""
    measured: bool = True
    second_stage: float | None = None
    damaged: bool = False


class EvaluationReport(_Frozen):
    """All figures of one evaluation. ``intervals`` mirrors ``models`` with 95 % bootstrap intervals over users."""

    model: str = MODEL
    """The model under test; every other one in ``models`` is what it is measured against."""
    model_digest: str = ""
    """`TrainedModel.digest` of the model under test."""
    tables_digest: str = ""
    """`ItemModels.digest` of the item–item models beside it."""
    split: SplitSummary
    models: dict[str, Figures] = {}
    intervals: dict[str, Intervals] = {}
    leads: dict[str, Difference] = {}
    """By baseline: the model minus the baseline, by the deciding metric."""
    duels: tuple[Duel, ...] = ()
    """Every model minus every later one, by each of `DUEL_METRICS`."""
    contender: str = ""
    """The item–item model that is surely ahead of the model under test; empty when there is none (`served.py`)."""
    contender_comparison: Comparison | None = None
    """The contender against the live release."""
    served: str = ""
    """What the release with this report serves; empty before the gate has decided."""
    cohorts: dict[str, Cohort] = {}
    left_out: dict[str, str] = {}
    """By baseline: why it is not in the table."""
    live: LiveSummary | None = None
    comparison: Comparison | None = None
    not_compared: str = ""
    """Why there is no comparison with a live release; empty without one."""
    second_stage: Figures = {}
    """The model with the second stage that is released with it; empty without one."""
