"""The second stage of one tenant: learned on the validation period, measured on the test period, kept or dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, ValidationError
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.evaluation.evaluator import Evaluator
from recsaas_assets.recommender.evaluation.report import DECIDING, Difference, Figures, LiveSummary
from recsaas_assets.recommender.evaluation.report_text import difference_text
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.holdout import MIN_USERS, Holdout
from recsaas_assets.recommender.metrics.scorers import Scorer
from recsaas_assets.recommender.second_stage.co_occurrence import best_half_life, co_occurrence
from recsaas_assets.recommender.second_stage.examples import drawn, examples_of
from recsaas_assets.recommender.second_stage.retrieval import Past, Retrieval, SecondStageScorer
from recsaas_assets.recommender.second_stage.sides import CatalogueFacts, Sides
from recsaas_assets.recommender.second_stage.trees import NothingToLearn, fit_trees
from resources.base.errors import CorruptArtifact
from resources.storage.lake import read_bytes, read_json, write_bytes, write_json

_MOST_USERS = 3000
"""More users of the validation period teach little more and take longer."""
_MOST_MEASURED = 3000
"""So many users of the test period tell what there is to tell; more of them take longer."""
_ENOUGH_USERS = 100
"""From so many users of the validation period on the trees were surely better in each trial; see docs/models.md."""
_FEATURES = 2
"""Counts up when trees are taught other features than before: 1 were those of the dbt models."""
_VERDICT, _TREES = "second_stage.json", "second_stage.txt"


class SecondStageVerdict(BaseModel):
    """Whether the second stage goes live, why (not), and what was measured; figures are null when nothing was fitted.

    ``difference`` is NDCG@10 on the test period with the second stage minus without it, paired over users.
    """

    model_config = ConfigDict(frozen=True)

    goes_live: bool
    reason: str
    trees: int = 0
    training_users: int = 0
    half_life_days: float | None = None
    """Of the item table: days after which a pair counts half."""
    expected: float | None = None
    """NDCG@10 by cross-validation over the users of the validation period who taught the trees."""
    expected_without: float | None = None
    with_second_stage: Figures = {}
    without: Figures = {}
    difference: Difference | None = None
    gains: dict[str, float] = {}
    """By feature: its share of what the splits gained."""


@dataclass(frozen=True, eq=False)
class SecondStageModel:
    """The verdict, the trees if any were fitted, and the digest of the model that they belong to."""

    verdict: SecondStageVerdict
    trees: bytes | None
    fingerprint: str

    @property
    def gain(self) -> float:
        """Gain in NDCG@10 on the test period; 0 when it was dropped."""
        difference = self.verdict.difference
        return difference.value if self.verdict.goes_live and difference is not None else 0.0

    def after(self, live: LiveSummary | None) -> SecondStageModel:
        """The same as a successor of the live release: where that has a second stage, this one needs no certainty.

        It goes live then if it is better on average: or a shop would keep an old release for want of luck in a short
        test period.
        """
        verdict, difference = self.verdict, self.verdict.difference
        if verdict.goes_live or live is None or live.second_stage is None or self.trees is None:
            return self
        if difference is None or difference.value <= 0:
            return self
        reason = (
            f"The second stage goes live as the successor of that of release {live.version}: it is better on average, "
            f"NDCG@10 {difference_text(difference)}."
        )
        return replace(self, verdict=verdict.model_copy(update={"goes_live": True, "reason": reason}))

    def save(self, directory: UPath) -> None:
        """Write the trees, then the verdict, each atomically."""
        if self.trees is not None:
            write_bytes(directory / _TREES, self.trees)
        verdict = self.verdict.model_dump(mode="json")
        document = {"fingerprint": self.fingerprint, "features": _FEATURES, "verdict": verdict}
        write_json(directory / _VERDICT, document)

    @staticmethod
    def is_stored(directory: UPath) -> bool:
        """Whether `save` has ever written there: a lake of an earlier version may never have seen a second stage."""
        return bool((directory / _VERDICT).exists())

    @classmethod
    def load(cls, directory: UPath, model: TrainedModel) -> SecondStageModel:
        """Read what `save` wrote.

        Raises:
            CorruptArtifact: a file is missing or damaged, or the trees were fitted on another model, or by an earlier
                version on other features.
        """
        document = read_json(directory / _VERDICT)
        try:
            fingerprint = document["fingerprint"]
            verdict = SecondStageVerdict.model_validate(document["verdict"])
        except (KeyError, TypeError, ValidationError) as error:
            raise CorruptArtifact(f"{_VERDICT} is damaged; materialise second_stage_model again.") from error
        if fingerprint != model.digest:
            raise CorruptArtifact("The second stage belongs to another model; materialise second_stage_model again.")
        if verdict.trees and document.get("features") != _FEATURES:
            raise CorruptArtifact("The second stage is of an earlier version; materialise second_stage_model again.")
        return cls(verdict, _read_trees(directory) if verdict.trees else None, fingerprint)


def train_second_stage(
    training_set: TrainingSet, model: TrainedModel, catalogue: CatalogueFacts, *, seed: int
) -> SecondStageModel:
    """Learn from the search fit's candidates and the validation period; measure on the holdout fit and the test.

    The trees see nothing of the test period, neither in their features nor in their labels. They go live when the
    whole 95 % interval of the paired difference of NDCG@10 is above zero. ``seed`` is that of folds and intervals too.
    """
    kept = model.digest
    if model.search is None:
        reason = training_set.split.reason or "the model was trained without it; train the model again."
        return without_second_stage(reason, model)
    n_users, n_items = training_set.n_users, training_set.n_items
    validation = Holdout(training_set.train, training_set.validation, n_users, n_items)
    learned_dim = model.config.learned_dim
    half_life = best_half_life(validation, seed=seed)
    taught = Retrieval(past_of(model.search, training_set.train, catalogue, half_life=half_life), learned_dim)
    try:
        fitted = fit_trees(
            examples_of(taught, validation, limit=_MOST_USERS, seed=seed), taught.describe.names, seed=seed
        )
    except NothingToLearn as nothing:
        return without_second_stage(nothing.message, model)
    learned = {
        "trees": fitted.count,
        "training_users": fitted.users,
        "half_life_days": half_life,
        "expected": fitted.expected,
        "expected_without": fitted.retrieval,
        "gains": fitted.gains,
    }
    test = Holdout.of_test(training_set)
    if test.evaluated_users < MIN_USERS:
        few = (
            f"The second stage is dropped: only {test.evaluated_users} users can be evaluated on the test period, "
            f"at least {MIN_USERS} are needed."
        )
        return SecondStageModel(_dropped(few).model_copy(update=learned), fitted.text, kept)
    first = Retrieval(past_of(model.holdout, training_set.before_test, catalogue, half_life=half_life), learned_dim)
    measured = evaluate_second_stage(test, first.scorer, first.with_trees(fitted.text), seed=seed)
    return SecondStageModel(measured.model_copy(update=learned), fitted.text, kept)


def past_of(vectors: ModelVectors, pairs: Pairs, catalogue: CatalogueFacts, *, half_life: float | None) -> Past:
    """What the second stage knows when ``pairs`` have happened, of which ``vectors`` were fitted."""
    sides = Sides.of(pairs, catalogue, n_users=len(vectors.users))
    table = co_occurrence(pairs, len(vectors.users), len(vectors.items), half_life=half_life)
    return Past(vectors, pairs, sides, table)


def why_not(training_set: TrainingSet) -> str:
    """Why a second stage is not worth its time here, for tenants who leave the choice to us; empty when it may be.

    Trees that few users teach are not better than the model alone: see docs/models.md for what was measured.
    """
    if not training_set.split.evaluable:
        return training_set.split.reason
    size = training_set.n_users, training_set.n_items
    taught = Holdout(training_set.train, training_set.validation, *size).evaluated_users
    if taught < _ENOUGH_USERS:
        return (
            f"the validation period has {taught} users to learn from, and it pays from about {_ENOUGH_USERS}. To train "
            "it all the same: training.second_stage=true"
        )
    return ""


def without_second_stage(reason: str, model: TrainedModel) -> SecondStageModel:
    """A second stage that was not trained."""
    return SecondStageModel(_dropped(f"No second stage: {reason}"), None, model.digest)


def evaluate_second_stage(test: Holdout, first: Scorer, second: SecondStageScorer, *, seed: int) -> SecondStageVerdict:
    """Compare both on the same users; ``seed`` only moves the interval."""
    evaluator = Evaluator(test, seed=seed)
    truth = drawn(test.targets, test.n_users, limit=_MOST_MEASURED, seed=seed)
    without, with_it = (evaluator.quality(evaluator.rank(scorer, truth)) for scorer in (first, second))
    (difference,) = evaluator.differences([with_it[DECIDING]], [without[DECIDING]])
    measured = (
        f"NDCG@10 on {difference.users} test users: {difference.reference + difference.value:.4f} with it, "
        f"{difference.reference:.4f} without, difference {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f}). Recall@20: {with_it['recall@20'].mean():.4f} with it, "
        f"{without['recall@20'].mean():.4f} without."
    )
    if difference.low > 0:
        reason = f"The second stage goes live: it orders the candidates better. {measured}"
    elif difference.worse:
        reason = f"The second stage is dropped: it orders the candidates worse. {measured}"
    else:
        reason = f"The second stage is dropped: it is not certain to be better. {measured}"
    return SecondStageVerdict(
        goes_live=difference.low > 0,
        reason=reason,
        with_second_stage={name: float(values.mean()) for name, values in with_it.items()},
        without={name: float(values.mean()) for name, values in without.items()},
        difference=difference,
    )


def _dropped(reason: str) -> SecondStageVerdict:
    return SecondStageVerdict(goes_live=False, reason=reason)


def _read_trees(directory: UPath) -> bytes:
    try:
        return read_bytes(directory / _TREES)
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{_TREES} is missing; materialise second_stage_model again.") from error
