"""`recsaas bench second-stage`: what ordering the candidates by boosted trees brings, and what it costs a request."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from recsaas_assets.benchmarks.datasets import DATASETS, Prepared, prepared
from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.workplace import LAST_DAY
from recsaas_assets.commands.console import json_option, notes, print_json, results

if TYPE_CHECKING:
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.second_stage.model import SecondStageModel
    from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
    from resources.ranker.ranker import Ranker

_COUNT = 10
_SHOWN_FEATURES = 10


@click.command(name="second-stage")
@click.option(
    "--dataset",
    "names",
    multiple=True,
    type=click.Choice(DATASETS),
    help="May be given several times; all when left out. The public ones are looked for in RECSAAS_BENCH_DATA.",
)
@click.option("--requests", default=1000, show_default=True, type=click.IntRange(min=1), help="Timed, each both ways.")
@click.option("--seed", default=7, show_default=True, help="Of the fits, the folds and the intervals.")
@json_option
def second_stage(names: tuple[str, ...], requests: int, seed: int, as_json: bool) -> None:
    """Train the model with its defaults and a second stage, and measure both on the test period and while answering."""
    answer = {name: _measure(name, requests, seed) for name in names or DATASETS}
    if as_json:
        print_json({"seed": seed, "datasets": answer, "machine": machine()})
        return
    table = Table(
        "data", "NDCG@10 without", "with", "difference (95 %)", "p50 ms without", "with", "p95 without", "with"
    )
    for name, measured in answer.items():
        difference, cost = measured["difference"], measured["milliseconds"]
        if difference is None:
            results.print(f"{name}: {measured['reason']}")
            continue
        table.add_row(
            name,
            f"{measured['without']['ndcg@10']:.4f}",
            f"{measured['with_second_stage']['ndcg@10']:.4f}",
            f"{difference['value']:+.4f} ({difference['low']:+.4f} to {difference['high']:+.4f})",
            *(f"{cost[which][p]:.2f}" for p in ("p50", "p95") for which in ("without", "with_second_stage")),
        )
    results.print(table)


def _measure(name: str, requests: int, seed: int) -> dict[str, Any]:
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
    from recsaas_assets.recommender.lightgcn.config import defaults_for
    from recsaas_assets.recommender.second_stage.model import train_second_stage
    from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
    from resources.storage.lake import read_parquet

    notes.print(f"Preparing {name} …")
    with prepared(name) as dataset:
        data = dataset.training_set
        catalogue = CatalogueFacts.of(read_parquet(dataset.tenant.dbt / "stg_items.parquet"), data.items)
        notes.print("Training …")
        config = defaults_for(data.n_users, data.n_items, len(data.full))
        model = train(TrainingInputs(data), config, seed=seed)
        started = time.perf_counter()
        stage = train_second_stage(data, model, catalogue, seed=seed)
        seconds = time.perf_counter() - started
        cost = _serving_cost(dataset, model, catalogue, stage, requests) if stage.trees is not None else None
    verdict = stage.verdict.model_dump(mode="json")
    gains = sorted(verdict.pop("gains").items(), key=lambda pair: -pair[1])[:_SHOWN_FEATURES]
    return {
        **verdict,
        "training_seconds": round(seconds, 1),
        "gains": {feature: round(share, 3) for feature, share in gains},
        "milliseconds": cost,
        "requests": requests,
    }


def _serving_cost(
    dataset: Prepared, model: TrainedModel, catalogue: CatalogueFacts, stage: SecondStageModel, requests: int
) -> dict[str, Any]:
    """Milliseconds of a request for ten items in this process, over users in a fixed order, each asked both ways."""
    import numpy as np

    from resources.ranker.query import RankingQuery

    with_trees = replace(stage, verdict=stage.verdict.model_copy(update={"goes_live": True}))
    rankers = {
        "without": _ranker(dataset, model, None, catalogue),
        "with_second_stage": _ranker(dataset, model, with_trees, catalogue),
    }
    data = dataset.training_set
    known = np.flatnonzero(data.full.items_per_user(data.n_users))
    asked = [data.users.ids[row] for row in np.random.default_rng(1).choice(known, requests)]
    taken: dict[str, list[float]] = {which: [] for which in rankers}
    for user in asked:
        for which, ranker in rankers.items():
            started = time.perf_counter()
            ranker.recommend(RankingQuery(user, _COUNT))
            taken[which].append(1000 * (time.perf_counter() - started))
    return {
        which: {f"p{p}": round(float(np.percentile(each, p)), 3) for p in (50, 95, 99)} for which, each in taken.items()
    }


def _ranker(
    dataset: Prepared, model: TrainedModel, stage: SecondStageModel | None, catalogue: CatalogueFacts
) -> Ranker:
    """A ranker over a release of the model, written and loaded as the product does it."""
    from recsaas_assets.recommender.evaluation.report import EvaluationReport, SplitSummary
    from recsaas_assets.recommender.second_stage.release import with_second_stage
    from recsaas_assets.release.releasing import contents_of, item_table, release_vectors
    from resources.ranker.ranker import Ranker
    from resources.ranker.retrieval.index import build_index
    from resources.release.load import load_release
    from resources.release.manifest import GateDecision, ManifestDraft
    from resources.release.store import ReleaseStore, new_version
    from resources.storage.lake import read_parquet

    data, lake, now = dataset.training_set, dataset.tenant, LAST_DAY
    popular = read_parquet(lake.dbt / "item_features.parquet").select("item_id", popularity="popularity_score")
    _, vectors = release_vectors(data, model)
    items = item_table(data, vectors, read_parquet(lake.dbt / "stg_items.parquet"), popular)
    index, info = build_index(vectors)
    contents = contents_of(data, model, items, EvaluationReport(split=SplitSummary(evaluable=False)), index)
    if stage is not None:
        contents = with_second_stage(contents, stage, data, model, catalogue)
    draft = ManifestDraft(
        tenant=lake.tenant.value,
        created_at=now,
        trained_at=now,
        algorithm="lightgcn",
        dbt_project_hash="",
        dbt_invocation_id="",
        training_set_fingerprint=data.fingerprint,
        code_version="",
        taste_dimensions=model.config.learned_dim,
        seed=model.seed,
        dagster_run_id="",
        gate=GateDecision(outcome="skipped"),
        index=info,
        events_until=None,
        interactions=len(data.full),
    )
    store = ReleaseStore(lake)
    version = new_version(now, f"{int(stage is not None):08x}")
    store.write(version, contents, draft)
    return Ranker(load_release(store.directory(version), cache=store.cache))
