"""Everything that is said about a trained model: against baselines, by cohort, and against the live release."""

from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.baselines.ease import ease
from recsaas_assets.recommender.baselines.implicit_models import implicit_als, implicit_bpr
from recsaas_assets.recommender.baselines.item_knn import item_knn
from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.evaluation.comparison import NotComparable, compare_with_live
from recsaas_assets.recommender.evaluation.evaluate import evaluate
from recsaas_assets.recommender.evaluation.live_model import DamagedRelease, LiveModel
from recsaas_assets.recommender.evaluation.report import POPULARITY, EvaluationReport, LiveSummary
from recsaas_assets.recommender.lifecycle.personalisation import trade_off
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer

EASE_ITEMS = 3_000
"""Above so many items EASE takes longer than the whole training, as its time grows with their cube."""


def report_on(
    training_set: TrainingSet,
    model: TrainedModel,
    *,
    seed: int,
    live: LiveModel | DamagedRelease | None = None,
    features: FeatureHistory | None = None,
    more_baselines: bool = False,
) -> EvaluationReport:
    """Measure the holdout fit of ``model`` and, with a release ``live``, compare the candidate with it.

    ``more_baselines`` adds ALS and BPR of the
    package implicit and takes EASE to its memory bound; ``features`` are for a live release that needs them.

    Raises:
        NotReady: ``more_baselines`` without the package implicit.
        TooLarge: ``more_baselines`` and too many items for EASE.
    """
    name = model.config.model_type
    vectors = model.holdout
    known = training_set.before_test.users_per_item(training_set.n_items) > 0
    scorers: dict[str, Scorer] = {name: VectorScorer(vectors.users, vectors.items, known)}
    left_out = {}
    if training_set.split.evaluable:
        scorers |= _baselines(training_set, more=more_baselines)
        if "ease" not in scorers:
            left_out["ease"] = f"It is fitted up to {EASE_ITEMS:,} items only, and there are {training_set.n_items:,}."
    with_content = np.asarray(vectors.items.any(axis=1))
    cold: dict[str, Scorer] = {}
    if (with_content & ~known).any():
        cold = {name: VectorScorer(vectors.users, vectors.items, with_content)}
    report = evaluate(training_set, scorers, seed=seed, cold_scorers=cold)
    summary: LiveSummary | None = None
    comparison, not_compared = None, ""
    if isinstance(live, DamagedRelease):
        summary, not_compared = LiveSummary(version=live.version, damaged=True), live.problem
    elif live is not None:
        summary = live.summary
        try:
            comparison = compare_with_live(training_set, model, live, seed=seed, features=features)
        except NotComparable as error:
            not_compared = error.message
    return report.model_copy(
        update={
            "model_digest": model.digest,
            "left_out": left_out,
            "trade_off": trade_off(training_set, model, seed=seed),
            "live": summary,
            "comparison": comparison,
            "not_compared": not_compared,
        },
    )


def _baselines(training_set: TrainingSet, *, more: bool) -> dict[str, Scorer]:
    pairs, n_users, n_items = training_set.before_test, training_set.n_users, training_set.n_items
    found: dict[str, Scorer] = {
        POPULARITY: popularity_scorer(pairs, n_items),
        "item_knn": item_knn(pairs, n_users, n_items),
    }
    if more or n_items <= EASE_ITEMS:
        found["ease"] = ease(pairs, n_users, n_items)
    if more:
        found["implicit_als"] = implicit_als(pairs, n_users, n_items)
        found["implicit_bpr"] = implicit_bpr(pairs, n_users, n_items)
    return found
