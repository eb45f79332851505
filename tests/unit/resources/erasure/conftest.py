"""Two shops, empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.resources.erasure.world import World


@pytest.fixture
def world(tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId]) -> World:
    return World(tmp_path, Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, shops[0])


@pytest.fixture
def neighbour(world: World, shops: tuple[TenantId, TenantId]) -> World:
    return World(world.home, world.lake, world.db, shops[1])
