"""Raw tables: what the shop sent and the contract accepted, row by row with its origin."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import PREVIEW_ROWS, exported, preview, table
from recsaas_assets.defs.common.partitions import AssetOptions, tenants_partitions
from recsaas_assets.ingestion.landing import LandedFile, refuse_misplaced, take_landed_files
from recsaas_assets.ingestion.raw_tables import (
    RawTable,
    set_excess_aside,
    settings_table,
    taken_in,
    uploads_table,
    write_raw_table,
)
from resources.control_db.event_exports import list_event_exports
from resources.control_db.items import mark_items_taken_in
from resources.control_db.rules import unusable_rules
from resources.control_db.uploads import UploadRecord, list_uploads, mark_ingested, mark_left_out
from resources.dagster_resources import TenantRunResource
from resources.events.export import export_events
from resources.landing.folders import list_landing
from resources.storage.lake import scan_parquet, write_parquet
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.limits import UploadLimits

_SHOWN = 20

RAW_COMMON: AssetOptions = {
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
        landed = _take_landed(context, tenant_run, kind)
        most_rows = tenant_run.settings.max_tenant_rows
        set_excess_aside(tenant_run.db, tenant_run.tenant_id, most_rows=most_rows, now=datetime.now(UTC))
        raw = write_raw_table(tenant_run.store, kind)
        _mark_taken_in(context, tenant_run, raw)
        path = tenant_run.lake.raw(kind.value)
        return MaterializeResult(
            metadata={
                **_ledger(raw, landed),
                "preview": preview(scan_parquet([path]).head(PREVIEW_ROWS).collect()),
                "path": MetadataValue.path(str(path)),
            }
        )

    return _raw


def _take_landed(context: AssetExecutionContext, tenant_run: TenantRunResource, kind: Kind) -> Sequence[LandedFile]:
    """Store the files of the landing folder, and name those that were refused."""
    settings = tenant_run.settings
    policy = UploadPolicy(tenant_run.tenant().settings, settings.max_upload_bytes, UploadLimits.of(settings))
    quiet = settings.upload_settle_seconds
    if kind is Kind.ITEMS:  # once in a run: where no platform runs, nobody else tells their senders
        dropped, now = list_landing(tenant_run.store.lake, tenant_run.tenant_id.value), datetime.now(UTC)
        lost = refuse_misplaced(tenant_run.store.lake, [tenant_run.tenant_id], dropped, now=now, settle_seconds=quiet)
        for path in lost:
            context.log.warning(f"Dropped file {path} was refused: it lies where no run looks.")
    landed = take_landed_files(tenant_run.store, kind, policy, now=datetime.now(UTC), settle_seconds=quiet)
    for file in landed:
        if file.code is not None:  # the reason itself may quote the file, and an erasure does not reach this log
            why = f"recsaas landing {tenant_run.tenant_id}"
            context.log.warning(f"Dropped file {file.name} was refused ({file.code}); {why} says why.")
    return landed


def _mark_taken_in(context: AssetExecutionContext, tenant_run: TenantRunResource, raw: RawTable) -> None:
    """Note in the control DB what the table holds, and what was left out of it."""
    db, tenant, run_id = tenant_run.db, tenant_run.tenant_id, tenant_run.run_id
    mark_ingested(db, tenant, [upload.upload_id for upload in raw.uploads], run_id=run_id)
    mark_left_out(db, tenant, [upload.upload_id for upload in raw.left_out], run_id=run_id)
    for upload in raw.left_out:
        if upload.set_aside_reason is not None:
            context.log.warning(f"Upload {upload.upload_id} is set aside: {upload.set_aside_reason}")
    if raw.unusable_changes:
        context.log.warning(
            f"{raw.unusable_changes:,} changes of items by API have values that no item may have; those do not count. "
            "Send the items again to mend them."
        )
    if raw.last_item_change:
        mark_items_taken_in(db, tenant, up_to=raw.last_item_change, run_id=run_id)


def _ledger(raw: RawTable, landed: Sequence[LandedFile]) -> dict[str, Any]:
    """Metadata of a raw table: what is in it, and what was left out of it."""
    set_aside = [
        [each.upload_id, each.filename, str(each.rows_accepted), each.set_aside_reason]
        for each in raw.left_out
        if each.set_aside_reason is not None
    ]
    taken = [
        [each.upload_id, each.filename, each.source, *map(str, _row_counts(each))] for each in raw.uploads[-_SHOWN:]
    ]
    return {
        "dagster/row_count": raw.rows,
        "rows_rejected": sum(each.rows_rejected for each in raw.uploads),
        "rows_duplicate": sum(each.rows_duplicate for each in raw.uploads),
        "landed_files": len(landed),
        "refused_files": {file.name: file.code for file in landed if file.code is not None},
        "uploads_withdrawn": sum(each.withdrawn_at is not None for each in raw.left_out),
        "uploads_set_aside": table(["upload", "file", "rows", "reason"], set_aside),
        "last_item_change": raw.last_item_change,
        "unusable_item_changes": raw.unusable_changes,
        "uploads": table(["upload", "file", "source", "accepted", "rejected", "duplicate"], taken),
    }


def _row_counts(upload: UploadRecord) -> tuple[int, int, int]:
    return upload.rows_accepted, upload.rows_rejected, upload.rows_duplicate


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
def raw_uploads(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """Written after the raw tables, so that the ledger names every upload that they hold."""
    unusable = _warn_of_unusable(context, tenant_run)
    ledger = uploads_table([u for u in list_uploads(tenant_run.db, tenant_run.tenant_id) if taken_in(u)])
    settings = settings_table(tenant_run.tenant().settings)
    write_parquet(tenant_run.lake.raw("raw_uploads"), ledger)
    write_parquet(tenant_run.lake.raw("tenant_settings"), settings)
    return MaterializeResult(
        metadata={
            "dagster/row_count": ledger.height,
            "preview": preview(ledger),
            "settings": preview(settings),
            "unusable": table(["stored", "why it does not count"], unusable),
        }
    )


def _warn_of_unusable(context: AssetExecutionContext, tenant_run: TenantRunResource) -> list[list[str]]:
    """Stored settings and rules that do not count today, each with the reason: told, and nothing to stop for."""
    unusable = [[f"{each.name} = {each.value}", each.reason] for each in tenant_run.tenant().unusable_settings]
    for what, why in unusable:
        context.log.warning(
            f"Setting {what} does not count: {why}. Set it again: recsaas tenant settings {tenant_run.tenant_id}"
        )
    for rule in unusable_rules(tenant_run.db, tenant_run.tenant_id):
        context.log.warning(
            f"Rule {rule} holds nowhere: it says what no rule says. Remove it: recsaas rules remove "
            f"{tenant_run.tenant_id} {rule}"
        )
        unusable.append([rule, "says what no rule says"])
    return unusable
