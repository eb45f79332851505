"""Successive halving (Jamieson and Talwalkar 2016) over the candidates on a tenant's validation period.

Every candidate is fitted for a few steps and read out in a few ways; the best are fitted in full, with early stopping,
and read out in all ways. A readout costs no fit: it is made from the vectors that are there. What is chosen is worth
more than the configuration to start from after luck is taken off, so that a small shop stays with the defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from recsaas_assets.recommender.baselines.popularity import recent_popularity
from recsaas_assets.recommender.choice.candidates import ADAPTED_FIELDS, NamedConfig, candidates, readouts
from recsaas_assets.recommender.choice.expected_gain import Gain, gains_over
from recsaas_assets.recommender.choice.report import ChoiceReport, Contender
from recsaas_assets.recommender.choice.validation_users import ValidationUsers, clearly_ahead
from recsaas_assets.recommender.data.arrays import Values, Vectors
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.lightgcn.readout import Readout
from recsaas_assets.recommender.lightgcn.trainer import fit
from resources.tenants.model_configs import LightGCNConfig

_SHORT_STEPS, _SHORT_NEGATIVES = 30, 256
_LOOK_EVERY, _PATIENCE = 10, 3
_EXPONENT = 0.5
_IN_FULL = 2
_SHORT_PAIRS = 300_000
"""Pairs of the short fits: those of as many users; the others are left to the full fits."""
_SCORES = 10_000_000
"""Scores of users and items that readouts are compared on: with many items fewer users."""
_MOST_USERS, _LEAST_USERS = 500, 200
_USERS = 2000
"""Users on whom the full fits are compared."""
MIN_USERS = 30
"""Below so many validation users nothing is compared."""


@dataclass(frozen=True, slots=True)
class ConfigChoice:
    """The configuration to train with, and how it was chosen; without a report there was nothing to choose."""

    config: LightGCNConfig
    report: ChoiceReport | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A candidate with its best readout: NDCG@10 of the users whom readouts are compared on, and the vectors."""

    candidate: NamedConfig
    ndcg: Values
    users: Vectors
    items: Vectors


