"""From training set, model and evaluation to the contents and the manifest of a release, as plain functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl

from recsaas_assets.features.dbt_runner import BuildRecord
from recsaas_assets.ingestion.raw_tables import EVENTS_UPLOAD_ID
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.evaluation.gate import GateOutcome, Verdict
from recsaas_assets.recommender.evaluation.live_model import TABLE_RECIPE, DamagedRelease, LiveModel
from recsaas_assets.recommender.evaluation.report import DECIDING, EvaluationReport
from recsaas_assets.recommender.evaluation.report_text import report_markdown
from recsaas_assets.recommender.evaluation.served import as_served
from recsaas_assets.recommender.item_models.fitted import FittedTable, ItemModels
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from resources.base.errors import CorruptArtifact, CorruptRelease, InvalidInput, ReleaseNotFound
from resources.catalogue.rows import ITEM_CHANGES_ID
from resources.control_db.uploads import UploadRecord
from resources.release.contents import (
    EVALUATION_JSON,
    EVALUATION_PLOT,
    ITEM_SCHEMA,
    ReleaseContents,
    with_optional_columns,
)
from resources.release.load import load_release
from resources.release.manifest import (
    TABLE_ALGORITHMS,
    Algorithm,
    GateDecision,
    IndexInfo,
    ManifestDraft,
    ReleaseManifest,
    ReleaseMetrics,
    UploadReference,
)
from resources.release.store import ReleaseStore
from resources.storage.lake import read_json

_SHOWN = ("title", "category", "brand", "price", "tags", "image_url", "available")
CATALOGUE_COLUMNS = ("item_id", *_SHOWN, "received_at", "upload_id", "row_number")
"""What a release needs of `stg_items`; descriptions may be pages long, and are not among it."""
GATE_OUTCOMES: dict[GateOutcome, Literal["passed", "skipped", "refused"]] = {
    "promote": "passed",
    "promote_popularity": "passed",
    "promote_unmeasured": "skipped",
    "hold": "refused",
}


def live_until(store: ReleaseStore) -> datetime | None:
    """Time of the newest interaction that the live release has seen; None without a live release.

    A release whose manifest cannot be read counts as none, so that the run can replace it.
    """
    version = store.current()
    try:
        return store.manifest(version).events_until if version else None
    except (CorruptRelease, ReleaseNotFound):
        return None


def live_model(store: ReleaseStore) -> LiveModel | DamagedRelease | None:
    """The model of the live release, with which the gate compares a candidate; None without a live release."""
    version = store.current()
    if version is None:
        return None
    try:
        loaded = load_release(store.directory(version), cache=store.cache)
    except (CorruptRelease, ReleaseNotFound) as error:
        return DamagedRelease(version, error.message)
    return LiveModel(
        version=version,
        algorithm=loaded.manifest.algorithm,
        hyperparameters=loaded.manifest.hyperparameters,
        seed=loaded.manifest.seed,
        user_ids=tuple(loaded.user_rows),
        item_ids=tuple(loaded.item_rows),
        user_vectors=loaded.user_vectors,
        item_vectors=loaded.item_vectors,
        popularity=loaded.catalogue.popularity,
        events_until=loaded.manifest.events_until,
        measured=loaded.manifest.gate.outcome != "skipped",
        second_stage=_gain(loaded.manifest) if loaded.second_stage_users is not None else None,
        item_table=loaded.item_table if loaded.manifest.algorithm in TABLE_ALGORITHMS else None,
    )


def check_belongs(
    report: EvaluationReport,
    model: TrainedModel,
    tables: ItemModels,
    *,
    index_of: str,
    store: ReleaseStore,
    tenant: str,
) -> None:
    """Refuse to release what was not made of one model, or not compared with what is live now.

    Args:
        index_of: digest of the model whose index is stored.

    Raises:
        InvalidInput: says which part is of another run.
    """
    live = store.current()
    if report.model_digest != model.digest:
        wrong = "The stored evaluation is of another model than the one stored"
    elif report.tables_digest != tables.digest:
        wrong = "The stored evaluation is of other item models than those stored"
    elif index_of != model.digest:
        wrong = "The stored index is of another model than the one stored"
    elif live != (report.live.version if report.live else None) and not _is_of(store, live, model):
        wrong = f"The model was not compared with release {live}, which has become live since"
    else:
        return
    again = f"recsaas run {tenant} --from training"
    raise InvalidInput(f"{wrong}; materialise evaluation and faiss_index again: {again}")


def _is_of(store: ReleaseStore, version: str | None, model: TrainedModel) -> bool:
    """Whether the release was made of this very model: then there is nothing to compare."""
    if version is None:
        return False
    try:
        document = read_json(store.directory(version) / EVALUATION_JSON)
    except (CorruptArtifact, ReleaseNotFound):
        return False
    return isinstance(document, dict) and document.get("model_digest") == model.digest


def _gain(manifest: ReleaseManifest) -> float:
    with_it, without = manifest.metrics.second_stage.get(DECIDING), manifest.metrics.overall.get(DECIDING)
    return 0.0 if with_it is None or without is None else with_it - without


def item_table(
    training_set: TrainingSet, item_vectors: np.ndarray, catalogue: pl.DataFrame, popular: pl.DataFrame
) -> pl.DataFrame:
    """One row per item row: its catalogue columns, its popularity, and where its vector comes from.

    Args:
        item_vectors: (n_items, d); the vector of an item without any pair is made from content, or it is zero.
        catalogue: `stg_items`.
        popular: item_id and popularity, and trending, how fast its interactions grow, if that is known.
    """
    learned = training_set.full.users_per_item(training_set.n_items) > 0
    has_vector = learned | item_vectors.any(axis=1)
    source = pl.Series("vector_source", np.where(learned, "model", "content"))
    frame = (
        pl.DataFrame({"item_id": list(training_set.items.ids)}, schema={"item_id": pl.String})
        .with_row_index("item_row")
        .join(catalogue.select("item_id", *_SHOWN).with_columns(in_catalogue=True), on="item_id", how="left")
        .join(popular, on="item_id", how="left")
        .sort("item_row")
        .with_columns(
            pl.col("available").fill_null(True),
            pl.col("in_catalogue").fill_null(False),
            pl.col("popularity").fill_null(0.0),
            pl.Series("has_vector", has_vector),
        )
        .with_columns(vector_source=pl.when("has_vector").then(source))
    )
    return with_optional_columns(frame).select(pl.col(name).cast(dtype) for name, dtype in ITEM_SCHEMA.items())


def item_watermark(raw_items: pl.LazyFrame, catalogue: pl.DataFrame) -> int:
    """Number of the newest change of an item by API that is in `catalogue` with everything before it; 0 without any.

    The raw table may have been written again since the catalogue was built from it, by a run that broke off or by
    hand. Then it is the newest change that the catalogue shows: what is between the two is laid over the release.

    Args:
        raw_items: `raw_items`, with one row for each item that was changed by API.
        catalogue: `stg_items`.
    """
    changed = raw_items.filter(pl.col("upload_id") == ITEM_CHANGES_ID).select(
        "item_id", "deleted", "received_at", "row_number"
    )
    shown = catalogue.select("item_id", shown_at="received_at", shown_by="upload_id", shown_number="row_number")
    compared = changed.collect().join(shown, on="item_id", how="left")
    by_change = pl.col("shown_by") == ITEM_CHANGES_ID
    seen = (
        pl.when(pl.col("shown_by").is_null())
        .then("deleted")
        .when(by_change)
        .then(pl.col("shown_number") == pl.col("row_number"))
        .otherwise(pl.col("shown_at") > pl.col("received_at"))
    )
    if compared.select(seen.all()).item():
        newest = compared.select(pl.col("row_number").max())
    else:
        newest = catalogue.filter(pl.col("upload_id") == ITEM_CHANGES_ID).select(pl.col("row_number").max())
    return newest.item() or 0


def histories(training_set: TrainingSet) -> tuple[np.ndarray, np.ndarray]:
    """Seen items per user row as CSR `(indptr int64, item rows int32)`, each user's most recent last."""
    pairs = training_set.full
    order = np.lexsort((pairs.item_row, -pairs.age_days, pairs.user_row))
    indptr = np.zeros(training_set.n_users + 1, dtype=np.int64)
    np.cumsum(pairs.items_per_user(training_set.n_users), out=indptr[1:])
    return indptr, pairs.item_row[order].astype(np.int32)


