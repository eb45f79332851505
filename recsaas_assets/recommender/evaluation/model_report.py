"""Everything that is said about a trained model: against baselines, by cohort, and against the live release."""

from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.baselines.implicit_models import implicit_als, implicit_bpr
from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.evaluation.comparison import NotComparable, compare_with_live
from recsaas_assets.recommender.evaluation.evaluate import evaluate
from recsaas_assets.recommender.evaluation.live_model import DamagedRelease, LiveModel
from recsaas_assets.recommender.evaluation.report import POPULARITY, EvaluationReport, LiveSummary
from recsaas_assets.recommender.evaluation.served import contender
from recsaas_assets.recommender.item_models.fitted import ItemModels
from recsaas_assets.recommender.item_models.table_scorer import TableScorer
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.scorers import Scorer, VectorScorer
from resources.base.errors import NotReady


def report_on(
    training_set: TrainingSet,
    model: TrainedModel,
    tables: ItemModels,
    *,
    seed: int,
    live: LiveModel | DamagedRelease | None = None,
    features: FeatureHistory | None = None,
    more_baselines: bool = False,
) -> EvaluationReport:
    """Measure the holdout fits of ``model`` and ``tables`` and, with a release ``live``, compare with it.

    ``more_baselines`` adds ALS and BPR of the package implicit; ``features`` are for a live release that needs them.
    What cannot be fitted is left out, with the reason.
    """
    name = model.config.model_type
    vectors = model.holdout
    known = training_set.before_test.users_per_item(training_set.n_items) > 0
    scorers: dict[str, Scorer] = {name: VectorScorer(vectors.users, vectors.items, known)}
    left_out: dict[str, str] = {}
    if training_set.split.evaluable:
        scorers |= _baselines(training_set, tables)
        left_out |= tables.left_out
        if more_baselines:
            left_out |= _of_implicit(training_set, scorers)
    with_content = np.asarray(vectors.items.any(axis=1))
    cold: dict[str, Scorer] = {}
    if (with_content & ~known).any():
        cold = {name: VectorScorer(vectors.users, vectors.items, with_content)}
    report = evaluate(training_set, scorers, seed=seed, cold_scorers=cold)
    best_table = contender(report)
    found: dict[str, object] = {
        "model_digest": model.digest,
        "tables_digest": tables.digest,
        "left_out": left_out,
        "contender": best_table,
    }
    if isinstance(live, DamagedRelease):
        found |= {"live": LiveSummary(version=live.version, damaged=True), "not_compared": live.problem}
    elif live is not None:
        found["live"] = live.summary
        try:
            found["comparison"] = compare_with_live(training_set, model, live, seed=seed, features=features)
            if best_table:
                fitted = tables.fits[best_table]
                found["contender_comparison"] = compare_with_live(
                    training_set, model, live, seed=seed, features=features, fitted=fitted
                )
        except NotComparable as error:
            found["not_compared"] = error.message
    return report.model_copy(update=found)


def _baselines(training_set: TrainingSet, tables: ItemModels) -> dict[str, Scorer]:
    pairs, n_users = training_set.before_test, training_set.n_users
    fits = {kind: TableScorer.of(fitted.holdout, pairs, n_users) for kind, fitted in tables.fits.items()}
    return {POPULARITY: popularity_scorer(pairs, training_set.n_items), **fits}


def _of_implicit(training_set: TrainingSet, scorers: dict[str, Scorer]) -> dict[str, str]:
    """Add ALS and BPR to ``scorers``; the reason for each that cannot be."""
    pairs, n_users, n_items = training_set.before_test, training_set.n_users, training_set.n_items
    left_out = {}
    for name, fit in (("implicit_als", implicit_als), ("implicit_bpr", implicit_bpr)):
        try:
            scorers[name] = fit(pairs, n_users, n_items)
        except NotReady as error:
            left_out[name] = error.message
    return left_out
