"""Raw tables: what the shop sent and the contract accepted, row by row with its origin."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import PREVIEW_ROWS, exported, preview, table
from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.ingestion.landing import take_landed_files
from recsaas_assets.ingestion.raw_tables import (
    set_excess_aside,
    settings_table,
    taken_in,
    uploads_table,
    write_raw_table,
)
from resources.control_db.event_exports import list_event_exports
from resources.control_db.items import mark_items_taken_in
from resources.control_db.uploads import list_uploads, mark_ingested, mark_left_out
from resources.dagster_resources import TenantRunResource
from resources.events.export import export_events
from resources.storage.lake import scan_parquet, write_parquet
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.limits import UploadLimits

RAW_COMMON: dict[str, Any] = {
    "partitions_def": tenants_partitions,
    "group_name": "raw",
    "owners": ["team:data"],
    "code_version": "1",
}


@asset(
    name="tracked_events",
    kinds={"polars", "parquet"},
    description="Tracked events of one tenant, exported from the control DB to the lake: each once, in order.",
    **RAW_COMMON,
)
def tracked_events(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the tenant's event log in pieces. A sensor exports between runs, and a run what is left."""
    tenant_run.stage("tracked_events")
    while export_events(tenant_run.store, now=datetime.now(UTC)):
        pass
    ledger = list_event_exports(tenant_run.db, tenant_run.tenant_id)
    return MaterializeResult(metadata=exported(ledger, tenant_run.lake.events))


def raw_asset(kind: Kind, description: str, *, deps: Sequence[AssetsDefinition] = ()) -> AssetsDefinition:
    """The raw table of one kind of upload."""

    @asset(name=f"raw_{kind.value}", description=description, deps=deps, kinds={"polars", "parquet"}, **RAW_COMMON)
    def _raw(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
        tenant_run.stage(f"raw_{kind.value}")
        settings = tenant_run.settings
        policy = UploadPolicy(tenant_run.tenant().settings, settings.max_upload_bytes, UploadLimits.of(settings))
        quiet = settings.upload_settle_seconds
        landed = take_landed_files(tenant_run.store, kind, policy, now=datetime.now(UTC), settle_seconds=quiet)
        for file in landed:
            if file.code is not None:  # the reason itself may quote the file, and an erasure does not reach this log
                why = f"recsaas landing {tenant_run.tenant_id}"
                context.log.warning(f"Dropped file {file.name} was refused ({file.code}); {why} says why.")
        most_rows = tenant_run.settings.max_tenant_rows
        set_excess_aside(tenant_run.db, tenant_run.tenant_id, most_rows=most_rows, now=datetime.now(UTC))
        raw = write_raw_table(tenant_run.store, kind)
        upload_ids = [upload.upload_id for upload in raw.uploads]
        mark_ingested(tenant_run.db, tenant_run.tenant_id, upload_ids, run_id=tenant_run.run_id)
        mark_left_out(
            tenant_run.db, tenant_run.tenant_id, [u.upload_id for u in raw.left_out], run_id=tenant_run.run_id
        )
        for upload in raw.left_out:
            if upload.set_aside_reason is not None:
                context.log.warning(f"Upload {upload.upload_id} is set aside: {upload.set_aside_reason}")
        if raw.last_item_change:
            up_to = raw.last_item_change
            mark_items_taken_in(tenant_run.db, tenant_run.tenant_id, up_to=up_to, run_id=tenant_run.run_id)
        path = tenant_run.lake.raw(kind.value)
        return MaterializeResult(
            metadata={
                "dagster/row_count": raw.rows,
                "rows_rejected": sum(u.rows_rejected for u in raw.uploads),
                "rows_duplicate": sum(u.rows_duplicate for u in raw.uploads),
                "landed_files": len(landed),
                "refused_files": {file.name: file.code for file in landed if file.code is not None},
                "uploads_withdrawn": sum(u.withdrawn_at is not None for u in raw.left_out),
                "uploads_set_aside": table(
                    ["upload", "file", "rows", "reason"],
                    [
                        [u.upload_id, u.filename, str(u.rows_accepted), u.set_aside_reason]
                        for u in raw.left_out
                        if u.set_aside_reason is not None
                    ],
                ),
                "last_item_change": raw.last_item_change,
                "uploads": table(
                    ["upload", "file", "source", "accepted", "rejected", "duplicate"],
                    [
                        [
                            u.upload_id,
                            u.filename,
                            u.source,
                            *map(str, (u.rows_accepted, u.rows_rejected, u.rows_duplicate)),
                        ]
                        for u in raw.uploads[-20:]
                    ],
                ),
                "preview": preview(scan_parquet([path]).head(PREVIEW_ROWS).collect()),
                "path": MetadataValue.path(str(path)),
            }
        )

    return _raw


raw_items = raw_asset(
    Kind.ITEMS, "Accepted catalogue rows of one tenant, each with its upload and line, and items changed by API."
)
raw_users = raw_asset(Kind.USERS, "Accepted user rows of one tenant, each with its upload and line.")
raw_interactions = raw_asset(
    Kind.INTERACTIONS,
    "Accepted interactions of one tenant, uploaded and tracked, each with its upload and line.",
    deps=[tracked_events],
)


@asset(
    name="raw_uploads",
    deps=[raw_items, raw_users, raw_interactions],
    description="The tenant's ledger of uploads and its settings, as the dbt models read them.",
    kinds={"polars", "parquet"},
    **RAW_COMMON,
)
def raw_uploads(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """Written after the raw tables, so that the ledger names every upload that they hold."""
    ledger = uploads_table([u for u in list_uploads(tenant_run.db, tenant_run.tenant_id) if taken_in(u)])
    settings = settings_table(tenant_run.tenant().settings)
    write_parquet(tenant_run.lake.raw("raw_uploads"), ledger)
    write_parquet(tenant_run.lake.raw("tenant_settings"), settings)
    return MaterializeResult(
        metadata={"dagster/row_count": ledger.height, "preview": preview(ledger), "settings": preview(settings)}
    )
