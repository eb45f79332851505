"""`recsaas bench cold`: what new users and new items get, against popularity and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl

from recsaas_assets.benchmarks.datasets import Prepared, dataset_option, print_measured
from recsaas_assets.benchmarks.models.first_items import first_and_later
from recsaas_assets.benchmarks.models.ranked import ranked
from recsaas_assets.commands.console import json_option
from resources.ranker.fold_in import folded_vector
from resources.storage.lake import read_parquet

if TYPE_CHECKING:
    from recsaas_assets.benchmarks.models.ranked import Scorers
    from recsaas_assets.recommender.data.arrays import Mask
    from recsaas_assets.recommender.data.content import ItemContent
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.data.vectors import ModelVectors
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.metrics.scorers import Scorer

_EVENTS = (1, 2, 3, 5)
_HIDDEN_SHARE = 0.1
_DRAWS = 20
_NOISE = 1e-6


@click.command()
@dataset_option
@click.option("--seed", default=7, show_default=True, help="Seed of the fits and of the intervals.")
@json_option
def cold(names: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Users folded in from 1, 2, 3 and 5 events, and items by their content: new ones, and a tenth made new."""
    print_measured(names, lambda data: _measure(data, seed), seed=seed, as_json=as_json)


def _measure(prepared_data: Prepared, seed: int) -> dict[str, Any]:
    from recsaas_assets.recommender.data.content import item_content
    from recsaas_assets.recommender.lifecycle.model_config import default_config
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train

    data, lake = prepared_data.training_set, prepared_data.tenant
    content = item_content(read_parquet(lake.dbt / "stg_items.parquet"), data.items.ids)
    config = default_config("lightgcn", data.n_users, data.n_items, len(data.full))
    model = train(TrainingInputs(data, content=content), config, seed=seed)
    signals = read_parquet(lake.dbt / "int_interaction_signals.parquet")
    return {
        "new_users": {f"{n}_events": _new_users(data, model, signals, n, seed) for n in _EVENTS},
        "new_items": _new_items(data, model, content, seed),
        "hidden_items": _hidden_items(data, model, content, seed),
        "chosen": None if model.cold_items is None else model.cold_items.model_dump(mode="json"),
        "warm_items": _warm_items(data, model, seed),
    }


def _new_users(data: TrainingSet, model: TrainedModel, signals: pl.DataFrame, n: int, seed: int) -> dict[str, Any]:
    """Users without any pair before the test: ``n`` items they touched first are given, the others are the targets."""
    from recsaas_assets.recommender.baselines.popularity import popularity_scorer
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.metrics.scorers import VectorScorer

    learned = data.before_test.users_per_item(data.n_items) > 0
    new = data.before_test.items_per_user(data.n_users) == 0
    known = data.test.of_users(new).of_items(learned)
    given, targets = first_and_later(data, signals, known, n)
    vectors = model.holdout
    users = vectors.users.copy()
    for (row,), events in given.group_by("user_row", maintain_order=True):
        rows = events["item_row"].to_numpy()
        folded = folded_vector(vectors.fold_in, rows, None, users.shape[1])
        users[int(str(row))] = 0 if folded is None else folded
    scorers: dict[str, Scorers] = {
        "popularity": popularity_scorer(data.before_test, data.n_items),
        "recent_popularity": VectorScorer(vectors.users, vectors.items, learned),  # no taste: zeros, and popularity
        "fold_in": VectorScorer(users, vectors.items, learned),
    }
    seen = Pairs.of(given["user_row"], given["item_row"])
    truth = Pairs.of(targets["user_row"], targets["item_row"])
    return ranked(scorers, truth, seen, data, against="popularity", seed=seed)


def _new_items(data: TrainingSet, model: TrainedModel, content: ItemContent, seed: int) -> dict[str, Any]:
    """Items without any pair before the test, for users with some."""
    vectors = model.holdout
    learned = data.before_test.users_per_item(data.n_items) > 0
    new = ~learned & vectors.items.any(axis=1)
    truth = data.test.of_items(new).without(data.before_test, data.n_items)
    return {
        "items_without_vector": int((~learned & ~new).sum()),
        **_as_new(_AsNew(data, vectors, data.before_test, new), truth, content, seed),
    }


