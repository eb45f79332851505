"""Index and release of one tenant: what goes online."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
from dagster import MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import preview
from recsaas_assets.defs.common.partitions import AssetOptions, tenants_partitions
from recsaas_assets.defs.data.raw import raw_interactions, raw_items, raw_users
from recsaas_assets.defs.models.training import evaluation, lightgcn_model, training_set
from recsaas_assets.features.dbt_runner import read_build
from resources.access.actor import run_actor
from resources.base.code_version import code_version
from resources.control_db.uploads import list_uploads
from resources.dagster_resources import TenantRunResource
from resources.jobs.kinds.erasures import mark_retrained
from resources.storage.lake import read_bytes, read_json, read_parquet, scan_parquet, write_bytes, write_json

if TYPE_CHECKING:
    from recsaas_assets.recommender.bundles.bundle_table import Bundles
    from recsaas_assets.recommender.repeats.learning import RepeatFindings
    from recsaas_assets.recommender.second_stage.model import SecondStageModel
    from recsaas_assets.release.releasing import ReleaseCandidate, ReleaseOrigin
    from resources.release.contents import ReleaseContents
    from resources.release.store import ReleaseStore

SERVING_COMMON: AssetOptions = {
    "partitions_def": tenants_partitions,
    "group_name": "serving",
    "owners": ["team:recommendations"],
    "code_version": "1",
}


@asset(
    name="faiss_index",
    deps=[training_set, lightgcn_model, "two_tower_model", "sequence_model"],
    kinds={"faiss"},
    description="The retrieval index over one tenant's item vectors; position in the index is the item row.",
    **SERVING_COMMON,
)
def faiss_index(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the serialised index and its measured recall."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.release.releasing import release_vectors
    from resources.ranker.retrieval.index import build_index

    tenant_run.stage("faiss_index")
    data = TrainingSet.load(tenant_run.lake.training)
    model = TrainedModel.load(tenant_run.lake.model, data)
    users, items = release_vectors(data, model)
    index, info = build_index(items, user_vectors=users)
    write_bytes(tenant_run.lake.index / "index.faiss", index)
    document = {"model_digest": model.digest, "index": info.model_dump(mode="json")}
    write_json(tenant_run.lake.index / "index.json", document)
    return MaterializeResult(
        metadata={
            "index_type": info.type,
            "items": len(items),
            "bytes": len(index),
            "recall_at_20": info.recall,
            "parameters": MetadataValue.json(info.parameters),
        }
    )


@asset(
    name="release",
    deps=[
        raw_items,
        raw_users,
        raw_interactions,
        "stg_items",
        "stg_interactions",
        "item_features",
        training_set,
        lightgcn_model,
        "two_tower_model",
        "sequence_model",
        "item_models",
        "second_stage_model",
        "repeat_purchases",
        "int_interaction_signals",
        evaluation,
        faiss_index,
    ],
    kinds={"release"},
    description="Model, index, id maps, catalogue and evaluation of one tenant: one checksummed unit with origin.",
    **SERVING_COMMON,
)
def release(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the releases of one tenant. The pointer to the live one moves last, if the gate lets it."""
    from recsaas_assets.recommender.repeats.release import released_curve
    from recsaas_assets.release.releasing import manifest_draft
    from resources.release.manifest import IndexInfo
    from resources.release.store import ReleaseStore, new_version
    from resources.stores.release_moves import promote

    tenant_run.stage("release")
    store, now = ReleaseStore(tenant_run.lake), datetime.now(UTC)
    indexed = read_json(tenant_run.lake.index / "index.json")
    candidate, stage = _candidate(tenant_run, store, index_of=indexed.get("model_digest", ""))
    candidate, repeats = _with_repeats(tenant_run, candidate)
    catalogue, items = _items(tenant_run, candidate)
    origin = _origin(tenant_run, catalogue, replaces=store.current())
    index = IndexInfo.model_validate(indexed["index"])
    draft = manifest_draft(str(tenant_run.tenant_id), candidate, origin, index=index, now=now)
    bundles = _bundles(tenant_run, candidate)
    draft = draft.model_copy(update={"repeats": released_curve(repeats), "bundles": bundles.figures})
    contents = replace(_contents(tenant_run, candidate, stage, items), bundles=bundles.table)
    contents = _and_repeats(tenant_run, candidate, repeats, contents)
    manifest = store.write(new_version(now, secrets.token_hex(4)), contents, draft)
    goes_live = candidate.verdict.outcome != "hold" and tenant_run.auto_deploy
    if goes_live:
        tenant_run.require_active()
        promote(tenant_run.store, manifest.version, now=now, by=run_actor(tenant_run.run_id))
    tenant_run.note_release(manifest.version, live=goes_live, reasons=candidate.verdict.reasons)
    mark_retrained(tenant_run.db, tenant_run.tenant_id, tenant_run.run_id)
    return MaterializeResult(
        metadata={
            "version": manifest.version,
            "live": goes_live,
            "auto_deploy": tenant_run.auto_deploy,
            "gate": MetadataValue.md("\n".join(f"- {reason}" for reason in candidate.verdict.reasons)),
            "replaces": origin.replaces or "nothing",
            "algorithm": manifest.algorithm,
            "dagster/row_count": items.height,
            "bundles": MetadataValue.json(bundles.figures.model_dump(mode="json")),
            "uploads": MetadataValue.json([u.model_dump(mode="json") for u in manifest.uploads]),
            "manifest": MetadataValue.json(manifest.model_dump(mode="json")),
            "items": preview(items),
            "path": MetadataValue.path(str(store.directory(manifest.version))),
        }
    )