def dislikes(training_set: TrainingSet) -> np.ndarray | None:
    """User and item rows (n, 2) int32 of the pairs that are never to be recommended; None without any."""
    pairs = training_set.disliked
    return np.column_stack([pairs.user_row, pairs.item_row]) if len(pairs) else None


def contents_of(
    training_set: TrainingSet,
    model: TrainedModel,
    items: pl.DataFrame,
    report: EvaluationReport,
    index: bytes,
    *,
    plot: bytes | None = None,
    table: FittedTable | None = None,
) -> ReleaseContents:
    """Put the files of a release together; vectors are those of `release_vectors`, and `table` is what is served."""
    user_vectors, item_vectors = release_vectors(training_set, model)
    indptr, seen = histories(training_set)
    return ReleaseContents(
        user_ids=tuple(training_set.users.ids),
        items=items,
        user_vectors=user_vectors,
        item_vectors=item_vectors,
        seen_indptr=indptr,
        seen_items=seen,
        disliked=dislikes(training_set),
        index_bytes=index,
        evaluation_json=report.model_dump_json(indent=2),
        evaluation_markdown=report_markdown(report, plot=EVALUATION_PLOT if plot else None),
        evaluation_plot=plot,
        fold_in=model.release.fold_in,
        item_table=None if table is None else table.release,
    )


