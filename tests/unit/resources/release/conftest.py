"""A tiny release: users ann and böb, items i0–i2, two dimensions."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from resources.base.tenant import TenantId
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.item_table import ItemTable
from resources.release.manifest import GateDecision, IndexInfo, ManifestDraft, ReleaseMetrics, UploadReference
from resources.release.store import ReleaseStore
from resources.storage.lake import TenantLake


@pytest.fixture
def contents() -> ReleaseContents:
    items = pl.DataFrame(
        {
            "item_row": [0, 1, 2],
            "item_id": ["i0", "i1", "ítem 2"],
            "title": ["Mug", "Cup", None],
            "category": ["Kitchen", " kitchen", None],
            "brand": ["Acme", None, None],
            "price": [5.0, None, None],
            "tags": ["red|Gift", "gift", None],
            "image_url": [None, None, None],
            "available": [True, None, True],
            "in_catalogue": [True, True, False],
            "popularity": [3.0, 1.0, None],
            "has_vector": [True, True, True],
            "vector_source": [None, None, None],
            "trending": [None, None, None],
            "listed_at": [20454.5, 20000.0, None],
        },
        schema=ITEM_SCHEMA,
    )
    item_vectors = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    return ReleaseContents(
        user_ids=("ann", "böb"),
        items=items,
        user_vectors=np.array([[1, 0], [0, 0]], dtype=np.float32),
        item_vectors=item_vectors,
        seen_indptr=np.array([0, 2, 2], dtype=np.int64),
        seen_items=np.array([2, 0], dtype=np.int32),
        index_bytes=build_index(item_vectors)[0],
        evaluation_json="{}",
        evaluation_markdown="# Evaluation\n",
    )


@pytest.fixture
def table() -> ItemTable:
    """Item 0 speaks for 1 and 2, item 1 for 0; item 2 for none."""
    return ItemTable(
        indptr=np.array([0, 2, 3, 3], np.int64),
        items=np.array([1, 2, 0], np.int32),
        values=np.array([0.5, 1.0, 0.25], np.float32),
        prior=np.array([0.0, 0.1, 0.0], np.float32),
    )


@pytest.fixture
def draft() -> ManifestDraft:
    return ManifestDraft(
        tenant="blue-shop",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        algorithm="lightgcn",
        uploads=(UploadReference(id="u1", kind="items", sha256="ab", rows=3),),
        event_watermark=7,
        dbt_project_hash="d",
        dbt_invocation_id="inv",
        training_set_fingerprint="f",
        code_version="0.1.0",
        hyperparameters={"dim": 2, "layers": [0.1, 0.9], "loss": "bpr"},
        seed=1,
        dagster_run_id="run",
        metrics=ReleaseMetrics(overall={"ndcg@10": 0.25}, cohorts={"cold": {"ndcg@10": None}}),
        gate=GateDecision(outcome="passed"),
        index=IndexInfo(type="flat_ip", recall=1.0),
        trained_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        events_until=datetime(2026, 1, 1, tzinfo=UTC),
        interactions=4,
    )


@pytest.fixture
def lake(tmp_path: Path) -> TenantLake:
    root = UPath(tmp_path / "tenants" / "blue-shop")
    return TenantLake(tenant=TenantId("blue-shop"), root=root, scratch=tmp_path / "scratch")


@pytest.fixture
def store(lake: TenantLake) -> ReleaseStore:
    return ReleaseStore(lake)
