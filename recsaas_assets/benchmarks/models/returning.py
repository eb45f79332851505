"""`recsaas bench returning`: known users with events since the release, with their vector recomputed and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl

from recsaas_assets.benchmarks.datasets import Prepared, dataset_option, print_measured
from recsaas_assets.benchmarks.models.first_items import first_and_later
from recsaas_assets.benchmarks.models.ranked import ranked
from recsaas_assets.commands.console import json_option
from resources.ranker.fold_in import folded_vector, recomputed_vector
from resources.storage.lake import read_parquet

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel

_EVENTS = (1, 3, 5)


@click.command()
@dataset_option
@click.option("--seed", default=7, show_default=True, help="Seed of the fits and of the intervals.")
@json_option
def returning(names: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Users with a trained vector and 1, 3 and 5 new items of the test period, ranked for their later items.

    `trained` keeps the vector; `recomputed` is what the service does; `folded_in` builds it from all events anew.
    """
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
    return {f"{n}_events": _after(data, model, signals, n, seed) for n in _EVENTS}


def _after(data: TrainingSet, model: TrainedModel, signals: pl.DataFrame, n: int, seed: int) -> dict[str, Any]:
    """The first `n` new items of each known user's test period are given, the others are the targets."""
    from recsaas_assets.recommender.data.pairs import Pairs
    from recsaas_assets.recommender.metrics.scorers import VectorScorer

    before, vectors = data.before_test, model.holdout
    learned = before.users_per_item(data.n_items) > 0
    known = before.items_per_user(data.n_users) > 0
    later = data.test.of_users(known).of_items(learned).without(before, data.n_items)
    given, targets = first_and_later(data, signals, later, n)
    seen_before = before.csr(data.n_users, data.n_items)
    recomputed, folded = vectors.users.copy(), vectors.users.copy()
    for (row,), events in given.group_by("user_row", maintain_order=True):
        user, live = int(str(row)), events["item_row"].to_numpy().astype(np.int32)
        history = seen_before.indices[seen_before.indptr[user] : seen_before.indptr[user + 1]].astype(np.int32)
        recomputed[user] = recomputed_vector(vectors.users[user], vectors.fold_in, history, live, np.ones(len(live)))
        anew = folded_vector(vectors.fold_in, np.concatenate([history, live]), None, vectors.users.shape[1])
        folded[user] = vectors.users[user] if anew is None else anew
    users = {"trained": vectors.users, "recomputed": recomputed, "folded_in": folded}
    scorers = {name: VectorScorer(each, vectors.items, learned) for name, each in users.items()}
    together = pl.concat([before.to_polars().select("user_row", "item_row"), given.select("user_row", "item_row")])
    seen = Pairs.of(together["user_row"], together["item_row"])
    truth = Pairs.of(targets["user_row"], targets["item_row"])
    return ranked(scorers, truth, seen, data, against="trained", seed=seed)
