"""Exports of all users' recommendations, with processes that stop, die and are overtaken."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
import pytest

from resources import recommendation_exports
from resources.claims import LEASE, MAX_ATTEMPTS, RETRY_AFTER
from resources.control_db.engine import ControlDb
from resources.control_db.erasures import complete_erasure, request_erasure
from resources.control_db.recommendation_exports import (
    ExportFormat,
    ExportRequest,
    ExportStatus,
    RecommendationExport,
    get_export,
    list_exports,
)
from resources.control_db.write_keys import WriteKey
from resources.errors import Conflict, ExportNotFound, LakeUnavailable, NoRelease
from resources.lake import Lake
from resources.listing import list_files
from resources.ranker.live import live_ranker
from resources.ranker.ranker import Ranker
from resources.recommend_all import RECOMMENDATION_SCHEMA, recommend_all
from resources.recommendation_exports import (
    MAX_KEPT,
    ExportRunner,
    export_file,
    remove_export,
    remove_old_exports,
    submit_export,
)
from resources.tenant import TenantId
from tests.unit.bento_service.shop import NOW, Shop, open_shop

CSV = ExportRequest(count=3, scenario=None, format=ExportFormat.CSV)
PARQUET = ExportRequest(count=2, scenario=None, format=ExportFormat.PARQUET)


class Desk:
    """A shop with a release and a clock, as several processes see them."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.lake, self.db, self.tenant = shop, shop.lake, shop.db, shop.tenant
        self.now = NOW
        self.stop = Event()

    def ask(self, request: ExportRequest = CSV, key: WriteKey | None = None) -> RecommendationExport:
        return submit_export(self.lake, self.db, self.tenant, request, now=self.now, key=key)

    def runner(self, name: str = "one") -> ExportRunner:
        return ExportRunner(self.lake, self.db, lambda: self.now, name, self.stop)

    def claim(self, name: str = "one") -> RecommendationExport:
        claimed = self.runner(name).claim()
        assert claimed is not None
        return claimed

    def run(self, name: str = "one") -> RecommendationExport | None:
        return self.runner(name).run(self.claim(name))

    def made(self, request: ExportRequest = CSV) -> RecommendationExport:
        self.ask(request)
        done = self.run()
        assert done is not None
        return done

    def remove(self, export: RecommendationExport) -> RecommendationExport | None:
        return remove_export(self.lake, self.db, self.tenant, export.id, now=self.now)

    def state(self, export: RecommendationExport) -> RecommendationExport:
        return get_export(self.db, self.tenant, export.id)

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in list_files(self.lake.tenant(self.tenant).exports))

    @property
    def work(self) -> list[Path]:
        """What is left of work in progress."""
        return list((self.lake.scratch / "exports").glob(".export-*"))


@pytest.fixture
def desk(tmp_path: Path, db: ControlDb) -> Desk:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release()
    return Desk(shop)


def table(desk: Desk, export: RecommendationExport) -> pl.DataFrame:
    file = Path(str(export_file(desk.lake, export)))
    return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, schema=RECOMMENDATION_SCHEMA)


