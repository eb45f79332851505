"""The second stage in a release: written, verified and loaded with it, and without an erased user's features."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.recommender.second_stage.model import SecondStageModel, SecondStageVerdict
from recsaas_assets.recommender.second_stage.release import with_second_stage
from resources.base.errors import CorruptRelease
from resources.base.tenant import TenantId
from resources.erasure.places.releases import contents_without, read_contents
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.load import load_release
from resources.release.manifest import GateDecision, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import TenantLake
from tests.unit.recsaas_assets.recommender.second_stage.conftest import ITEMS, USERS, Case

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def released(contents: ReleaseContents, case: Case, *, goes_live: bool = True) -> ReleaseContents:
    return with_second_stage(contents, stage(goes_live=goes_live), case.data, case.model, case.catalogue)


def stage(*, goes_live: bool) -> SecondStageModel:
    return SecondStageModel(SecondStageVerdict(goes_live=goes_live, reason=""), b"trees", "")


@pytest.fixture
def contents(case: Case) -> ReleaseContents:
    items = pl.DataFrame(
        {name: [None] * ITEMS for name in ITEM_SCHEMA} | {"item_id": list(case.data.items.ids)}, strict=False
    ).with_columns(item_row=pl.int_range(ITEMS), has_vector=True, in_catalogue=True)
    return ReleaseContents(
        user_ids=case.data.users.ids,
        items=items.cast(ITEM_SCHEMA),  # type: ignore[arg-type]
        user_vectors=case.model.release.users,
        item_vectors=case.model.release.items,
        seen_indptr=np.zeros(USERS + 1, np.int64),
        seen_items=np.empty(0, np.int32),
        index_bytes=build_index(case.model.release.items)[0],
        evaluation_json="{}",
        evaluation_markdown="",
    )


def written(contents: ReleaseContents, folder: Path) -> UPath:
    store = ReleaseStore(TenantLake(TenantId("blue"), UPath(folder), folder))
    draft = ManifestDraft(
        tenant="blue",
        created_at=NOW,
        trained_at=NOW,
        algorithm="lightgcn",
        dbt_project_hash="",
        dbt_invocation_id="",
        training_set_fingerprint="",
        code_version="",
        seed=1,
        dagster_run_id="",
        gate=GateDecision(outcome="passed"),
        index=build_index(contents.item_vectors)[1],
        events_until=None,
        interactions=0,
    )
    version = new_version(NOW, "00000001")
    store.write(version, contents, draft)
    return store.directory(version)


def test_what_the_gate_drops_is_not_in_the_release(case: Case, contents: ReleaseContents) -> None:
    assert released(contents, case, goes_live=False) is contents


def test_a_release_that_answers_from_a_table_keeps_its_own(case: Case, contents: ReleaseContents) -> None:
    with_table = replace(contents, item_table=released(contents, case).item_table)

    assert released(with_table, case) is with_table


def test_it_is_stored_loaded_and_verified_with_the_release(
    case: Case, contents: ReleaseContents, tmp_path: Path
) -> None:
    directory = written(released(contents, case), tmp_path)

    loaded = load_release(directory)

    assert loaded.second_stage_users is not None and loaded.second_stage_users.shape == (USERS, 5)
    assert loaded.second_stage_items is not None and loaded.second_stage_items.shape == (ITEMS, 11)
    assert loaded.item_table is not None and loaded.item_table.n_items == ITEMS
    (Path(str(directory)) / "second_stage.txt").write_bytes(b"other")
    with pytest.raises(CorruptRelease, match=r"second_stage\.txt"):
        load_release(directory)


def test_an_erased_user_leaves_the_features_too(case: Case, contents: ReleaseContents, tmp_path: Path) -> None:
    whole = released(contents, case)
    directory = written(whole, tmp_path)

    left = contents_without(read_contents(directory), "u03")

    assert left.second_stage == b"trees"
    assert left.second_stage_users is not None and left.second_stage_items is not None
    assert whole.second_stage_users is not None
    assert np.array_equal(left.second_stage_users, np.delete(whole.second_stage_users, 3, axis=0))
    assert len(left.second_stage_items) == ITEMS
    left.check()
