"""Features: the dbt models of one tenant, and their data tests as checks of that tenant's partition."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableSchema,
)
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets
from upath import UPath

from recsaas_assets.defs.common.metadata import preview, table
from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from recsaas_assets.features.dbt_runner import DbtResult, FeatureBuildFailed, NodeResult, run_dbt
from recsaas_assets.ingestion.raw_tables import set_giant_aside
from resources.base.settings import load_settings
from resources.dagster_resources import TenantRunResource
from resources.storage.lake import scan_parquet

_UNIQUE_ID = "dagster_dbt/unique_id"
# Tests of the SQL itself run in CI: they say nothing about a tenant's data.
_WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
_UPLOADS_SHOWN = 20
REJECTED_FILE = "stg_rejected.parquet"
_SHARES = ("validity", "uniqueness", "completeness", "unknown_item_share")


class TenantTranslator(DagsterDbtTranslator):
    """One asset per model, named as the model; every data test is a check of the tenant's partition.

    An unpartitioned blocking check that fails for one tenant would hold back all the others.
    """

    def __init__(self) -> None:
        # Two sources are files of one asset: raw_uploads writes the ledger and the tenant's settings.
        super().__init__(
            DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True, enable_source_metadata=False)
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        name = dbt_resource_props["name"]
        return AssetKey("raw_uploads" if name == "tenant_settings" else name)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props.get("description", ""))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        return ["team:data"]

    def get_asset_check_spec(
        self, asset_spec: AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec._replace(partitions_def=tenants_partitions) if spec is not None else None


@dbt_assets(
    manifest=parse_manifest(PROJECT_DIR, load_settings().dbt_target),
    name="features",
    partitions_def=tenants_partitions,
    dagster_dbt_translator=TenantTranslator(),
)
def features(
    context: AssetExecutionContext, tenant_run: TenantRunResource
) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
    """One partition contains one tenant's typed rows, signals, sessions and features, as of its raw tables."""
    tenant_run.stage("features")
    try:
        result = run_dbt(
            _command(context),
            tenant_lake=tenant_run.lake,
            target_dir=tenant_run.settings.dbt_target,
            memory_bytes=tenant_run.settings.dbt_memory_bytes,
        )
    except FeatureBuildFailed as failure:
        if failure.result is not None:
            yield from _check_results(context, failure.result)
        if failure.out_of_memory:
            _set_giant_aside(tenant_run, failure)
        raise
    _warn_of_rejected(context, tenant_run)
    for model in result.models():
        file = tenant_run.lake.dbt / f"{model.name}.parquet"
        yield MaterializeResult(asset_key=model.name, metadata=_metadata(result, model, file))
    yield from _check_results(context, result)


def _warn_of_rejected(context: AssetExecutionContext, tenant_run: TenantRunResource) -> None:
    """Stored rows that break the contract are left out of everything: the run's log says how many, and why."""
    for kind, reason, rows in _rejected(tenant_run.lake.dbt / REJECTED_FILE):
        context.log.warning(
            f"{rows:,} stored rows of {kind} are left out: {reason}. Send them again as the data contract says "
            "(docs/data.md), or delete them."
        )


def _rejected(file: UPath) -> list[tuple[str, str, int]]:
    """Kind, reason and number of the rows that staging has left out, most first; none before the model was built."""
    if not file.exists():
        return []
    counts = scan_parquet([file]).group_by("kind", "reason").agg(pl.len())
    return counts.sort("len", "kind", "reason", descending=[True, False, False]).collect().rows()


def _set_giant_aside(tenant_run: TenantRunResource, failure: FeatureBuildFailed) -> None:
    """Let the next run, which starts by itself, go on without the upload that this one had no memory for."""
    failed = failure.out_of_memory_in
    giant = set_giant_aside(tenant_run.db, tenant_run.tenant_id, failed=failed, now=datetime.now(UTC))
    if giant is not None:
        raise FeatureBuildFailed(
            f"Upload {giant.upload_id} of tenant {tenant_run.tenant_id} is set aside, and the next run goes on without "
            f"it. {giant.set_aside_reason}",
            result=failure.result,
        ) from failure


def _command(context: AssetExecutionContext) -> list[str]:
    """Build the selected models with their tests, or only run the selected tests."""
    models = sorted(key.path[-1] for key in context.selected_asset_keys)
    if models:
        return ["build", *_WITHOUT_UNIT_TESTS, "--select", *models]
    return ["test", *_WITHOUT_UNIT_TESTS, "--select", *sorted(key.name for key in context.selected_asset_check_keys)]


def _metadata(result: DbtResult, model: NodeResult, file: UPath) -> dict[str, Any]:
    rows = scan_parquet([file])
    columns = [TableColumn(name, str(dtype)) for name, dtype in rows.collect_schema().items()]
    more: dict[str, Any] = {"uploads": _quality_table(rows)} if model.name == "data_quality" else {}
    if file.name == REJECTED_FILE:
        more = {"reasons": table(["kind", "reason", "rows"], [list(map(str, row)) for row in _rejected(file)])}
    return {
        **more,
        "dagster/row_count": model.rows,
        "dagster/column_schema": TableSchema(columns=columns),
        "preview": preview(rows.head(5).collect()),
        "seconds": round(model.seconds, 3),
        "dbt_invocation_id": result.invocation_id,
        "path": MetadataValue.path(str(file)),
    }


def _quality_table(rows: pl.LazyFrame) -> MarkdownMetadataValue:
    """The newest uploads with their shares, for a person."""
    newest = rows.sort("sequence", descending=True, nulls_last=False).head(_UPLOADS_SHOWN).collect()
    return table(
        ["upload", "rows", *_SHARES, "hours old", "usual rows", "unusual"],
        [
            [
                row["upload_id"],
                f"{row['rows_total']:,}",
                *("" if row[share] is None else f"{row[share]:.1%}" for share in _SHARES),
                "" if row["freshness_hours"] is None else f"{row['freshness_hours']:.1f}",
                "" if row["usual_rows"] is None else f"{row['usual_rows']:,.0f}",
                "yes" if row["is_volume_anomaly"] else "",
            ]
            for row in newest.iter_rows(named=True)
        ],
    )


def _check_results(context: AssetExecutionContext, result: DbtResult) -> Iterator[AssetCheckResult]:
    keys = {spec.metadata[_UNIQUE_ID]: spec.key for spec in context.assets_def.check_specs}
    for test in result.tests():
        key = keys.get(test.unique_id)
        if key is not None and key in context.selected_asset_check_keys:
            yield AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=test.status == "pass",
                severity=AssetCheckSeverity.WARN if test.severity == "warn" else AssetCheckSeverity.ERROR,
                description=test.message,
                metadata={
                    "rows_found": test.failures or 0,
                    "seconds": round(test.seconds, 3),
                    "dbt_invocation_id": result.invocation_id,
                },
            )