def release_vectors(training_set: TrainingSet, model: TrainedModel) -> tuple[np.ndarray, np.ndarray]:
    """User and item vectors of the release fit: a user without any pair has zeros, an item without any what content
    says of it, or zeros.
    """
    users = model.release.users.copy()
    users[training_set.full.items_per_user(training_set.n_users) == 0] = 0
    return users, model.release.items


@dataclass(frozen=True, slots=True, eq=False)
class ReleaseCandidate:
    """A model, what it was made of, what was measured of it, and what the gate says."""

    training_set: TrainingSet
    model: TrainedModel
    report: EvaluationReport
    verdict: Verdict
    table: FittedTable | None = None
    """The item–item model that is served instead of the model."""


@dataclass(frozen=True, slots=True, eq=False)
class ReleaseOrigin:
    """The origin of a release: its data, the code, and the run.

    Attributes:
        uploads: those with a row in the raw tables.
        build: the dbt invocation behind the features.
        replaces: version of the release that is live now.
        item_changes_seen: see `item_watermark`.
    """

    raw_interactions: pl.LazyFrame
    uploads: tuple[UploadRecord, ...]
    build: BuildRecord
    code_version: str
    run_id: str
    replaces: str | None
    item_changes_seen: int = 0


def manifest_draft(
    tenant: str, candidate: ReleaseCandidate, origin: ReleaseOrigin, *, index: IndexInfo, now: datetime
) -> ManifestDraft:
    """Everything that leads from the release back to its origin."""
    model, report, verdict = candidate.model, candidate.report, candidate.verdict
    watermark, until, interactions = _extent(origin.raw_interactions)
    return ManifestDraft(
        tenant=tenant,
        created_at=now,
        trained_at=now,
        algorithm=_algorithm(candidate),
        uploads=tuple(
            UploadReference(id=u.upload_id, kind=u.kind, sha256=u.sha256, rows=u.rows_accepted) for u in origin.uploads
        ),
        event_watermark=watermark,
        item_watermark=origin.item_changes_seen,
        dbt_project_hash=origin.build.project_hash,
        dbt_invocation_id=origin.build.invocation_id,
        training_set_fingerprint=candidate.training_set.fingerprint,
        code_version=origin.code_version,
        hyperparameters={
            **model.config.model_dump(mode="json"),
            "epochs": model.epochs,
            "start": model.start.mode,
            **({} if candidate.table is None else {TABLE_RECIPE: candidate.table.recipe.model_dump(mode="json")}),
        },
        taste_dimensions=model.config.learned_dim,
        seed=model.seed,
        dagster_run_id=origin.run_id,
        metrics=_metrics(as_served(report, verdict.serves)),
        gate=GateDecision(outcome=GATE_OUTCOMES[verdict.outcome], reasons=verdict.reasons),
        replaces=origin.replaces,
        index=index,
        events_until=until,
        interactions=interactions,
    )


def _algorithm(candidate: ReleaseCandidate) -> Algorithm:
    if candidate.verdict.outcome == "promote_popularity":
        return "popularity"
    return candidate.model.config.model_type if candidate.table is None else candidate.table.recipe.kind


def _extent(raw_interactions: pl.LazyFrame) -> tuple[int, datetime | None, int]:
    """Number of the newest event, time of the newest interaction, and number of interactions in the raw table."""
    kept = raw_interactions.filter(~pl.col("deleted"))
    watermark, until, interactions = (
        kept.select(
            pl.col("row_number").filter(pl.col("upload_id") == EVENTS_UPLOAD_ID).max(),
            pl.col("timestamp").max(),
            pl.len(),
        )
        .collect(engine="streaming")
        .row(0)
    )
    return watermark or 0, until, interactions


def _metrics(report: EvaluationReport) -> ReleaseMetrics:
    comparison = report.comparison
    return ReleaseMetrics(
        overall=dict(report.models.get(report.model, {})),
        baselines={name: dict(figures) for name, figures in report.models.items() if name != report.model},
        cohorts={name: dict(cohort.models.get(report.model, {})) for name, cohort in report.cohorts.items()},
        second_stage=dict(report.second_stage),
        against_replaced={name: each.value for name, each in comparison.differences.items()} if comparison else {},
    )
