"""Small tenants for real dbt builds. One parse serves the whole test session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from recsaas_assets.ingestion.raw_tables import settings_table, uploads_table
from resources.base.tenant import TenantId
from resources.storage.lake import Lake, TenantLake, write_parquet
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import TIME, Kind, accepted_schema

Row = dict[str, Any]
MakeTenant = Callable[..., TenantLake]


@pytest.fixture(scope="session")
def target_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dbt_target")
    parse_manifest(PROJECT_DIR, folder)
    return folder


@pytest.fixture(scope="session")
def make_tenant() -> MakeTenant:
    """Writes the raw files of one tenant below `home/lake`; a kind that is left out has zero rows."""

    def make(
        home: Path,
        tenant: str = "blue-shop",
        *,
        items: list[Row] | None = None,
        users: list[Row] | None = None,
        interactions: list[Row] | None = None,
        uploads: list[Row] | None = None,
        settings: TenantSettings | None = None,
    ) -> TenantLake:
        lake = Lake.open(str(home / "lake"), scratch=home / "scratch").tenant(TenantId.parse(tenant))
        for kind, rows in ((Kind.ITEMS, items), (Kind.USERS, users), (Kind.INTERACTIONS, interactions)):
            extra = {name: pl.String() for row in rows or [] for name in row if name.startswith("extra_")}
            schema = {**accepted_schema(kind), "deleted": pl.Boolean(), "received_at": TIME, **extra}
            write_parquet(lake.raw(kind.value), pl.DataFrame(rows or [], schema=schema))
        write_parquet(lake.raw("raw_uploads"), pl.DataFrame(uploads or [], schema=uploads_table(()).schema))
        write_parquet(lake.raw("tenant_settings"), settings_table(settings or TenantSettings()))
        return lake

    return make


@pytest.fixture(scope="session")
def two_interactions() -> Callable[[str], list[Row]]:
    """A view and a purchase of one item by the user of that name."""

    def rows(user: str) -> list[Row]:
        common = {"user_id": user, "item_id": f"{user}'s item", "upload_id": "events"}
        return [
            {**common, "interaction_type": "view", "timestamp": datetime(2026, 1, 1, tzinfo=UTC), "row_number": 1},
            {**common, "interaction_type": "purchase", "timestamp": datetime(2026, 1, 2, tzinfo=UTC), "row_number": 2},
        ]

    return rows