def before_publishing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Act when the file is in the lake and the export is not finished yet."""
    put_file = recommendation_exports.put_file

    def put(local: Path, path: Any) -> None:
        put_file(local, path)
        act()

    monkeypatch.setattr(recommendation_exports, "put_file", put)


@pytest.mark.parametrize("request_", [CSV, PARQUET])
def test_the_file_is_what_the_command_writes(desk: Desk, request_: ExportRequest) -> None:
    queued = desk.ask(request_)
    assert (queued.status, queued.users_total, desk.files) == (ExportStatus.QUEUED, None, [])
    done = desk.run()
    assert done == desk.state(queued)
    ranker = live_ranker(desk.lake, desk.tenant)
    expected = pl.concat(recommend_all(desk.db, desk.tenant, ranker, request_.count, now=NOW))
    assert table(desk, done).equals(expected)
    assert (done.status, done.users_done, done.users_total) == (ExportStatus.COMPLETED, 2, 2)
    assert (done.rows, done.bytes) == (2 * request_.count, export_file(desk.lake, done).stat().st_size)
    assert (done.release_version, done.started_at, done.completed_at) == (desk.shop.versions[0], NOW, NOW)
    assert desk.files == [f"{done.id}.{request_.format}"]
    assert desk.runner().claim() is None
    assert desk.work == []


def test_a_shop_without_users_gets_a_file_with_a_header(desk: Desk) -> None:
    for user in ("u1", "ü 2/x"):
        request_erasure(desk.db, desk.tenant, user, NOW)
    done = desk.made()
    assert (done.users_total, done.rows) == (0, 0)
    assert table(desk, done).is_empty()


def test_one_at_a_time_and_a_repeated_request_is_the_same_one(desk: Desk) -> None:
    key = WriteKey.of("k", "csv")
    first = desk.ask(key=key)
    assert desk.ask(key=key) == first
    with pytest.raises(Conflict, match=first.id):
        desk.ask()
    with pytest.raises(Conflict, match="another request"):
        desk.ask(key=WriteKey.of("k", "parquet"))
    desk.claim()
    with pytest.raises(Conflict, match=first.id):
        desk.ask()
    desk.remove(first)
    second = desk.ask()
    assert [export.id for export in list_exports(desk.db, desk.tenant, limit=9)] == [second.id, first.id]
    assert second.created_at > first.created_at  # by a clock that stood still


def test_without_a_release_nothing_is_queued(desk: Desk) -> None:
    empty = open_shop("empty", lake=desk.lake, db=desk.db, prefix="e")
    with pytest.raises(NoRelease, match="empty has no release"):
        submit_export(desk.lake, desk.db, empty.tenant, CSV, now=NOW)
    assert list_exports(desk.db, empty.tenant, limit=9) == ()


def test_a_process_that_dies_is_followed_by_another(desk: Desk) -> None:
    queued = desk.ask()
    claimed = desk.claim("dead")
    assert desk.state(queued).status is ExportStatus.RUNNING
    desk.now += LEASE
    assert desk.runner("two").claim() is None
    desk.now += timedelta(seconds=1)
    done = desk.run("two")
    assert done is not None
    assert done.attempts == 2
    written = export_file(desk.lake, done).stat()
    # The first one was only slow: what it does now changes nothing.
    assert desk.runner("dead").run(claimed) is None
    assert desk.state(queued) == done
    assert export_file(desk.lake, done).stat().st_ino == written.st_ino
    assert desk.work == []


def test_a_process_that_died_after_the_file_was_there_leaves_it_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    queued = desk.ask()
    with monkeypatch.context() as patch:
        before_publishing(patch, die)
        with pytest.raises(Killed):
            desk.run("dead")
    assert (desk.state(queued).status, desk.state(queued).bytes) == (ExportStatus.RUNNING, None)
    desk.now += timedelta(minutes=1)
    done = desk.run("two")
    assert done is not None
    assert len(desk.files) == 1
    assert table(desk, done).height == done.rows


def test_a_process_that_stops_puts_the_export_back(desk: Desk) -> None:
    queued = desk.ask()
    desk.stop.set()
    assert desk.run() is None
    assert (desk.state(queued).status, desk.state(queued).attempts, desk.files) == (ExportStatus.QUEUED, 0, [])
    desk.stop.clear()
    desk.now += timedelta(seconds=1)
    assert desk.run("two") is not None
    assert desk.work == []


def test_an_export_that_ends_every_process_fails_in_the_end(desk: Desk) -> None:
    queued = desk.ask()
    for attempt in range(MAX_ATTEMPTS):
        desk.claim(f"dead {attempt}")
        desk.now += timedelta(seconds=60)
    desk.run()
    failed = desk.state(queued)
    assert (failed.status, failed.error_code, desk.files) == (ExportStatus.FAILED, "internal_error", [])


def test_a_cancelled_export_ends_within_a_second_or_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = desk.ask()
    noticed = []

    def endless(*_: object, on_progress: Callable[[int, int], None], **__: object) -> Iterator[pl.DataFrame]:
        cancelled = desk.remove(queued)
        assert cancelled is not None
        assert cancelled.status is ExportStatus.CANCELLED
        started = time.monotonic()
        try:
            while time.monotonic() - started < 30:
                on_progress(1, 2)
                time.sleep(0.01)
        finally:
            noticed.append(time.monotonic() - started)
        yield pl.DataFrame(schema=RECOMMENDATION_SCHEMA)

    monkeypatch.setattr(recommendation_exports, "recommend_all", endless)
    assert desk.run() is None
    assert noticed[0] < 5  # half a second, on a machine that has time
    left = desk.state(queued)
    assert (left.status, left.completed_at, left.bytes, desk.files) == (ExportStatus.CANCELLED, NOW, None, [])
    assert desk.runner().claim() is None
    assert desk.work == []


def test_a_cancel_in_the_last_moment_leaves_no_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = desk.ask()
    before_publishing(monkeypatch, lambda: desk.remove(queued))
    assert desk.run() is None
    assert (desk.state(queued).status, desk.files) == (ExportStatus.CANCELLED, [])


def test_a_finished_export_is_removed_with_its_file(desk: Desk) -> None:
    done = desk.made()
    assert desk.remove(done) is None
    assert desk.files == []
    with pytest.raises(ExportNotFound):
        desk.state(done)
    with pytest.raises(ExportNotFound):
        desk.remove(done)


def test_exports_are_kept_for_some_days(desk: Desk) -> None:
    old = desk.made()
    desk.now += timedelta(days=3)
    kept = desk.made(PARQUET)
    waiting = desk.ask()
    assert remove_old_exports(desk.lake, desk.db, before=NOW) == 0
    assert remove_old_exports(desk.lake, desk.db, before=NOW + timedelta(days=1)) == 1
    assert desk.files == [f"{kept.id}.parquet"]
    with pytest.raises(ExportNotFound):
        desk.state(old)
    assert remove_old_exports(desk.lake, desk.db, before=NOW + timedelta(days=9)) == 1
    assert desk.state(waiting).status is ExportStatus.QUEUED


def test_the_newest_finished_exports_are_kept(desk: Desk) -> None:
    made = [desk.made().id for _ in range(MAX_KEPT + 1)]
    assert len(desk.files) == MAX_KEPT + 1
    waiting = desk.ask()
    kept = [export.id for export in list_exports(desk.db, desk.tenant, limit=99)]
    assert kept == [waiting.id, *reversed(made[1:])]
    assert desk.files == sorted(f"{each}.csv" for each in made[1:])


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), LakeUnavailable("away")])
def test_an_outage_only_delays(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: object) -> None:
        raise error

    queued = desk.ask()
    for _ in range(MAX_ATTEMPTS + 1):
        with monkeypatch.context() as patch:
            patch.setattr(recommendation_exports, "put_file", fails)
            with pytest.raises(type(error)):
                desk.run()
        assert desk.state(queued).status is ExportStatus.QUEUED
        assert desk.runner().claim() is None
        desk.now += RETRY_AFTER + timedelta(seconds=1)
    assert desk.run() is not None


def test_a_release_that_cannot_be_read_is_looked_at_again_and_then_told(desk: Desk) -> None:
    queued = desk.ask()
    (desk.shop.directory(desk.shop.versions[0]) / "items.parquet").write_bytes(b"damaged")
    for _ in range(MAX_ATTEMPTS):
        assert desk.state(queued).status is ExportStatus.QUEUED
        desk.run()
        desk.now += RETRY_AFTER + timedelta(seconds=1)
    failed = desk.state(queued)
    assert (failed.status, failed.error_code) == (ExportStatus.FAILED, "corrupt_release")
    assert failed.message


def test_an_error_nobody_expected_is_tried_again_and_then_told(desk: Desk) -> None:
    queued = desk.ask()
    for _ in range(MAX_ATTEMPTS):
        desk.runner().give_up(desk.claim())
        desk.now += RETRY_AFTER + timedelta(seconds=1)
    assert desk.state(queued).status is ExportStatus.FAILED


def test_progress_is_told_while_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommendation_exports, "RENEW_SECONDS", 0.0)
    queued, seen = desk.ask(), set()

    def slow(*_: object, on_progress: Callable[[int, int], None], **__: object) -> Iterator[pl.DataFrame]:
        on_progress(1, 4)
        deadline = time.monotonic() + 30
        while desk.state(queued).users_done == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.add((desk.state(queued).users_done, desk.state(queued).users_total))
        yield pl.DataFrame(schema=RECOMMENDATION_SCHEMA)

    monkeypatch.setattr(recommendation_exports, "recommend_all", slow)
    desk.run()
    assert seen == {(1, 4)}


def test_an_export_that_is_written_while_a_user_is_erased_begins_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = desk.ask()
    with monkeypatch.context() as patch:
        before_publishing(patch, lambda: request_erasure(desk.db, desk.tenant, "u1", NOW))
        assert desk.run() is None
    again = desk.state(queued)
    assert (again.status, again.attempts, desk.files) == (ExportStatus.QUEUED, 0, [])
    done = desk.run()
    assert done is not None
    assert set(table(desk, done)["user_id"]) == {"ü 2/x"}
    request_erasure(desk.db, desk.tenant, "u1", NOW)  # finished exports are for the erasure itself
    assert desk.state(queued).status is ExportStatus.COMPLETED


def test_an_erasure_that_completes_while_the_release_is_loaded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    erasure = request_erasure(desk.db, desk.tenant, "u1", NOW)

    def load(lake: Lake, tenant: TenantId) -> Ranker:
        ranker = live_ranker(lake, tenant)  # the one that the erasure then replaces
        assert complete_erasure(desk.db, erasure, {}, now=NOW, uploads_until=0, retrain=False)
        return ranker

    monkeypatch.setattr(recommendation_exports, "live_ranker", load)
    assert set(table(desk, desk.made())["user_id"]) == {"ü 2/x"}


def test_a_request_that_waits_already_interrupts_nothing(desk: Desk) -> None:
    request_erasure(desk.db, desk.tenant, "u1", NOW)
    queued = desk.ask()
    desk.claim()
    request_erasure(desk.db, desk.tenant, "u1", NOW)
    assert desk.state(queued).status is ExportStatus.RUNNING


def test_another_tenants_export_is_not_there(desk: Desk) -> None:
    green = open_shop("green", lake=desk.lake, db=desk.db, prefix="g")
    done = desk.made()
    with pytest.raises(ExportNotFound):
        get_export(desk.db, green.tenant, done.id)
    with pytest.raises(ExportNotFound):
        remove_export(desk.lake, desk.db, green.tenant, done.id, now=NOW)
    assert list_exports(desk.db, green.tenant, limit=9) == ()
    assert desk.files


def test_tenants_take_turns(desk: Desk, now: datetime) -> None:
    green = open_shop("green", lake=desk.lake, db=desk.db, prefix="g")
    green.release()
    desk.made()
    desk.now += timedelta(seconds=1)
    desk.ask()
    desk.now += timedelta(seconds=1)
    submit_export(desk.lake, desk.db, green.tenant, CSV, now=desk.now)
    assert desk.claim().tenant == green.tenant
