"""Two shops, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.databases.opening import SQLITE
from resources.storage.lake import Lake
from tests.unit.resources.erasure.world import World


@pytest.fixture
def world(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, db: ControlDb, shops: tuple[TenantId, TenantId]
) -> Iterator[World]:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    world = World(tmp_path, lake, db, shops[0], "" if database == SQLITE else request.getfixturevalue("new_url"))
    yield world
    world.decisions.close()


@pytest.fixture
def neighbour(world: World, shops: tuple[TenantId, TenantId]) -> Iterator[World]:
    neighbour = World(world.home, world.lake, world.db, shops[1], world.decisions_at)
    yield neighbour
    neighbour.decisions.close()