def _candidate(
    tenant_run: TenantRunResource, store: "ReleaseStore", *, index_of: str
) -> "tuple[ReleaseCandidate, SecondStageModel | None]":
    """The model of this run with its evaluation and the verdict of the gate, and its second stage, if any.

    Raises:
        InvalidInput: the model, its evaluation and its index are not of one run.
    """
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.evaluation.gate import decide
    from recsaas_assets.recommender.evaluation.report import EvaluationReport
    from recsaas_assets.recommender.item_models.fitted import ItemModels
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.second_stage.model import SecondStageModel
    from recsaas_assets.release.releasing import ReleaseCandidate, check_belongs
    from resources.release.contents import EVALUATION_JSON

    lake, wanted = tenant_run.lake, tenant_run.training()
    data = TrainingSet.load(lake.training)
    model = TrainedModel.load(lake.model, data)
    report = EvaluationReport.model_validate(read_json(lake.evaluation / EVALUATION_JSON))
    tables = ItemModels.load(lake.item_models, data)
    check_belongs(report, model, tables, index_of=index_of, store=store, tenant=str(tenant_run.tenant_id))
    made = wanted.second_stage is True or (
        wanted.second_stage == "auto" and SecondStageModel.is_stored(lake.second_stage)
    )
    stage = SecondStageModel.load(lake.second_stage, model).after(report.live) if made else None
    verdict = decide(report, tolerance=wanted.tolerance, second_stage=None if stage is None else stage.gain)
    table = tables.fits.get(verdict.serves)
    report = report.model_copy(update={"served": verdict.serves})
    if table is not None:
        return ReleaseCandidate(data, model, report, verdict, table), None
    if stage is not None:
        served = stage.verdict.with_second_stage if stage.verdict.goes_live else {}
        report = report.model_copy(update={"second_stage": served})
        verdict = verdict.model_copy(update={"reasons": (*verdict.reasons, stage.verdict.reason)})
    return ReleaseCandidate(data, model, report, verdict), stage


def _with_repeats(
    tenant_run: TenantRunResource, candidate: "ReleaseCandidate"
) -> "tuple[ReleaseCandidate, RepeatFindings]":
    """The candidate whose report and verdict say what comes of repeat purchases, and what was learned of them.

    That lists are hardly personal is said there, too.
    """
    from dataclasses import replace

    from recsaas_assets.recommender.evaluation.personal import hardly_personal
    from recsaas_assets.recommender.repeats.release import load_findings

    findings = load_findings(tenant_run.lake.repeats, model_digest=candidate.model.digest)
    report = candidate.report.model_copy(update={"repeats": findings.verdict})
    alike = hardly_personal(report)
    reasons = (*candidate.verdict.reasons, *([] if alike is None else [alike]), findings.verdict.reason)
    verdict = candidate.verdict.model_copy(update={"reasons": reasons})
    return replace(candidate, report=report, verdict=verdict), findings


