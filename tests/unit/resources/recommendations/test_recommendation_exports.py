"""Exports of all users' recommendations: how they are made, kept, cancelled and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import polars as pl
import pytest

from resources.base.errors import Conflict, ExportNotFound, NoRelease
from resources.control_db.idempotency import WriteKey
from resources.jobs.claims import LEASE, MAX_ATTEMPTS
from resources.jobs.kinds.erasures import request_erasure
from resources.jobs.kinds.exports import (
    ExportRequest,
    ExportStatus,
    list_exports,
)
from resources.ranker.live import live_ranker
from resources.recommendations import exports as recommendation_exports
from resources.recommendations.batch import RECOMMENDATION_SCHEMA, ListsOfAll, recommend_all
from resources.recommendations.exports import (
    MAX_KEPT,
    export_file,
    remove_old_exports,
    submit_export,
)
from resources.stores.tenant_store import TenantStore
from tests.unit.bento_service.shop import NOW, open_shop
from tests.unit.resources.exporting import CSV, PARQUET, Desk, before_publishing, table


@pytest.mark.parametrize("request_", [CSV, PARQUET])
def test_the_file_is_what_the_command_writes(desk: Desk, request_: ExportRequest) -> None:
    queued = desk.ask(request_)
    assert (queued.status, queued.figures.users_total, desk.files) == (ExportStatus.QUEUED, None, [])
    done = desk.run()
    assert done == desk.state(queued)
    ranker = live_ranker(desk.lake, desk.tenant)
    expected = pl.concat(recommend_all(desk.db, desk.tenant, ranker, ListsOfAll(request_.count), now=NOW))
    assert table(desk, done).equals(expected)
    assert (done.status, done.figures.users_done, done.figures.users_total) == (ExportStatus.COMPLETED, 2, 2)
    assert (done.figures.rows, done.figures.bytes) == (2 * request_.count, export_file(desk.lake, done).stat().st_size)
    assert (done.figures.release_version, done.started_at, done.completed_at) == (desk.shop.versions[0], NOW, NOW)
    assert desk.files == [f"{done.id}.{request_.format}"]
    assert desk.runner().claim() is None
    assert desk.work == []


def test_a_shop_without_users_gets_a_file_with_a_header(desk: Desk) -> None:
    for user in ("u1", "ü 2/x"):
        request_erasure(desk.db, desk.tenant, user, NOW)
    done = desk.made()
    assert (done.figures.users_total, done.figures.rows) == (0, 0)
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
        submit_export(TenantStore(desk.lake, desk.db, empty.tenant), CSV, now=NOW)
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
    assert (desk.state(queued).status, desk.state(queued).figures.bytes) == (ExportStatus.RUNNING, None)
    desk.now += timedelta(minutes=1)
    done = desk.run("two")
    assert done is not None
    assert len(desk.files) == 1
    assert table(desk, done).height == done.figures.rows


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
    assert desk.runner().claim() is None, "no fourth process gets it into its hands"
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
            while time.monotonic() - started < 60:
                on_progress(1, 2)
                time.sleep(0.01)
        finally:
            noticed.append(time.monotonic() - started)
        yield pl.DataFrame(schema=RECOMMENDATION_SCHEMA)

    monkeypatch.setattr(recommendation_exports, "recommend_all", endless)
    assert desk.run() is None
    assert noticed[0] < 30  # half a second, on a machine that has time
    left = desk.state(queued)
    assert (left.status, left.completed_at, left.figures.bytes, desk.files) == (ExportStatus.CANCELLED, NOW, None, [])
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
