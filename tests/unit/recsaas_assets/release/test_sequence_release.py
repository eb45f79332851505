"""A sequence model from its training to the answers of its release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.report import EvaluationReport, SplitSummary
from recsaas_assets.recommender.lifecycle.train import TrainingInputs, train
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.metrics.scorers import VectorScorer
from recsaas_assets.release.releasing import contents_of, item_table
from resources.base.errors import CorruptArtifact
from resources.base.tenant import TenantId
from resources.erasure.places.releases import contents_without, read_contents
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.retrieval.index import build_index
from resources.release.load import load_release
from resources.release.manifest import GateDecision, IndexInfo, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import TenantLake
from resources.tenants.model_configs import SequenceConfig
from tests.unit.recsaas_assets.recommender.communities import shop

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONFIG = SequenceConfig(dim=8, hidden=8, heads=2, length=6, steps=4, negatives=16, batch_size=64)


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return shop()


@pytest.fixture(scope="module")
def model(data: TrainingSet) -> TrainedModel:
    return train(TrainingInputs(data), CONFIG, seed=1)


@pytest.fixture
def ranker(data: TrainingSet, model: TrainedModel, tmp_path: Path) -> Ranker:
    store = ReleaseStore(TenantLake(TenantId("blue-shop"), UPath(tmp_path), tmp_path))
    catalogue = pl.DataFrame(
        schema={"item_id": pl.String, "title": pl.String, "category": pl.String, "brand": pl.String,
                "price": pl.Float64, "tags": pl.String, "image_url": pl.String, "available": pl.Boolean}
    )  # fmt: skip
    popular = pl.DataFrame({"item_id": list(data.items.ids)}).with_columns(popularity=1.0)
    items = item_table(data, model.release.items, catalogue, popular).with_columns(in_catalogue=True)
    index, info = build_index(model.release.items, user_vectors=model.release.users)
    report = EvaluationReport(split=SplitSummary(evaluable=False, evaluated_users=0), models={}, cohorts={})
    draft = ManifestDraft(
        tenant="blue-shop",
        created_at=NOW,
        algorithm="sequence",
        dbt_project_hash="",
        dbt_invocation_id="",
        training_set_fingerprint=data.fingerprint,
        code_version="",
        seed=1,
        dagster_run_id="",
        gate=GateDecision(outcome="passed"),
        taste_dimensions=CONFIG.learned_dim,
        index=IndexInfo(type=info.type, recall=info.recall),
        trained_at=NOW,
        events_until=None,
        interactions=1,
    )
    version = new_version(NOW, "00000001")
    store.write(version, contents_of(data, model, items, report, index), draft)
    return Ranker(load_release(store.directory(version)))


def test_the_ranker_gives_the_lists_of_the_evaluation(data: TrainingSet, model: TrainedModel, ranker: Ranker) -> None:
    scorer = VectorScorer(model.release.users, model.release.items, data.full.users_per_item(data.n_items) > 0)
    users = np.arange(data.n_users, dtype=np.int32)
    ranked, _ = scorer.top_k(users, 5, data.full.csr(data.n_users, data.n_items))
    for user in users.tolist():
        answer = ranker.recommend(RankingQuery(data.users.ids[user], 5))
        assert [item.item_id for item in answer.items if item.source == "model"] == [
            data.items.ids[row] for row in ranked[user] if row >= 0
        ]


def test_a_visitor_with_the_events_of_a_user_gets_the_users_list(ranker: Ranker, data: TrainingSet) -> None:
    """Torch made the user's vector in training, numpy makes the visitor's at answer time."""
    for user in data.users.ids:
        history = ranker.release.history(user)
        events = tuple(data.items.ids[row] for row in history)
        known = ranker.recommend(RankingQuery(user, 5))
        visitor = ranker.recommend(RankingQuery(None, 5, recent_items=events))
        assert [item.item_id for item in visitor.items] == [item.item_id for item in known.items]


def test_the_encoder_is_kept_with_the_model_and_belongs_to_its_digest(
    data: TrainingSet, model: TrainedModel, tmp_path: Path
) -> None:
    folder = UPath(tmp_path / "model")
    model.save(folder)
    again = TrainedModel.load(folder, data)
    assert again.digest == model.digest
    assert again.encoder is not None and model.encoder is not None
    assert again.encoder.to_bytes() == model.encoder.to_bytes()
    (folder / "release_encoder.npz").unlink()
    with pytest.raises(CorruptArtifact, match="release_encoder"):
        TrainedModel.load(folder, data)


def test_an_erasure_keeps_the_encoder(ranker: Ranker, data: TrainingSet) -> None:
    contents = read_contents(UPath(ranker.release.directory))
    without = contents_without(contents, data.users.ids[0])
    assert contents.sequence_encoder is not None and without.sequence_encoder == contents.sequence_encoder
    assert len(without.user_vectors) == data.n_users - 1