def _and_repeats(
    tenant_run: TenantRunResource,
    candidate: "ReleaseCandidate",
    findings: "RepeatFindings",
    contents: "ReleaseContents",
) -> "ReleaseContents":
    from recsaas_assets.recommender.repeats.purchases import repeatable
    from recsaas_assets.recommender.repeats.release import with_released_repeats

    if not findings.verdict.come_again:
        return contents
    signals = scan_parquet([tenant_run.lake.dbt / "int_interaction_signals.parquet"])
    data = candidate.training_set
    return with_released_repeats(contents, findings, repeatable(signals, data), data)


def _items(tenant_run: TenantRunResource, candidate: "ReleaseCandidate") -> tuple[pl.DataFrame, pl.DataFrame]:
    """The catalogue as the dbt models have it, and the table of items of the release."""
    from recsaas_assets.release.releasing import CATALOGUE_COLUMNS, item_table, listing_times, release_vectors

    lake = tenant_run.lake
    features = read_parquet(
        lake.dbt / "item_features.parquet", columns=["item_id", "popularity_score", "trending_score"]
    )
    _, vectors = release_vectors(candidate.training_set, candidate.model)
    catalogue = read_parquet(lake.dbt / "stg_items.parquet", columns=list(CATALOGUE_COLUMNS))
    interactions = scan_parquet([lake.dbt / "stg_interactions.parquet"])
    listed = listing_times(scan_parquet([lake.raw("items")]), interactions, catalogue)
    popular = features.select("item_id", popularity="popularity_score", trending="trending_score").join(
        listed, on="item_id", how="left"
    )
    return catalogue, item_table(candidate.training_set, vectors, catalogue, popular)


def _bundles(tenant_run: TenantRunResource, candidate: "ReleaseCandidate") -> "Bundles":
    """The items that go together, from all baskets up to now."""
    from recsaas_assets.recommender.bundles.bundle_table import build_bundles

    data = candidate.training_set
    return build_bundles(scan_parquet([tenant_run.lake.dbt / "stg_interactions.parquet"]), data.users, data.items)


def _origin(tenant_run: TenantRunResource, catalogue: pl.DataFrame, *, replaces: str | None) -> "ReleaseOrigin":
    from recsaas_assets.release.releasing import ReleaseOrigin, item_watermark

    lake = tenant_run.lake
    raw = {kind: scan_parquet([lake.raw(kind)]) for kind in ("items", "users", "interactions")}
    taken_in = {each for table in raw.values() for each in table.select("upload_id").unique().collect().to_series()}
    return ReleaseOrigin(
        raw_interactions=raw["interactions"],
        uploads=tuple(u for u in list_uploads(tenant_run.db, tenant_run.tenant_id) if u.upload_id in taken_in),
        build=read_build(lake),
        code_version=code_version(),
        run_id=tenant_run.run_id,
        replaces=replaces,
        item_changes_seen=item_watermark(raw["items"], catalogue),
    )


def _contents(
    tenant_run: TenantRunResource, candidate: "ReleaseCandidate", stage: "SecondStageModel | None", items: pl.DataFrame
) -> "ReleaseContents":
    from recsaas_assets.recommender.second_stage.release import with_second_stage
    from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
    from recsaas_assets.release.releasing import contents_of
    from resources.release.contents import EVALUATION_PLOT

    lake, data = tenant_run.lake, candidate.training_set
    index, plot = read_bytes(lake.index / "index.faiss"), read_bytes(lake.evaluation / EVALUATION_PLOT)
    contents = contents_of(data, candidate.model, items, candidate.report, index, plot=plot, table=candidate.table)
    if stage is None:
        return contents
    catalogue = read_parquet(lake.dbt / "stg_items.parquet", columns=["item_id", "category", "price"])
    return with_second_stage(contents, stage, data, candidate.model, CatalogueFacts.of(catalogue, data.items))
