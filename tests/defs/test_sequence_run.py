"""A tenant that asks for a sequence model gets one by a whole run, and its release answers what just happened."""

from __future__ import annotations

from datetime import UTC, datetime

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from resources.base.tenant import TenantId
from resources.control_db.tenants import change_settings
from resources.ranker.query import RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.release.load import load_release
from tests.defs.site import Site, open_shop

SHOP = "quince"
SMALL = {"dim": 8, "hidden": 8, "length": 10, "steps": 6, "negatives": 16}


def test_a_sequence_model_from_upload_to_answer(site: Site) -> None:
    site.create(SHOP)
    changes = {f"training.hyperparameters.{name}": value for name, value in SMALL.items()}
    change_settings(
        site.db, TenantId(SHOP), {"training.model_type": "sequence", **changes}, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    open_shop(site, SHOP, "q-")
    outcome = site.run(SHOP)
    assert outcome.success, outcome.message
    lake, store = site.lake(SHOP), site.releases(SHOP)
    version = store.current()
    assert version is not None
    manifest = store.manifest(version)
    assert manifest.algorithm == "sequence" and manifest.hyperparameters["model_type"] == "sequence"
    assert manifest.hyperparameters["adapt"] is False
    data = TrainingSet.load(lake.training)
    assert TrainedModel.load(lake.model, data).encoder is not None

    ranker = Ranker(load_release(store.directory(version)))
    user = data.users.ids[int(data.full.user_row[0])]
    assert {item.source for item in ranker.recommend(RankingQuery(user, 3)).items} == {"model"}
    events = tuple(data.items.ids[row] for row in ranker.release.history(user))
    visitor = ranker.recommend(RankingQuery("somebody", 3, recent_items=events))
    assert [item.item_id for item in visitor.items] == [
        item.item_id for item in ranker.recommend(RankingQuery(user, 3)).items
    ]
    assert {item.source for item in ranker.similar(SimilarQuery(events[0], 3)).items} == {"model"}
