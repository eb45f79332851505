"""`recsaas bench ann`: the retrieval index of a large catalogue, its speed and what it finds, beside exact search.

With `--neighbours` what an item table takes instead: it has no index.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import json_option, notes, print_json, results

_K = 20
_USERS = 1_000
_CHECKED = 100
_EXACT = 40
_HISTORIES = (5, 20, 50, 200)

Rows = NDArray[np.integer]


@click.command()
@click.option("--items", default=1_000_000, show_default=True, type=click.IntRange(min=1_000), help="How many.")
@click.option("--dimensions", default=64, show_default=True, type=click.IntRange(min=2), help="Of the vectors.")
@click.option("--neighbours", type=click.IntRange(1, 200), help="Ask an item table with rows of so many instead.")
@click.option("--seed", default=7, show_default=True, help="Of the vectors or the table.")
@json_option
def ann(items: int, dimensions: int, neighbours: int | None, seed: int, as_json: bool) -> None:
    """Build the index over clustered vectors, search it for single users, and ask the ranker with filters.

    One thread searches, as in a worker of the service; the build takes all cores. `recall@20` is the share of the exact
    20 best that is found. `cpu_p95_ms` is what the search itself took, whatever else the machine was doing.
    """
    measured = measure(items, dimensions, seed) if neighbours is None else measure_table(items, neighbours, seed)
    answer = {**measured, "machine": machine()}
    if as_json:
        print_json(answer)
    else:
        results.print_json(data=answer)


def measure(items: int, dimensions: int, seed: int) -> dict[str, Any]:
    """Return the figures of one catalogue."""
    from recsaas_assets.benchmarks.serving.ann_release import loaded, made_up
    from resources.ranker.eligibility.filters import Filters
    from resources.ranker.ranker import Ranker
    from resources.ranker.retrieval.index import build_index
    from resources.ranker.retrieval.search import VectorSearch

    notes.print("vectors …")
    vectors = made_up(items, _USERS, dimensions, seed)
    notes.print("index …")
    started = time.perf_counter()
    built, info = build_index(vectors.items, user_vectors=vectors.users[::2])
    build_seconds = time.perf_counter() - started
    asking = vectors.users[1::2]  # none of them tuned the index
    with tempfile.TemporaryDirectory() as folder:
        ranker = Ranker(loaded(vectors, built, info, Path(folder)))
    search = ranker.search
    scan = VectorSearch(vectors.items)
    everything = np.ones(items, dtype=np.bool_)
    notes.print("searches …")
    found = _searched(
        lambda query: search.top(query, _K, everything, allowed_before=items, removed=0)[0],
        lambda query: scan.exact(query, _K, everything)[0],
        asking,
    )
    exact = _timed(lambda query: scan.exact(query, _K, everything)[0], asking[:_EXACT])
    filtered = {
        name: _filtered(ranker, filters)
        for name, filters in {
            "half_of_the_items_by_price": Filters(min_price=50.0),
            "one_category_of_twenty": Filters(category="3"),
            "one_category_under_a_price": Filters(category="3", max_price=10.0),
        }.items()
    }
    slowest = max(filtered.values(), key=lambda each: each["cpu_p95_ms"])
    return {
        "items": items,
        "dimensions": dimensions,
        "seed": seed,
        "index": info.type,
        "parameters": info.parameters,
        "recall_in_manifest": round(info.recall, 4),
        "build_seconds": round(build_seconds, 1),
        "memory_bytes": len(built),
        **found,
        "filtered": {**slowest, **filtered},
        "exact": exact,
    }


def measure_table(items: int, neighbours: int, seed: int) -> dict[str, Any]:
    """Return the figures of one item table: from a history to the best of a mask, and whole answers of the ranker."""
    from recsaas_assets.benchmarks.serving.ann_release import loaded, made_up, random_table
    from resources.ranker.query import RankingQuery
    from resources.ranker.ranker import Ranker
    from resources.ranker.retrieval.index import build_index
    from resources.ranker.retrieval.scored import ScoredItems

    notes.print("table …")
    table = random_table(items, neighbours, seed)
    vectors = made_up(items, _USERS, 2, seed)
    with tempfile.TemporaryDirectory() as folder:
        release = loaded(vectors, *build_index(vectors.items[:, :0]), Path(folder))
        manifest = release.manifest.model_copy(update={"algorithm": "item_knn"})
        ranker = Ranker(replace(release, item_table=table, manifest=manifest))
    allowed = release.catalogue.available

    def best(rows: NDArray[np.int32]) -> object:
        scores = table.scores_by(table.entries(rows), np.ones(len(rows)))
        return None if scores is None else ScoredItems(scores).top(_K, allowed)

    rng = np.random.default_rng(seed)
    histories = {
        size: [rng.choice(items, size, replace=False).astype(np.int32) for _ in range(_CHECKED)] for size in _HISTORIES
    }
    users = [f"u{row}" for row in range(_USERS)]
    notes.print("answers …")
    return {
        "items": items,
        "neighbours": neighbours,
        "seed": seed,
        "memory_bytes": table.nbytes,
        "by_items_of_the_history": {str(size): _timed(best, asked) for size, asked in histories.items()},
        "recommend_after_50": _timed(lambda user: ranker.recommend(RankingQuery(user, _K)), users),
    }


def _searched(search: Callable[[Any], Rows], exact: Callable[[Any], Rows], queries: Any) -> dict[str, float]:
    hits = [np.intersect1d(search(query), exact(query)).size for query in queries[:_CHECKED]]
    return {"recall@20": round(sum(hits) / (_K * len(hits)), 4), **_timed(search, queries)}


def _filtered(ranker: Any, filters: Any) -> dict[str, float]:
    """Ask the ranker as the service does: seen items are left out, and answers have their reasons."""
    from resources.ranker.query import RankingQuery

    users = [f"u{row}" for row in range(1, _USERS, 2)]
    recall = []
    for user in users[: _CHECKED // 3]:
        found = {item.item_id for item in ranker.recommend(RankingQuery(user, _K, filters)).items}
        best = {item.item_id for item in ranker.exact(RankingQuery(user, _K, filters)).items}
        recall.append(len(found & best) / len(best))
    timed = _timed(lambda user: ranker.recommend(RankingQuery(user, _K, filters)), users)
    return {"recall@20": round(float(np.mean(recall)), 4), **timed}


def _timed(work: Callable[[Any], object], cases: Any) -> dict[str, float]:
    wall, cpu = [], []
    for case in cases:
        started, worked = time.perf_counter(), time.thread_time()
        work(case)
        cpu.append((time.thread_time() - worked) * 1000)
        wall.append((time.perf_counter() - started) * 1000)
    figures = {"p50_ms": (wall, 50), "p95_ms": (wall, 95), "cpu_p50_ms": (cpu, 50), "cpu_p95_ms": (cpu, 95)}
    return {name: round(float(np.percentile(values, at)), 3) for name, (values, at) in figures.items()}
