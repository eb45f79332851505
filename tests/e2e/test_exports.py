"""An export outlives the process that writes it: kill −9 meanwhile, start again, one whole file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from resources.base.settings import Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.jobs.kinds.exports import get_export
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.release.store import new_version
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from tests.e2e.test_large_uploads import asked, kill_all, service
from tests.unit.bento_service.shop import NOW, Shop, contents, draft, open_shop

pytestmark = [pytest.mark.e2e, pytest.mark.long]
USERS = 240_000
PATH = "/api/v1/recommendations/exports"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[ControlDb]:
    db = open_control_db(Settings(home=tmp_path).database_url)
    yield db
    db.close()


def big_release(shop: Shop) -> None:
    """A release with so many users that their export takes seconds."""
    version = new_version(NOW, "00000001")
    made = replace(
        contents("b"),
        user_ids=tuple(f"u{number}" for number in range(USERS)),
        user_vectors=np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32), (USERS // 2, 1)),
        seen_indptr=np.zeros(USERS + 1, dtype=np.int64),
        seen_items=np.zeros(0, dtype=np.int32),
    )
    shop.store.write(version, made, draft(shop.tenant))
    shop.store.promote(version, NOW, "test")


def test_a_killed_export_is_written_anew_after_the_restart(tmp_path: Path, db: ControlDb) -> None:
    lake = Lake.open(Settings(home=tmp_path).lake_url, scratch=tmp_path / "scratch")
    blue = open_shop("blue", lake=lake, db=db, prefix="b")
    big_release(blue)
    folder = lake.tenant(blue.tenant).exports
    with service(tmp_path) as (process, http):
        asked(http, "/health", blue, until={"ok"})
        answer = http.post(PATH, json={"count": 3}, headers=blue.headers)
        assert answer.status_code == 202, answer.text
        url = answer.json()["status_url"]
        running = asked(http, url, blue, until={"running", "completed"})
        while running["status"] == "running" and not running["users_done"]:
            running = http.get(url, headers=blue.headers).json()
        kill_all(process)
    assert running["status"] == "running"
    assert 0 < running["progress"] < 1
    assert list(list_files(folder)) == []
    with service(tmp_path) as (_, http):
        done = asked(http, url, blue, until={"completed", "failed", "cancelled"})
        assert (done["status"], done["users_done"], done["rows"]) == ("completed", USERS, 3 * USERS)
        assert get_export(db, blue.tenant, done["export_id"]).attempts == 2
        content = http.get(done["download_url"], headers=blue.headers).content
    assert [file.name for file in list_files(folder)] == [f"{done['export_id']}.csv"]
    table = pl.read_csv(io.BytesIO(content), schema=RECOMMENDATION_SCHEMA)
    assert table["user_id"].unique(maintain_order=True).to_list() == [f"u{number}" for number in range(USERS)]
    assert table.height == done["rows"]
