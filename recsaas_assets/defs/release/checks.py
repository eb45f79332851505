"""Gates between the assets. Every one is partitioned: a tenant that fails holds back nobody else."""

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    asset_check,
    multi_asset_check,
)

from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.defs.models.training import evaluation, training_set
from recsaas_assets.defs.release.serving import release
from recsaas_assets.features.quality_findings import QUESTIONS, findings
from resources.base.errors import CorruptRelease, InvalidInput
from resources.dagster_resources import TenantRunResource
from resources.storage.lake import read_json, scan_parquet
from resources.stores.tenant_store import TenantStore
from resources.training.readiness import measure_readiness
from resources.uploads.tenant_quality import tenant_quality

_DATA_QUALITY = AssetKey("data_quality")


# One step for all: each of its own would cost a small tenant's run more than the features do.
@multi_asset_check(
    name="data_quality_checks",
    specs=[
        AssetCheckSpec(name, asset=_DATA_QUALITY, description=question, partitions_def=tenants_partitions)
        for name, question in QUESTIONS.items()
    ],
)
def data_quality_checks(tenant_run: TenantRunResource) -> Iterator[AssetCheckResult]:
    """Warnings, not gates: it is the shop's data, and what is right in it is used."""
    lake, db, tenant = tenant_run.whole_lake, tenant_run.db, tenant_run.tenant_id
    quality = tenant_quality(tenant_run.store, now=datetime.now(UTC))
    for finding in findings(quality, measure_readiness(TenantStore(lake, db, tenant))):
        yield AssetCheckResult(
            asset_key=_DATA_QUALITY,
            check_name=finding.name,
            passed=finding.passed,
            severity=AssetCheckSeverity.WARN,
            description=finding.description,
            metadata={
                name: MetadataValue.text(value) if isinstance(value, str) else value
                for name, value in finding.figures.items()
            },
        )


@asset_check(
    asset=training_set,
    partitions_def=tenants_partitions,
    blocking=True,
    description="The stored training set keeps the contract: contiguous rows, no nulls, unique pairs, ordered split.",
)
def training_set_is_valid(tenant_run: TenantRunResource) -> AssetCheckResult:
    """Reads back what was written, so that it also notices a damaged file."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.data.schemas import validate_training_set

    try:
        validate_training_set(TrainingSet.load(tenant_run.lake.training))
    except InvalidInput as error:
        return AssetCheckResult(passed=False, description=error.message)
    return AssetCheckResult(passed=True)


@asset_check(
    asset=training_set,
    partitions_def=tenants_partitions,
    blocking=True,
    description="Python and dbt agree on the training signal: same pairs, same weights.",
)
def training_set_matches_interaction_weights(tenant_run: TenantRunResource) -> AssetCheckResult:
    """The pairs of the release fit are the mart `interaction_weights`."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.fitting.capacity import Room

    lake, settings = tenant_run.lake, tenant_run.settings
    data = TrainingSet.load(lake.training)
    mart, users, items = (
        scan_parquet([lake.dbt / f"{model}.parquet"])
        for model in ("interaction_weights", "user_features", "item_features")
    )
    if not Room(settings.max_training_users, settings.max_training_items).holds(users, items):
        for ids, column in ((data.users.ids, "user_id"), (data.items.ids, "item_id")):
            mart = mart.join(pl.LazyFrame({column: pl.Series(ids, dtype=pl.String)}), on=column, how="semi")
    pairs, weight = mart.select(pl.len(), pl.col("weight").sum()).collect(engine="streaming").row(0)
    difference = abs(float(data.full.weight.sum(dtype="float64")) - weight)
    same = len(data.full) == pairs and difference <= 1e-4 * max(1.0, weight)
    return AssetCheckResult(
        passed=same,
        description="" if same else f"{len(data.full)} pairs here, {pairs} in interaction_weights.",
        metadata={"pairs": len(data.full), "weight_difference": difference},
    )


@multi_asset_check(
    name="gate_checks",
    specs=[
        AssetCheckSpec(name, asset=evaluation, description=description, partitions_def=tenants_partitions)
        for name, description in (
            ("model_beats_popularity", "The model ranks the test period better than popularity by NDCG@10."),
            ("not_worse_than_live", "The model is not worse than the live release on the newest interactions."),
        )
    ],
)
def gate_checks(tenant_run: TenantRunResource) -> Iterator[AssetCheckResult]:
    """Warnings, not gates: the release asset decides what a worse model means."""
    from recsaas_assets.recommender.evaluation.gate import decide
    from recsaas_assets.recommender.evaluation.report import EvaluationReport
    from resources.release.contents import EVALUATION_JSON

    report = EvaluationReport.model_validate(read_json(tenant_run.lake.evaluation / EVALUATION_JSON))
    alone = decide(report.model_copy(update={"live": None, "comparison": None, "not_compared": ""}))
    yield AssetCheckResult(
        asset_key=evaluation.key,
        check_name="model_beats_popularity",
        passed=alone.outcome != "promote_popularity",
        severity=AssetCheckSeverity.WARN,
        description=" ".join(alone.reasons),
    )
    tolerance = tenant_run.tenant().settings.training.tolerance
    # What the second stages add is decided with the release; here the models are compared.
    live = report.live and report.live.model_copy(update={"second_stage": None})
    against_live = decide(report.model_copy(update={"live": live}), tolerance=tolerance)
    yield AssetCheckResult(
        asset_key=evaluation.key,
        check_name="not_worse_than_live",
        passed=against_live.outcome != "hold",
        severity=AssetCheckSeverity.WARN,
        description=" ".join(against_live.reasons) if live else "No release to compare with.",
    )


@asset_check(
    asset=release,
    partitions_def=tenants_partitions,
    blocking=True,
    description="Every file of the live release has the checksum that its manifest names.",
)
def live_release_is_intact(tenant_run: TenantRunResource) -> AssetCheckResult:
    """Reads every byte of the release that the pointer names."""
    from resources.release.store import ReleaseStore

    store = ReleaseStore(tenant_run.lake)
    try:
        version = store.current()
        if version is None:  # right when nothing was meant to go live
            return AssetCheckResult(passed=not tenant_run.auto_deploy, description="There is no live release.")
        manifest = store.verify(version)
    except CorruptRelease as error:
        return AssetCheckResult(passed=False, description=error.message)
    return AssetCheckResult(passed=True, metadata={"version": version, "files": len(manifest.files)})


@asset_check(
    asset=release,
    partitions_def=tenants_partitions,
    description="Nothing that was measured is surely ahead of what the newest release serves, in NDCG@10 or Recall@20.",
)
def served_is_best_known(tenant_run: TenantRunResource) -> AssetCheckResult:
    """A warning: a model may be ahead in one of the two and behind in the other."""
    from recsaas_assets.recommender.evaluation.report import EvaluationReport
    from recsaas_assets.recommender.evaluation.served import ahead_of_served
    from resources.release.contents import EVALUATION_JSON
    from resources.release.store import ReleaseStore

    store = ReleaseStore(tenant_run.lake)
    newest = store.list(most=1)[0].version
    served = store.manifest(newest).algorithm
    report = EvaluationReport.model_validate(read_json(store.directory(newest) / EVALUATION_JSON))
    ahead = ahead_of_served(report, served)
    return AssetCheckResult(
        passed=not ahead,
        severity=AssetCheckSeverity.WARN,
        description=" ".join(ahead) or f"{served} is served.",
        metadata={"version": newest, "serves": served},
    )
