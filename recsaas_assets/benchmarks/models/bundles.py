"""`recsaas bench bundles`: items hidden in later baskets, found again by what goes with the rest of the basket."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl

from recsaas_assets.benchmarks.datasets import Prepared, dataset_option, print_measured
from recsaas_assets.commands.console import json_option
from resources.storage.lake import read_parquet

if TYPE_CHECKING:
    from recsaas_assets.recommender.bundles.baskets import Baskets
    from recsaas_assets.recommender.bundles.held_out import BasketScorer

_SHARE = 0.8
_SERVED = "bundles"
_KINDS = ("recall", "ndcg")


@click.command()
@dataset_option
@click.option("--seed", default=7, show_default=True, help="Seed of what is hidden, and of the intervals.")
@json_option
def bundles(names: tuple[str, ...], seed: int, as_json: bool) -> None:
    """The last fifth of the baskets, of each one item hidden: Recall@10 and NDCG@10 by the table that is served.

    Beside it popularity, popularity in the categories of the basket, and the cosine of items over baskets and over
    users, all from the earlier baskets alone.
    """
    print_measured(names, lambda data: measure(data, seed), seed=seed, as_json=as_json)


def measure(prepared: Prepared, seed: int) -> dict[str, Any]:
    """Build the table from the earlier interactions of a prepared tenant, and measure it on the later baskets."""
    from recsaas_assets.recommender.bundles.baskets import INTERACTION_COLUMNS, baskets_of
    from recsaas_assets.recommender.bundles.bundle_table import build_bundles, types_of
    from recsaas_assets.recommender.bundles.held_out import find_again, hide_one, time_cut
    from recsaas_assets.recommender.metrics.bootstrap import Resamples

    data, lake = prepared.training_set, prepared.tenant
    interactions = read_parquet(lake.dbt / "stg_interactions.parquet", columns=list(INTERACTION_COLUMNS))
    types = types_of(build_bundles(interactions, data.users, data.items).figures.evidence)
    every = baskets_of(interactions, types, data.users, data.items)
    since = time_cut(every, _SHARE)
    before = interactions.filter(pl.col("timestamp").dt.epoch("us") < since)
    started = perf_counter()
    built = build_bundles(before, data.users, data.items)
    seconds = perf_counter() - started
    earlier = baskets_of(before, types, data.users, data.items)
    popularity = np.bincount(earlier.item_row, minlength=data.n_items).astype(np.float64)
    known = popularity > 0
    questions = hide_one(every, since, known, seed=seed)
    if not len(questions):
        return {"questions": 0, "baskets": built.figures.model_dump(mode="json")}
    least = popularity / (popularity.max() * 1e6)
    scorers = {_SERVED: lambda rows: built.table.sums(rows) + least, **_others(earlier, popularity, lake.dbt, data)}
    found = {name: find_again(questions, scorer, known) for name, scorer in scorers.items()}
    columns = {(name, kind): getattr(each, kind) for name, each in found.items() for kind in _KINDS}
    for name in [each for each in found if each != _SERVED]:
        for kind in _KINDS:
            columns[f"minus {name}", kind] = columns[_SERVED, kind] - columns[name, kind]
    intervals = Resamples(len(questions), seed).intervals(np.stack(list(columns.values()), axis=1))
    figures: dict[str, dict[str, Any]] = {}
    for (name, kind), each, (low, high) in zip(columns, columns.values(), intervals, strict=True):
        shown = {"value": float(each.mean()), "low": float(low), "high": float(high)}
        figures.setdefault(name, {})[f"{kind}@10"] = {key: round(value, 4) for key, value in shown.items()}
    return {
        "questions": len(questions),
        "items_in_basket": round(float(np.mean([len(rows) for rows in questions.given])), 1),
        "table": {**built.figures.model_dump(mode="json"), "seconds": round(seconds, 2)},
        "models": {name: figures[name] for name in found},
        f"{_SERVED}_minus": {name: figures[f"minus {name}"] for name in found if name != _SERVED},
    }


def _others(earlier: Baskets, popularity: np.ndarray, dbt: Any, data: Any) -> dict[str, BasketScorer]:
    catalogue = read_parquet(dbt / "stg_items.parquet", columns=["item_id", "category"])
    ids = pl.DataFrame({"item_id": data.items.ids}, schema={"item_id": pl.String})
    names = ids.join(catalogue, on="item_id", how="left", maintain_order="left")["category"]
    codes = names.rank("dense").fill_null(0).to_numpy().astype(np.int64)

    def in_category(rows: np.ndarray) -> np.ndarray:
        own = np.isin(codes, codes[rows][codes[rows] > 0])
        return np.asarray(popularity * np.where(own, 1e6, 1))

    return {
        "popularity": lambda rows: popularity,
        "popularity_in_category": in_category,
        "cosine_baskets": _cosine(earlier.basket, earlier.item_row, data.n_items),
        "item_knn_users": _cosine(earlier.user_row[earlier.basket], earlier.item_row, data.n_items),
    }


def _cosine(holder: np.ndarray, item: np.ndarray, n_items: int) -> BasketScorer:
    """Item-kNN: the sum of the cosines of the basket's items, over who (or which basket) holds both."""
    from scipy import sparse

    matrix = sparse.csr_array((np.ones(len(item)), (holder, item)), shape=(int(holder.max()) + 1, n_items))
    matrix.data[:] = 1
    roots = np.sqrt(np.maximum(np.bincount(matrix.indices, minlength=n_items), 1))
    transposed = matrix.T.tocsr()

    def score(rows: np.ndarray) -> np.ndarray:
        weights = np.zeros(n_items)
        weights[rows] = 1 / roots[rows]
        return np.asarray(transposed @ (matrix @ weights) / roots)

    return score
