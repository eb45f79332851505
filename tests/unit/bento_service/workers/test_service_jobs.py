"""What the workers of a service do once a day, one of them for all."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bento_service.telemetry.metrics import Metrics
from bento_service.workers import service_jobs
from bento_service.workers.service_jobs import service_worker
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake


@pytest.mark.databases
def test_old_deliveries_are_removed_once_a_day_by_one_worker(
    db: ControlDb, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, times = [], [now]
    monkeypatch.setattr(service_jobs, "forget_old", lambda _db, *, now: asked.append(now))
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    settings = Settings(home=tmp_path)

    def tidy() -> None:
        service_worker(settings, lake, db, lambda: times[0], Metrics())._tidy()

    for _ in range(3):
        tidy()
    assert asked == [now]
    times[0] = now + timedelta(days=1)
    tidy()
    assert asked == [now, times[0]]
