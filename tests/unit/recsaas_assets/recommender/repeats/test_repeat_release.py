"""What was learned of repeats as a part of a release, whose answers are the lists that were measured."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.baselines.popularity import popularity_scorer
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.evaluator import Evaluator
from recsaas_assets.recommender.metrics.holdout import Holdout
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from recsaas_assets.recommender.repeats.learning import RepeatFindings, learn_repeats
from recsaas_assets.recommender.repeats.lists import with_repeats
from recsaas_assets.recommender.repeats.purchases import Bought, histories_before, repeatable
from recsaas_assets.recommender.repeats.release import (
    load_findings,
    released_curve,
    save_findings,
    with_released_repeats,
)
from recsaas_assets.release.releasing import histories
from resources.base.errors import CorruptArtifact
from resources.base.tenant import TenantId
from resources.erasure.places.releases import contents_without
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.load import load_release
from resources.release.manifest import GateDecision, IndexInfo, ManifestDraft
from resources.release.store import ReleaseStore
from resources.storage.lake import TenantLake
from tests.unit.recsaas_assets.recommender.repeats.grocery import grocery, training_set

NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return training_set(grocery())


@pytest.fixture(scope="module")
def bought(data: TrainingSet) -> Bought:
    return repeatable(grocery(), data)


@pytest.fixture(scope="module")
def found(data: TrainingSet, bought: Bought) -> RepeatFindings:
    scorers = popularity_scorer(data.train, data.n_items), popularity_scorer(data.before_test, data.n_items)
    return learn_repeats(bought, data, scorers, seed=7)


@pytest.fixture(scope="module")
def contents(data: TrainingSet) -> ReleaseContents:
    rng = np.random.default_rng(1)
    n = data.n_items
    items = pl.DataFrame(
        {"item_row": range(n), "item_id": data.items.ids, "popularity": rng.random(n)}
        | {name: [True] * n for name in ("available", "in_catalogue", "has_vector")}
    )
    missing = [pl.lit(None).alias(name) for name in ITEM_SCHEMA if name not in items.columns]
    items = items.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in ITEM_SCHEMA.items())
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    indptr, seen = histories(data)
    return ReleaseContents(
        user_ids=data.users.ids,
        items=items,
        user_vectors=rng.normal(size=(data.n_users, 4)).astype(np.float32),
        item_vectors=vectors,
        seen_indptr=indptr,
        seen_items=seen,
        index_bytes=build_index(vectors)[0],
        evaluation_json="{}",
        evaluation_markdown="",
    )


def ranker(tmp_path: Path, contents: ReleaseContents, found: RepeatFindings) -> Ranker:
    store = ReleaseStore(TenantLake(TenantId("grocery"), UPath(tmp_path), tmp_path))
    manifest = ManifestDraft(
        tenant="grocery", created_at=NOW, algorithm="lightgcn", dbt_project_hash="", dbt_invocation_id="",
        training_set_fingerprint="", code_version="", seed=0, dagster_run_id="", gate=GateDecision(outcome="passed"),
        index=IndexInfo(type="flat_ip", recall=1), trained_at=NOW, events_until=None, interactions=0,
        repeats=released_curve(found),
    )  # fmt: skip
    version = "20250601T000000Z-00000001"
    store.write(version, contents, manifest)
    return Ranker(load_release(store.directory(version)))


def test_what_was_measured_is_what_is_answered(
    tmp_path: Path, contents: ReleaseContents, found: RepeatFindings, bought: Bought, data: TrainingSet
) -> None:
    assert found.model is not None
    released = with_released_repeats(contents, found, bought, data)
    answering = ranker(tmp_path, released, found)
    scorer = VectorScorer(released.user_vectors, released.item_vectors, np.ones(data.n_items, dtype=bool))
    holdout = Holdout(data.full, data.full, data.n_users, data.n_items)
    plain = Evaluator(holdout, seed=1).rank(scorer, data.full)
    history = histories_before(bought, data.full, data.n_items, bought.end)
    merged = with_repeats(plain, history, found.model)
    repeated = 0
    for place, user in enumerate(merged.users.tolist()):
        query = RankingQuery(data.users.ids[user], merged.ranked.shape[1], exclude_seen=None)
        answer = answering.recommend(query).items
        assert [item.item_id for item in answer] == [data.items.ids[row] for row in merged.ranked[place]]
        seen = set(released.seen_items[released.seen_indptr[user] : released.seen_indptr[user + 1]].tolist())
        assert [item.source == "repeat" for item in answer] == [row in seen for row in merged.ranked[place].tolist()]
        repeated += sum(item.source == "repeat" for item in answer)
    assert repeated > 2 * len(merged.users)


def test_the_file_has_one_row_for_each_seen_item_and_goes_with_the_user(
    contents: ReleaseContents, found: RepeatFindings, bought: Bought, data: TrainingSet
) -> None:
    released = with_released_repeats(contents, found, bought, data)
    assert released.repeats is not None and found.model is not None
    history = histories_before(bought, data.full, data.n_items, bought.end)
    known = dict(zip(history.keys(data.n_items).tolist(), found.model.columns(history), strict=True))
    users = np.repeat(np.arange(data.n_users), np.diff(released.seen_indptr))
    for place, (user, item) in enumerate(zip(users.tolist(), released.seen_items.tolist(), strict=True)):
        assert np.array_equal(released.repeats[place], known[user * data.n_items + item])
    left = contents_without(released, "u7")
    left.check()
    gone = data.users.ids.index("u7")
    assert left.repeats is not None
    assert np.array_equal(left.repeats, released.repeats[users != gone])


def test_a_pair_that_was_not_bought_never_comes(
    contents: ReleaseContents, found: RepeatFindings, bought: Bought, data: TrainingSet
) -> None:
    only = Bought(bought.rows.filter(pl.col("user_row") > 0), purchases=True)
    released = with_released_repeats(contents, found, only, data)
    assert released.repeats is not None and not released.repeats[: released.seen_indptr[1]].any()


def test_without_a_verdict_for_them_the_release_has_none(
    contents: ReleaseContents, found: RepeatFindings, bought: Bought, data: TrainingSet
) -> None:
    never = RepeatFindings(found.verdict.model_copy(update={"come_again": False}), found.model)
    assert with_released_repeats(contents, never, bought, data) is contents
    assert released_curve(never) is None


def test_findings_are_kept_and_belong_to_one_model(tmp_path: Path, found: RepeatFindings) -> None:
    folder = UPath(tmp_path)
    assert not load_findings(folder, model_digest="a").verdict.come_again  # of a model of an earlier version
    save_findings(found, folder, model_digest="a")
    again = load_findings(folder, model_digest="a")
    assert again.verdict == found.verdict and again.model is not None and found.model is not None
    assert again.model.curve == found.model.curve and np.array_equal(again.model.again, found.model.again)
    with pytest.raises(CorruptArtifact, match="another model"):
        load_findings(folder, model_digest="b")
    (tmp_path / "repeats.json").write_text('{"verdict": 3}')
    with pytest.raises(CorruptArtifact, match="damaged"):
        load_findings(folder, model_digest="a")
