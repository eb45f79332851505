"""A thousand tenants, and one process: what is in memory is bounded by the setting, and what is dropped is gone."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from pathlib import Path

import psutil
import pytest

from bento_service.recommending.release_cache import ReleaseCache
from bento_service.telemetry.metrics import Metrics
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.ranker.ranker import Ranker
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.long]
TENANTS = 1000
ROOM = 20
MOST_GROWTH = 40 * 2**20  # bytes while 800 releases of 20 KB come and go: what the process really holds


def test_memory_is_bounded_whoever_asks(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    db = open_control_db(f"sqlite:///{tmp_path / 'control.db'}")
    shop = open_shop("t0", lake=lake, db=db, prefix="t")
    version = shop.release()
    db.close()
    tenants = [TenantId(f"t{number}") for number in range(TENANTS)]
    for tenant in tenants[1:]:
        releases = Path(str(lake.tenant(tenant).releases))
        shutil.copytree(Path(str(lake.tenant(shop.tenant).releases)), releases, copy_function=os.link)

    async def run() -> None:
        size = (
            await ReleaseCache(lake, Metrics(), max_bytes=1, check_seconds=1).get(shop.tenant)
        ).ranker.bytes_in_memory
        gc.collect()
        before = living_rankers()
        room = ROOM * size + size // 2
        metrics = Metrics()
        cache = ReleaseCache(lake, metrics, max_bytes=room, check_seconds=3600)
        process, used = psutil.Process(), 0
        for number, tenant in enumerate(tenants):
            live = await cache.get(tenant)
            assert live.ranker.release.version == version
            assert cache._size <= room
            if number == 10 * ROOM:
                gc.collect()
                used = process.memory_info().rss
        assert cache.loaded == ROOM
        del live
        gc.collect()
        assert living_rankers() <= before + ROOM
        assert process.memory_info().rss - used < MOST_GROWTH
        shown = metrics.exposition().decode().splitlines()
        by_tenant = [line for line in shown if line.startswith("recsaas_tenant_release_bytes{")]
        assert sum(float(line.split()[-1]) for line in by_tenant) == cache._size == ROOM * size

    asyncio.run(run())


def living_rankers() -> int:
    return sum(type(thing) is Ranker for thing in gc.get_objects())  # `isinstance` asks things that warn
