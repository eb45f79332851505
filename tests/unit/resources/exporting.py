"""A shop with a release that exports recommendations, as several processes see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
import pytest

from resources.control_db.idempotency import WriteKey
from resources.jobs.claims import OUTAGES
from resources.jobs.kinds.exports import (
    ExportFormat,
    ExportRequest,
    RecommendationExport,
    get_export,
)
from resources.jobs.model import Job, JobKind
from resources.jobs.queue import JobQueue
from resources.jobs.runner import JobRunner
from resources.recommendations import exports as recommendation_exports
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.recommendations.exports import (
    ExportWriter,
    export_file,
    remove_export,
    submit_export,
)
from resources.storage.lake import put_file
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from tests.unit.bento_service.shop import NOW, Shop

CSV = ExportRequest(count=3, scenario=None, format=ExportFormat.CSV)
PARQUET = ExportRequest(count=2, scenario=None, format=ExportFormat.PARQUET)


class Desk:
    """A shop with a release and a clock, as several processes see them."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.lake, self.db, self.tenant = shop, shop.lake, shop.db, shop.tenant
        self.now = NOW
        self.stop = Event()

    def ask(self, request: ExportRequest = CSV, key: WriteKey | None = None) -> RecommendationExport:
        return submit_export(TenantStore(self.lake, self.db, self.tenant), request, now=self.now, key=key)

    def runner(self, name: str = "one") -> JobRunner:
        writer = ExportWriter(self.lake, self.db, self.clock)
        return JobRunner(JobQueue(self.db, self.clock, name), {JobKind.EXPORT: writer}, self.stop)

    def clock(self) -> datetime:
        return self.now

    def claim(self, name: str = "one") -> Job:
        claimed = self.runner(name).claim()
        assert claimed is not None
        return claimed

    def run(self, name: str = "one") -> RecommendationExport | None:
        claimed, runner = self.claim(name), self.runner(name)
        try:
            outcome = runner.run(claimed)
        except OUTAGES as error:  # as a worker does
            runner.give_up(claimed, error)
            raise
        return None if outcome is None else get_export(self.db, self.tenant, claimed.id)

    def made(self, request: ExportRequest = CSV) -> RecommendationExport:
        self.ask(request)
        done = self.run()
        assert done is not None
        return done

    def remove(self, export: RecommendationExport) -> RecommendationExport | None:
        return remove_export(TenantStore(self.lake, self.db, self.tenant), export.id, now=self.now)

    def state(self, export: RecommendationExport) -> RecommendationExport:
        return get_export(self.db, self.tenant, export.id)

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in list_files(self.lake.tenant(self.tenant).exports))

    @property
    def work(self) -> list[Path]:
        """What is left of work in progress."""
        return list((self.lake.scratch / "exports").glob(".export-*"))


def table(desk: Desk, export: RecommendationExport) -> pl.DataFrame:
    file = Path(str(export_file(desk.lake, export)))
    return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, schema=RECOMMENDATION_SCHEMA)


def before_publishing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Act when the file is in the lake and the export is not finished yet."""

    def put(local: Path, path: Any) -> None:
        put_file(local, path)
        act()

    monkeypatch.setattr(recommendation_exports, "put_file", put)
