"""What goes into a release, and what its manifest says about its origin."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from upath import UPath

from recsaas_assets.features.dbt_runner import BuildRecord
from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.evaluation.gate import GateOutcome, Verdict
from recsaas_assets.recommender.evaluation.live_model import DamagedRelease, LiveModel
from recsaas_assets.recommender.evaluation.report import (
    Cohort,
    EvaluationReport,
    LiveSummary,
    SplitSummary,
)
from recsaas_assets.recommender.item_models.fitted import FittedTable, ItemModels
from recsaas_assets.recommender.item_models.recipes import KnnRecipe
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.release.releasing import (
    ReleaseCandidate,
    ReleaseOrigin,
    check_belongs,
    contents_of,
    histories,
    item_table,
    live_model,
    manifest_draft,
    release_vectors,
)
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.uploads import UploadRecord
from resources.erasure.places.releases import contents_without, read_contents, seen_items_in
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.load import load_release
from resources.release.manifest import IndexInfo, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import TenantLake
from resources.tenants.model_configs import LightGCNConfig

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 2, 1, tzinfo=UTC)
NO_TABLES = ItemModels("fingerprint")
REPORT = EvaluationReport(
    tables_digest=NO_TABLES.digest,
    split=SplitSummary(evaluable=True, test_start=START, evaluated_users=30),
    models={"lightgcn": {"ndcg@10": 0.3}, "popularity": {"ndcg@10": 0.2}},
    cohorts={"new_users": Cohort(about="x", users=1, pairs=1, models={"lightgcn": {"ndcg@10": 0.1}})},
    second_stage={"ndcg@10": 0.31},
)


@pytest.fixture
def data() -> TrainingSet:
    """Rows: users ana, bö, none (disliked only); items cold (catalogue only), gone (interactions only), x, y."""
    rows = [("bö", "x", 0, 1.0), ("ana", "y", 1, 1.0), ("ana", "gone", 3, 2.0), ("ana", "x", 2, 1.0)]
    rows += [("ana", "y", 5, 1.0), ("none", "x", 4, -1.0)]
    frame = pl.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "timestamp": pl.Series([START + timedelta(days=row[2]) for row in rows], dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * len(rows),
            "signal": [row[3] for row in rows],
        }
    )
    built = build_training_set(frame, pl.Series("item_id", ["x", "y", "cold"]), 10)
    assert built.users.ids == ("ana", "bö", "none")
    assert built.items.ids == ("cold", "gone", "x", "y")
    return built


@pytest.fixture
def model(data: TrainingSet) -> TrainedModel:
    users, items = np.ones((3, 2), np.float32), VECTORS
    vectors = ModelVectors(users=users, items=items, fold_in=items, start_users=users, start_items=items)
    return TrainedModel(
        config=LightGCNConfig(dim=2),
        seed=5,
        epochs=9,
        seconds=1.0,
        fingerprint=data.fingerprint,
        holdout=vectors,
        release=vectors,
        history=(),
    )


def catalogue(**columns: list[Any]) -> pl.DataFrame:
    base: dict[str, list[Any]] = {
        "item_id": ["y", "cold", "x"],
        "title": ["Y", "Kalt ❄", "X"],
        "category": ["A", None, "A"],
        "brand": [None] * 3,
        "price": [1.5, None, 0.0],
        "tags": [None] * 3,
        "image_url": [None] * 3,
        "available": [True, True, False],
    }
    return pl.DataFrame({**base, **columns}, schema_overrides={"brand": pl.String, "tags": pl.String})


VECTORS = np.array([[0, 0], [2, 2], [2, 2], [2, 2]], np.float32)  # nothing is known of the first item
POPULAR = pl.DataFrame({"item_id": ["x", "gone"], "popularity": [3.0, 1.0]})


def test_every_item_row_has_its_line_in_row_order(data: TrainingSet) -> None:
    table = item_table(data, VECTORS, catalogue(), POPULAR)
    assert dict(table.schema) == ITEM_SCHEMA
    assert table.select(
        "item_row", "item_id", "title", "available", "in_catalogue", "popularity", "vector_source"
    ).rows() == [
        (0, "cold", "Kalt ❄", True, True, 0.0, None),
        (1, "gone", None, True, False, 1.0, "model"),
        (2, "x", "X", False, True, 3.0, "model"),
        (3, "y", "Y", True, True, 0.0, "model"),
    ]
    assert table["has_vector"].to_list() == [False, True, True, True]


def test_growth_comes_with_popularity(data: TrainingSet) -> None:
    features = POPULAR.with_columns(trending=pl.Series([-0.5, 0.7]))
    assert item_table(data, VECTORS, catalogue(), features)["trending"].to_list() == [None, 0.7, -0.5, None]
    assert item_table(data, VECTORS, catalogue(), POPULAR)["trending"].null_count() == 4


def test_a_vector_without_a_pair_comes_from_content(data: TrainingSet) -> None:
    table = item_table(data, VECTORS + 1, catalogue(), POPULAR)
    assert table["vector_source"].to_list() == ["content", "model", "model", "model"]
    assert table["has_vector"].all()


def test_a_tenant_without_a_catalogue_has_items_too(data: TrainingSet) -> None:
    table = item_table(data, VECTORS, catalogue().clear(), POPULAR.clear())
    assert table["item_id"].to_list() == ["cold", "gone", "x", "y"]
    assert not table["in_catalogue"].any()


def test_histories_are_the_pairs_of_each_user_the_most_recent_last(data: TrainingSet) -> None:
    indptr, seen = histories(data)
    assert (indptr.dtype, seen.dtype) == (np.int64, np.int32)
    assert indptr.tolist() == [0, 3, 4, 4]
    assert [data.items.ids[row] for row in seen] == ["x", "gone", "y", "x"]


def test_nothing_learned_is_a_zero_vector_and_the_model_stays_as_it_is(data: TrainingSet, model: TrainedModel) -> None:
    users, items = release_vectors(data, model)
    assert users.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert np.array_equal(items, VECTORS)
    assert model.release.users.all()


def test_the_contents_fit_together(data: TrainingSet, model: TrainedModel) -> None:
    items = item_table(data, VECTORS, catalogue(), POPULAR)
    contents = contents_of(data, model, items, REPORT, b"index")
    contents.check()
    assert contents.user_ids == ("ana", "bö", "none")
    assert contents.index_bytes == b"index"
    assert EvaluationReport.model_validate_json(contents.evaluation_json) == REPORT
    assert contents.evaluation_markdown.startswith("# Evaluation")


def test_what_a_user_dislikes_is_not_answered_after_training(
    data: TrainingSet, model: TrainedModel, tmp_path: Path
) -> None:
    table = item_table(data, VECTORS, catalogue(available=[True] * 3), POPULAR)
    contents = contents_of(data, model, table, REPORT, build_index(VECTORS)[0])
    contents.check()

    def written(contents: ReleaseContents) -> UPath:
        store = ReleaseStore(TenantLake(TenantId("blue"), UPath(tmp_path), tmp_path))
        version = new_version(NOW, secrets.token_hex(4))
        store.write(version, contents, draft(data, model))
        return store.directory(version)

    def answers(contents: ReleaseContents, user: str, *, exclude_seen: bool = True) -> set[str]:
        ranking = Ranker(load_release(written(contents))).recommend(RankingQuery(user, 10, exclude_seen=exclude_seen))
        return {item.item_id for item in ranking.items}

    assert answers(contents, "none") == {"y", "cold"}
    assert answers(contents, "none", exclude_seen=False) == {"y", "cold"}
    assert answers(contents, "bö") == {"y", "cold"}
    assert answers(contents_without(read_contents(written(contents)), "ana"), "none") == {"y", "cold"}
    assert seen_items_in(written(contents), "none") == ("x",)
    erased = contents_without(contents, "none")
    assert erased.disliked is not None and not len(erased.disliked)
    assert answers(erased, "none") == {"x", "y", "cold"}


def interactions(*events: tuple[int, datetime]) -> pl.DataFrame:
    """The raw table: one uploaded line, one that deletes, and events with these numbers and times."""
    rows = [("interactions-1", 99, START + timedelta(days=9), False), ("interactions-1", 100, NOW, True)]
    rows += [("events", seq, when, False) for seq, when in events]
    names = ("upload_id", "row_number", "timestamp", "deleted")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return pl.DataFrame(columns, schema_overrides={"timestamp": pl.Datetime("us", "UTC")})


def origin(raw: pl.DataFrame | None = None) -> ReleaseOrigin:
    upload = UploadRecord(
        tenant=TenantId("blue"),
        upload_id="items-1",
        kind="items",
        sha256="ab",
        filename="f",
        source="cli",
        status="success",
        rows_accepted=3,
        rows_rejected=1,
        rows_duplicate=0,
        created_at=START,
    )
    return ReleaseOrigin(
        raw_interactions=(interactions() if raw is None else raw).lazy(),
        uploads=(upload,),
        build=BuildRecord(invocation_id="invocation", project_hash="hash"),
        code_version="0.1.0",
        run_id="run",
        replaces="before",
    )


def draft(
    data: TrainingSet, model: TrainedModel, *, outcome: GateOutcome = "promote", raw: pl.DataFrame | None = None
) -> ManifestDraft:
    candidate = ReleaseCandidate(data, model, REPORT, Verdict(outcome=outcome, reasons=("because",)))
    index = IndexInfo.model_validate(build_index(model.release.items)[1].model_dump())
    return manifest_draft("blue", candidate, origin(raw), index=index, now=NOW)


def test_the_manifest_leads_back_to_the_origin(data: TrainingSet, model: TrainedModel) -> None:
    made = draft(data, model)
    assert (made.tenant, made.created_at, made.replaces, made.dagster_run_id) == ("blue", NOW, "before", "run")
    assert (made.dbt_project_hash, made.dbt_invocation_id) == ("hash", "invocation")
    assert made.training_set_fingerprint == data.fingerprint
    assert [(u.id, u.kind, u.sha256, u.rows) for u in made.uploads] == [("items-1", "items", "ab", 3)]
    assert (made.seed, made.hyperparameters["epochs"], made.hyperparameters["dim"]) == (5, 9, 2)
    assert made.hyperparameters["start"] == "full"
    assert made.metrics.overall == {"ndcg@10": 0.3}
    assert made.metrics.baselines == {"popularity": {"ndcg@10": 0.2}}
    assert made.metrics.cohorts == {"new_users": {"ndcg@10": 0.1}}
    assert made.metrics.second_stage == {"ndcg@10": 0.31}
    assert made.interactions == 1


def test_the_watermark_is_the_newest_event_and_not_a_line_of_a_file(data: TrainingSet, model: TrainedModel) -> None:
    assert draft(data, model).event_watermark == 0
    with_events = draft(data, model, raw=interactions((7, START), (4, START + timedelta(days=20))))
    assert with_events.event_watermark == 7
    assert with_events.events_until == START + timedelta(days=20)
    assert with_events.interactions == 3


def test_no_interactions_have_no_newest_time(data: TrainingSet, model: TrainedModel) -> None:
    made = draft(data, model, raw=interactions().clear())
    assert (made.events_until, made.event_watermark, made.interactions) == (None, 0, 0)


@pytest.mark.parametrize(
    ("outcome", "algorithm", "gate"),
    [
        ("promote", "lightgcn", "passed"),
        ("promote_popularity", "popularity", "passed"),
        ("promote_unmeasured", "lightgcn", "skipped"),
        ("hold", "lightgcn", "refused"),
    ],
)
def test_the_verdict_decides_what_is_served(
    data: TrainingSet, model: TrainedModel, outcome: GateOutcome, algorithm: str, gate: str
) -> None:
    made = draft(data, model, outcome=outcome)
    assert (made.algorithm, made.gate.outcome, made.gate.reasons) == (algorithm, gate, ("because",))


def released(
    folder: Path, data: TrainingSet, model: TrainedModel, *, staged: bool = False
) -> tuple[ReleaseStore, EvaluationReport]:
    """A store whose live release was made of ``model``, and the report in it."""
    store = ReleaseStore(TenantLake(TenantId("blue"), UPath(folder), folder))
    report = REPORT.model_copy(update={"model_digest": model.digest})
    items = item_table(data, VECTORS, catalogue(), POPULAR)
    contents = contents_of(data, model, items, report, build_index(model.release.items)[0])
    if staged:
        features = np.zeros((len(VECTORS), 1), np.float32)
        contents = replace(contents, second_stage=b"", second_stage_users=features[:3], second_stage_items=features)
    manifest = store.write(new_version(NOW, "00000000"), contents, draft(data, model))
    store.promote(manifest.version, now=NOW, actor="test")
    return store, report


def test_the_live_release_is_what_the_gate_has_to_know(tmp_path: Path, data: TrainingSet, model: TrainedModel) -> None:
    store, _ = released(tmp_path, data, model, staged=True)
    live = live_model(store)
    assert isinstance(live, LiveModel)
    assert (live.start, live.measured, live.events_until) == ("full", True, START + timedelta(days=9))
    assert live.second_stage == pytest.approx(0.01)
    assert live.recipe() == (model.config, 9)
    (store.directory(live.version) / "items.parquet").unlink()
    damaged = live_model(store)
    assert isinstance(damaged, DamagedRelease)
    assert (damaged.version, "items.parquet" in damaged.problem) == (live.version, True)


def test_parts_of_different_runs_are_not_released(tmp_path: Path, data: TrainingSet, model: TrainedModel) -> None:
    store, report = released(tmp_path, data, model)
    other = replace(model, seed=6)

    def refusal(report: EvaluationReport, model: TrainedModel, index_of: str) -> str:
        with pytest.raises(InvalidInput, match="recsaas run blue --from training") as error:
            check_belongs(report, model, NO_TABLES, index_of=index_of, store=store, tenant="blue")
        return error.value.message

    assert "evaluation is of another model" in refusal(report, other, other.digest)
    assert "index is of another model" in refusal(report, model, other.digest)
    fresh = report.model_copy(update={"model_digest": other.digest})
    assert "not compared with release 2024" in refusal(fresh, other, other.digest)
    version = store.current()
    assert version is not None
    compared = fresh.model_copy(update={"live": LiveSummary(version=version)})
    check_belongs(compared, other, NO_TABLES, index_of=other.digest, store=store, tenant="blue")
    # The very model that is live may be released again: there is nothing to compare.
    check_belongs(report, model, NO_TABLES, index_of=model.digest, store=store, tenant="blue")


def test_a_table_that_is_served_goes_with_the_release_and_comes_back_as_live(
    tmp_path: Path, data: TrainingSet, model: TrainedModel
) -> None:
    recipe = KnnRecipe(neighbours=50, popularity_weight=0.1)
    made = recipe.table(data.full, data.n_users, data.n_items)
    fitted = FittedTable(recipe, 0.2, made, made)
    models = {**REPORT.models, "item_knn": {"ndcg@10": 0.4}}
    report = REPORT.model_copy(update={"models": models, "contender": "item_knn", "model_digest": model.digest})
    verdict = Verdict(outcome="promote", reasons=("because",), serves="item_knn")
    candidate = ReleaseCandidate(data, model, report, verdict, fitted)
    index, info = build_index(model.release.items)
    written = manifest_draft("blue", candidate, origin(), index=IndexInfo.model_validate(info.model_dump()), now=NOW)
    assert written.algorithm == "item_knn"
    assert written.metrics.overall == {"ndcg@10": 0.4}
    assert written.metrics.baselines == {"lightgcn": {"ndcg@10": 0.3}, "popularity": {"ndcg@10": 0.2}}
    assert written.metrics.second_stage == {}, "the trees order candidates of the vectors"
    items = item_table(data, VECTORS, catalogue(), POPULAR)
    contents = contents_of(data, model, items, report, index, table=fitted)
    contents.check()
    store = ReleaseStore(TenantLake(TenantId("blue"), UPath(tmp_path), tmp_path))
    store.promote(store.write(new_version(NOW, "00000000"), contents, written).version, now=NOW, actor="test")
    live = live_model(store)
    assert isinstance(live, LiveModel)
    assert (live.algorithm, live.table_recipe(), live.recipe()) == ("item_knn", recipe, (model.config, 9))
    assert live.item_table is not None
    for name, array in live.item_table.arrays.items():
        assert np.array_equal(array, made.arrays[name]), name


def test_other_tables_than_those_of_the_evaluation_are_not_released(
    tmp_path: Path, data: TrainingSet, model: TrainedModel
) -> None:
    store, report = released(tmp_path, data, model)
    with pytest.raises(InvalidInput, match="evaluation is of other item models"):
        check_belongs(report, model, ItemModels("another"), index_of=model.digest, store=store, tenant="blue")
