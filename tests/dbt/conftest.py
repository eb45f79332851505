"""Small tenants for real dbt builds. One parse serves the whole test session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from upath import UPath

from recsaas_assets.dbt_manifest import parse_manifest
from recsaas_assets.dbt_invocation import PROJECT_DIR
from recsaas_assets.ingestion import settings_table
from resources.lake import Lake, TenantLake, write_parquet
from resources.tenant import TenantId
from resources.tenant_settings import TenantSettings
from resources.uploads.contract import Kind, accepted_schema

Row = dict[str, Any]
UPLOADS_SCHEMA = {
    "upload_id": pl.String(),
    "kind": pl.String(),
    "sequence": pl.Int64(),
    "created_at": pl.Datetime("us", "UTC"),
    "rows_accepted": pl.Int64(),
    "rows_rejected": pl.Int64(),
    "rows_duplicate": pl.Int64(),
}


def at(text: str) -> datetime:
    """A UTC time such as `2026-01-31 10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="session")
def target_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dbt_target")
    parse_manifest(PROJECT_DIR, folder)
    return folder


@pytest.fixture
def make_tenant(tmp_path: Path) -> Callable[..., TenantLake]:
    """Writes the raw files of one tenant; what is left out has zero rows."""

    def make(
        tenant: str = "blue-shop",
        *,
        items: list[Row] | None = None,
        users: list[Row] | None = None,
        interactions: list[Row] | None = None,
        uploads: list[Row] | None = None,
        settings: TenantSettings | None = None,
    ) -> TenantLake:
        lake = Lake(root=UPath(tmp_path / "lake")).tenant(TenantId.parse(tenant))
        for kind, rows in ((Kind.ITEMS, items), (Kind.USERS, users), (Kind.INTERACTIONS, interactions)):
            extra = {name: pl.String() for row in rows or [] for name in row if name.startswith("extra_")}
            write_parquet(lake.raw(kind.value), pl.DataFrame(rows or [], schema={**accepted_schema(kind), **extra}))
        write_parquet(lake.raw("raw_uploads"), pl.DataFrame(uploads or [], schema=UPLOADS_SCHEMA))
        write_parquet(lake.raw("tenant_settings"), settings_table(settings or TenantSettings()))
        return lake

    return make
