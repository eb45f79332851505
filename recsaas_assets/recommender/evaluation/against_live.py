"""Whether a candidate is behind the live release: by the models, and by what their second stages add."""

from __future__ import annotations

from recsaas_assets.recommender.evaluation.report import (
    DECIDING,
    Comparison,
    Difference,
    LiveSummary,
)
from recsaas_assets.recommender.evaluation.report_text import difference_text, how_compared
from recsaas_assets.recommender.metrics.holdout import MIN_USERS


def behind_live(comparison: Comparison, tolerance: float) -> tuple[bool, tuple[str, ...]]:
    """Whether the candidate is held, and all that was found; the reason that decides comes first.

    With fewer than 20 users only the mean is looked at.
    """
    overall = comparison.differences[DECIDING]
    version = comparison.release
    if comparison.same_recipe:
        return False, (how_compared(comparison),)
    others = [f"{name} {difference_text(d)}" for name, d in comparison.differences.items() if name != DECIDING]
    others += [f"{_cohort(name)} NDCG@10 {difference_text(d)}" for name, d in comparison.cohorts.items()]
    found = (how_compared(comparison), f"The other differences: {'; '.join(others)}.")
    decide = _by_interval if comparison.users >= MIN_USERS else _by_mean
    worse, sentence = decide(overall, version, tolerance)
    if worse:
        return True, (sentence, *found)
    behind = [
        _behind_in(name, d, version, tolerance)
        for name, d in comparison.cohorts.items()
        if d.worse and d.low < -tolerance * d.reference
    ]
    return bool(behind), (*behind, sentence, *found)


def behind_second_stage(
    comparison: Comparison, live: LiveSummary, second_stage: float | None, tolerance: float
) -> tuple[bool, tuple[str, ...]]:
    """Whether the candidate is held for want of a second stage as good as the live one's, and what there is to say.

    The comparison is between the models without second stages. ``second_stage`` is what the candidate's adds, as in
    `decide`.
    """
    had, version, overall = live.second_stage, live.version, comparison.differences[DECIDING]
    if had is None:
        return False, ()
    if second_stage is None:
        return False, (f"Release {version} has a second stage, which the settings no longer ask for: left out here.",)
    if second_stage <= 0:
        alone = f"NDCG@10 {difference_text(overall)}"
        if overall.low > had:
            better = f"Without a second stage it is better than release {version} with one ({had:+.4f}): {alone}."
            return False, (better,)
        return True, (
            f"Held, the live release stays: the second stage of release {version} added {had:+.4f} to its NDCG@10, the "
            f"candidate's was dropped, and without one the candidate is not certain to be better by that: {alone}. "
            "To go on without a second stage: recsaas tenant settings TENANT --set training.second_stage=false",
        )
    added = (
        f"the candidate's second stage adds {second_stage:+.4f} to its NDCG@10, that of release {version} added "
        f"{had:+.4f}"
    )
    served = overall.value + second_stage - had
    if served < -tolerance * (overall.reference + had):
        return True, (
            f"Held, the live release stays: with second stages the candidate is worse by more than the tolerated "
            f"{_share(tolerance)}: {added}; without them NDCG@10 {difference_text(overall)}.",
        )
    return False, (f"Compared without second stages: {added}.",)


def _by_interval(overall: Difference, version: str, tolerance: float) -> tuple[bool, str]:
    margin = tolerance * overall.reference
    figures = f"NDCG@10 {difference_text(overall)}, from {overall.reference:.4f}"
    if overall.low > 0:
        return False, f"Better than the live release {version}: {figures}."
    if overall.low >= -margin:
        return (
            False,
            f"Not worse than the live release {version} by more than the tolerated {_share(tolerance)}: {figures}.",
        )
    if overall.worse:
        return True, f"Held, the live release stays: the candidate is worse than release {version}: {figures}."
    if overall.value >= -margin:
        return False, (
            f"The interval is too wide to tell whether the candidate is worse than the live release {version}; its "
            f"mean is within the tolerated {_share(tolerance)}, so it goes live: {figures}."
        )
    return True, (
        f"Held, the live release {version} stays: the interval is too wide to tell, and the candidate's mean is worse "
        f"by more than the tolerated {_share(tolerance)}: {figures}."
    )


def _by_mean(overall: Difference, version: str, tolerance: float) -> tuple[bool, str]:
    figures = f"NDCG@10 {difference_text(overall)}, from {overall.reference:.4f}"
    if overall.value >= -tolerance * overall.reference:
        return False, f"On average within the tolerated {_share(tolerance)} of the live release {version}: {figures}."
    return True, (
        f"Held, the live release {version} stays: too few users to be sure, and on average the candidate is worse by "
        f"more than the tolerated {_share(tolerance)}: {figures}."
    )


def _behind_in(cohort: str, difference: Difference, version: str, tolerance: float) -> str:
    clearly = difference.value < -tolerance * difference.reference
    share = f"more than the tolerated {_share(tolerance)}"
    by = f"by {share}" if clearly else f"and maybe by {share}"
    return (
        f"Held, the live release stays: {_cohort(cohort)} the candidate is worse than release {version} {by}: "
        f"NDCG@10 {difference_text(difference)}, from {difference.reference:.4f}."
    )


def _share(tolerance: float) -> str:
    return f"{100 * tolerance:g}%"


def _cohort(name: str) -> str:
    return {
        "few_interactions": "for users with a short history",
        "many_interactions": "for users with a long history",
        "head_items": "on popular items",
        "tail_items": "on less popular items",
    }[name]