def _hidden_items(data: TrainingSet, model: TrainedModel, content: ItemContent, seed: int) -> dict[str, Any]:
    """A tenth of the known items made new: all their pairs are taken out before the fit, and are to be found."""
    from recsaas_assets.recommender.fitting.inputs import FitInputs
    from recsaas_assets.recommender.lifecycle.cold_items import with_cold_items
    from recsaas_assets.recommender.lifecycle.model_config import fit_model

    learned = data.before_test.users_per_item(data.n_items) > 0
    hidden = learned & (np.random.default_rng(seed).random(data.n_items) < _HIDDEN_SHARE)
    pairs = data.before_test.of_items(~hidden)
    inputs = FitInputs(pairs, data.n_users, data.n_items, seed, stop_after=model.epochs)
    fitted = fit_model(inputs, model.config)
    vectors, choice = with_cold_items(fitted.vectors, pairs, content, seed=seed)
    new = hidden & vectors.items.any(axis=1)
    found = _as_new(_AsNew(data, vectors, pairs, new), data.full.of_items(new), content, seed)
    return {"chosen": None if choice is None else choice.method, **found}


@dataclass(frozen=True, slots=True, eq=False)
class _AsNew:
    """Vectors of a fit on `history`, with those of `new` items (n_items,), which are not in it."""

    data: TrainingSet
    vectors: ModelVectors
    history: Pairs
    new: Mask

    def served(self, allowed: Mask) -> Scorer:
        """What is served."""
        from recsaas_assets.recommender.metrics.scorers import VectorScorer

        return VectorScorer(self.vectors.users, self.vectors.items, allowed)

    def by_category(self, content: ItemContent, allowed: Mask, rng: np.random.Generator) -> list[Scorer]:
        """New items by the mean popularity of their category; equal ones in an order by chance."""
        from recsaas_assets.recommender.lifecycle.cold_items import category_popularity
        from recsaas_assets.recommender.metrics.scorers import VectorScorer

        known = self.history.users_per_item(self.data.n_items) > 0
        warm, new = (np.flatnonzero(marked).astype(np.int32) for marked in (known, self.new))
        popular = category_popularity(self.vectors, content.category, warm, new)
        found: list[Scorer] = []
        for _ in range(_DRAWS):
            items = self.vectors.items.copy()
            items[new] = popular + _NOISE * rng.normal(size=popular.shape)
            found.append(VectorScorer(self.vectors.users, items, allowed))
        return found


def _as_new(fit: _AsNew, wanted: Pairs, content: ItemContent, seed: int) -> dict[str, Any]:
    """The `wanted` pairs of users that the fit knows: the new items ranked among each other, and among all items."""
    from recsaas_assets.recommender.baselines.popularity import popularity_scorer
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.metrics.scorers import ItemScorer

    data, history, new = fit.data, fit.history, fit.new
    truth = wanted.of_users(history.items_per_user(data.n_users) > 0)
    rng = np.random.default_rng(seed)
    draws = [np.where(new, rng.random(data.n_items), -np.inf).astype(np.float32) for _ in range(_DRAWS)]
    every = (history.users_per_item(data.n_items) > 0) | new
    by_category = "category_popularity"
    among_new: dict[str, Scorers] = {
        "chance": [ItemScorer(draw) for draw in draws],
        by_category: fit.by_category(content, new, rng),
        "served": fit.served(new),
    }
    among_all: dict[str, Scorers] = {
        "popularity": popularity_scorer(history, data.n_items),
        by_category: fit.by_category(content, every, rng)[:1],
        "served": fit.served(every),
    }
    return {
        "items": int(new.sum()),
        "among_new_items": ranked(among_new, truth, Pairs.empty(), data, against=by_category, seed=seed),
        "among_all_items": ranked(among_all, truth, history, data, against=by_category, seed=seed),
    }


def _warm_items(data: TrainingSet, model: TrainedModel, seed: int) -> dict[str, Any]:
    """Loss of the main metric by new items among the candidates, and gain over all targets together."""
    from recsaas_assets.recommender.metrics.scorers import VectorScorer

    vectors = model.holdout
    learned = data.before_test.users_per_item(data.n_items) > 0
    served = learned | vectors.items.any(axis=1)
    scorers: dict[str, Scorers] = {
        "without_content": VectorScorer(vectors.users, vectors.items, learned),
        "with_content": VectorScorer(vectors.users, vectors.items, served),
    }
    later = data.test.of_users(data.before_test.items_per_user(data.n_users) > 0).without(
        data.before_test, data.n_items
    )
    return {
        "known_targets": ranked(
            scorers, later.of_items(learned), data.before_test, data, against="without_content", seed=seed
        ),
        "all_targets": ranked(scorers, later, data.before_test, data, against="without_content", seed=seed),
    }