def choose_config(
    config: LightGCNConfig,
    training_set: TrainingSet,
    *,
    seed: int,
    should_stop: Callable[[], bool] | None = None,
) -> ConfigChoice:
    """Choose among `candidates(config)` and their readouts by NDCG@10 on the validation period.

    Nothing later than that period is looked at. With fewer than `MIN_USERS` users there, `config` stays as it is.

    Raises:
        TrainingCancelled: `should_stop` said so.
    """
    limit = int(np.clip(_SCORES // max(training_set.n_items, 1), _LEAST_USERS, _MOST_USERS))
    few = ValidationUsers.of(training_set, seed, limit=limit)
    if len(few.users) < MIN_USERS:
        return ConfigChoice(config)
    rounds = _Rounds(training_set, few, seed, should_stop)
    short = [rounds.short(each) for each in candidates(config)]
    best = _to_go_on_with(short)
    full = [rounds.full(each.candidate) for each in short if each.candidate.name in best]
    many = ValidationUsers.of(training_set, seed, limit=_USERS)
    measured = [many.ndcg_at_10(*rounds.read_out(each)) for each in full]
    gains = gains_over(measured[0], measured[1:])
    chosen = max(range(len(gains)), key=lambda place: gains[place].worth, default=None)
    place = 0 if chosen is None or gains[chosen].worth <= 0 else chosen + 1
    dropped = [each for each in short if each.candidate.name not in best]
    report = ChoiceReport(
        chosen=full[place].candidate.name,
        users=len(many.users),
        contenders=tuple(
            _contender(each, float(values.mean()), gain)
            for each, values, gain in zip(full, measured, (None, *gains), strict=True)
        ),
        dropped={each.candidate.name: float(each.ndcg.mean()) for each in dropped},
    )
    return ConfigChoice(full[place].candidate.config, report)


@dataclass(frozen=True, slots=True, eq=False)
class _Rounds:
    """The short and the full fits of candidates, and their readouts, all looked at on the same users."""

    data: TrainingSet
    users: ValidationUsers
    seed: int
    should_stop: Callable[[], bool] | None

    def short(self, candidate: NamedConfig) -> _Fitted:
        """The candidate after a few steps, on the pairs of some users where there are many."""
        plain = candidate.config.model_copy(
            update={
                "steps": _SHORT_STEPS,
                "negatives": min(candidate.config.negatives, _SHORT_NEGATIVES),
            }
        )
        return self._fitted(candidate, plain, self._some_pairs(), few=True)

    def full(self, candidate: NamedConfig) -> _Fitted:
        """The candidate after as many steps as validation allows."""
        return self._fitted(candidate, candidate.config, self.data.train, few=False)

    def read_out(self, fitted: _Fitted) -> tuple[Vectors, Vectors]:
        """Vectors as a release would hold them."""
        readout = Readout.of(self.data.train, self.data.n_items, fitted.candidate.config)
        return readout(torch.from_numpy(fitted.users), torch.from_numpy(fitted.items))

    def _fitted(self, candidate: NamedConfig, config: LightGCNConfig, pairs: Pairs, *, few: bool) -> _Fitted:
        inputs = FitInputs(pairs, self.data.n_users, self.data.n_items, self.seed, self.data.validation)
        looks = {"evaluate_every": _LOOK_EVERY, "validation_users": len(self.users.users), "patience": _PATIENCE}
        # Of the readouts from which the lengths can be had back, the one by which early stopping sees well.
        plain = config.model_copy(update={**looks, "item_readout_exponent": _EXPONENT})
        found = fit(inputs, plain, should_stop=self.should_stop)
        users, items = (each[:, : config.learned_dim] for each in (found.vectors.users, found.vectors.items))
        items = items * np.linalg.norm(items, axis=1, keepdims=True) ** (_EXPONENT / (1 - _EXPONENT))
        options = list(readouts(candidate.config, few=few))
        values = self._measured(users, items, options)
        best = _best_readout(values)
        return _Fitted(replace(candidate, config=options[best]), values[best], users, items)

    def _measured(self, users: Vectors, items: Vectors, options: list[LightGCNConfig]) -> list[Values]:
        """NDCG@10 by each readout; those of one exponent share the products of users and items."""
        found: dict[int, Values] = {}
        for exponent in sorted({each.item_readout_exponent for each in options}):
            places = [n for n, each in enumerate(options) if each.item_readout_exponent == exponent]
            plain = options[places[0]].model_copy(update={"popularity_weight": 0.0})
            readout = Readout.of(self.data.train, self.data.n_items, plain)
            vectors = readout(
                torch.from_numpy(np.ascontiguousarray(users)), torch.from_numpy(np.ascontiguousarray(items))
            )
            additions = (self._popularity(options[n]) for n in places)
            found.update(zip(places, self.users.ndcg_with(*vectors, additions), strict=True))
        return [found[n] for n in range(len(options))]

    def _popularity(self, option: LightGCNConfig) -> Vectors:
        """What a readout adds to the score of each item, (n_items,)."""
        recent = recent_popularity(self.data.train, self.data.n_items, option.popularity_half_life_days)
        return (np.log1p(recent) * np.float32(option.popularity_weight)).astype(np.float32)

    def _some_pairs(self) -> Pairs:
        pairs, n_users = self.data.train, self.data.n_users
        if len(pairs) <= _SHORT_PAIRS:
            return pairs
        chosen = np.random.default_rng(self.seed).random(n_users) < _SHORT_PAIRS / len(pairs)
        chosen[self.users.users] = True
        return pairs.of_users(chosen)


def _best_readout(values: list[Values]) -> int:
    """Place of the best readout of those that are clearly ahead of the first one, or else of the first one.

    A short period has a season of its own: the plain best of all readouts lost up to 5 % in the next period.
    """
    ahead = [place for place, each in enumerate(values) if clearly_ahead(each, values[0])]
    return max(ahead, key=lambda place: float(values[place].mean()), default=0)


def _to_go_on_with(short: list[_Fitted]) -> set[str]:
    """Names of the best, and of the first one unless it is clearly behind them."""
    ranked = sorted(short, key=lambda each: -float(each.ndcg.mean()))
    best = {each.candidate.name for each in ranked[:_IN_FULL]}
    if not clearly_ahead(ranked[0].ndcg, short[0].ndcg):
        best.add(short[0].candidate.name)
    return best


def _contender(fitted: _Fitted, ndcg: float, gain: Gain | None) -> Contender:
    config = fitted.candidate.config
    return Contender(
        name=fitted.candidate.name,
        ndcg_at_10=ndcg,
        gain=0.0 if gain is None else gain.measured,
        low=0.0 if gain is None else gain.low,
        high=0.0 if gain is None else gain.high,
        expected_gain=0.0 if gain is None else gain.expected,
        hyperparameters=config.model_dump(mode="json", include=set(ADAPTED_FIELDS)),
    )
