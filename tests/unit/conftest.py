"""A control DB of its own for every test that asks for one, with two shops in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant

BLUE, GREEN = TenantId("blue"), TenantId("green")


@pytest.fixture
def now() -> datetime:
    return datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty control DB to copy: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("control") / "control.db"
    open_control_db(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def db(tmp_path: Path, migrated: Path) -> Iterator[ControlDb]:
    shutil.copy(migrated, tmp_path / "control.db")
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    yield db
    db.close()


@pytest.fixture
def shops(db: ControlDb, now: datetime) -> tuple[TenantId, TenantId]:
    for tenant in (BLUE, GREEN):
        create_tenant(db, tenant, name=tenant.value.title(), now=now)
    return BLUE, GREEN
