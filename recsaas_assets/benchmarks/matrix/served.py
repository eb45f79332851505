"""What the product serves a shop by default: uploaded, run, and asked of the release that went live by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recsaas_assets.benchmarks.datasets import build_signals
from recsaas_assets.benchmarks.matrix.shops import MatrixSet, MatrixShop
from recsaas_assets.benchmarks.workplace import Workplace, workplace
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.dataset import TrainingSet, pair_weights
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.evaluation.report import EvaluationReport
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.holdout import Holdout
from resources.base.errors import NotReady
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.ranker.live import live_ranker
from resources.ranker.query import RankingQuery
from resources.release.contents import EVALUATION_JSON
from resources.release.manifest import ReleaseManifest
from resources.release.store import ReleaseStore
from resources.storage.lake import read_json
from resources.uploads.contract.columns import Kind

DEPTH = 20
RunPipeline = Callable[[Workplace, TenantId], dict[str, Any]]
"""Runs a tenant's pipeline and returns what `recsaas run --json` prints."""


@dataclass(frozen=True, slots=True, eq=False)
class ServedShop:
    """One shop after its first run, and the truth that it has not seen.

    Attributes:
        data: the training set of the run; `data.full` is everything that the shop had uploaded.
        model: the model of the run, which need not be what is served.
        holdout: what was held back, after `data.full`.
        users: rows `(n,)` of the users with a target, and
        lists: `(n, DEPTH)` the item rows that they were served, −1 where the list ends.
        report: the evaluation as the release holds it, with its second stage.
        run: what `recsaas run --json` printed.
    """

    data: TrainingSet
    model: TrainedModel
    holdout: Holdout
    users: Rows
    lists: Rows
    manifest: ReleaseManifest
    report: EvaluationReport
    run: dict[str, Any]


def run_in_process_of_its_own(site: Workplace, tenant: TenantId) -> dict[str, Any]:
    """Run the pipeline as a person would."""
    answer: dict[str, Any] = site.recsaas("run", tenant.value)
    return answer


@contextmanager
def served(shape: MatrixSet, seed: int, run: RunPipeline = run_in_process_of_its_own) -> Iterator[ServedShop]:
    """Upload the shop into an empty installation with default settings, run it, and ask its release for every list.

    What was held back by time is uploaded after the run, so that the product's own rules say which of it counts.

    Raises:
        NotReady: the run failed, or nobody is left to measure with.
        InvalidInput: the data are not there.
    """
    shop, tenant = shape.read(seed), TenantId(shape.name)
    with workplace() as site:
        site.add_tenant(tenant)
        site.upload(tenant, Kind.ITEMS, shop.items)
        site.upload(tenant, Kind.INTERACTIONS, shop.interactions)
        outcome = run(site, tenant)
        if not outcome["success"]:
            raise NotReady(f"The run of {shape.name} failed at {outcome['failed_step']}: {outcome['message']}")
        lake = site.tenant(tenant)
        data = TrainingSet.load(lake.training)
        later = _later(site, tenant, shop) if shape.split == "time" else shop.later
        holdout = Holdout(data.full, _pairs(later, data), data.n_users, data.n_items)
        users = np.unique(holdout.targets.user_row).astype(np.int32)
        if len(users) == 0:
            raise NotReady(f"Of {shape.name} nobody is left to measure with.")
        store = ReleaseStore(lake)
        live = store.live_version()
        yield ServedShop(
            data=data,
            model=TrainedModel.load(lake.model, data),
            holdout=holdout,
            users=users,
            lists=_lists(site, tenant, data, users),
            manifest=store.manifest(live),
            report=EvaluationReport.model_validate(read_json(store.directory(live) / EVALUATION_JSON)),
            run=outcome,
        )


def _later(site: Workplace, tenant: TenantId, shop: MatrixShop) -> pl.DataFrame:
    """The pairs that the held-back rows make, weighed as the test period of a training set is: without dislikes."""
    first = shop.later["timestamp"].str.to_datetime(time_zone="UTC").min()
    site.upload(tenant, Kind.INTERACTIONS, shop.later)
    signals = build_signals(site, tenant).filter(pl.col("timestamp") >= first)
    return pair_weights(signals, get_tenant(site.db, tenant).settings.weights.cap)


def _pairs(later: pl.DataFrame, data: TrainingSet) -> Pairs:
    """The pairs of users and items that the training set knows."""
    users, items = data.users.rows(later["user_id"]), data.items.rows(later["item_id"])
    known = (users >= 0) & (items >= 0)
    return Pairs.of(users[known], items[known])


def _lists(site: Workplace, tenant: TenantId, data: TrainingSet, users: Rows) -> Rows:
    """What the live release answers to each user, as the service would: unseen items, its filters, its second stage."""
    ranker = live_ranker(site.lake, tenant)
    answers = []
    for user in users.tolist():
        answer = ranker.recommend(RankingQuery(data.users.ids[user], DEPTH, exclude_seen=True, explain=False))
        answers.append([item.item_id for item in answer.items])
    rows = data.items.rows(pl.Series([item for answer in answers for item in answer], dtype=pl.String))
    lists = np.full((len(users), DEPTH), -1, dtype=np.int32)
    lengths = np.array([len(answer) for answer in answers])
    places = np.arange(DEPTH)[None, :] < lengths[:, None]
    lists[places] = rows
    return lists
