"""Exports that an outage, an error or an erasure comes in between."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import polars as pl
import pytest

from resources.base.errors import ExportNotFound, LakeUnavailable
from resources.base.tenant import TenantId
from resources.jobs import runner
from resources.jobs.claims import LONGEST_REST, MAX_ATTEMPTS
from resources.jobs.kinds.erasures import forget_user, request_erasure
from resources.jobs.kinds.exports import (
    ExportStatus,
    get_export,
    list_exports,
)
from resources.ranker.live import live_ranker
from resources.ranker.ranker import Ranker
from resources.recommendations import exports as recommendation_exports
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.recommendations.exports import (
    remove_export,
    submit_export,
)
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from tests.unit.bento_service.shop import NOW, open_shop
from tests.unit.resources.exporting import CSV, Desk, before_publishing, table


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
        desk.now += LONGEST_REST + timedelta(seconds=1)
    assert desk.run() is not None


def test_a_release_that_cannot_be_read_is_looked_at_again_and_then_told(desk: Desk) -> None:
    queued = desk.ask()
    (desk.shop.directory(desk.shop.versions[0]) / "items.parquet").write_bytes(b"damaged")
    for _ in range(MAX_ATTEMPTS):
        assert desk.state(queued).status is ExportStatus.QUEUED
        desk.run()
        desk.now += LONGEST_REST + timedelta(seconds=1)
    failed = desk.state(queued)
    assert (failed.status, failed.error_code) == (ExportStatus.FAILED, "corrupt_release")
    assert failed.message


def test_an_error_nobody_expected_is_tried_again_and_then_told(desk: Desk) -> None:
    queued = desk.ask()
    for _ in range(MAX_ATTEMPTS):
        desk.runner().give_up(desk.claim(), ZeroDivisionError())
        desk.now += LONGEST_REST + timedelta(seconds=1)
    assert desk.state(queued).status is ExportStatus.FAILED


def test_progress_is_told_while_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RENEW_SECONDS", 0.0)
    queued, seen = desk.ask(), set()

    def slow(*_: object, on_progress: Callable[[int, int], None], **__: object) -> Iterator[pl.DataFrame]:
        on_progress(1, 4)
        deadline = time.monotonic() + 30
        while desk.state(queued).figures.users_done == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.add((desk.state(queued).figures.users_done, desk.state(queued).figures.users_total))
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
        assert forget_user(desk.db, erasure, {}, uploads_until=0, retrain=False)
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
        remove_export(TenantStore(desk.lake, desk.db, green.tenant), done.id, now=NOW)
    assert list_exports(desk.db, green.tenant, limit=9) == ()
    assert desk.files


def test_tenants_take_turns(desk: Desk, now: datetime) -> None:
    green = open_shop("green", lake=desk.lake, db=desk.db, prefix="g")
    green.release()
    desk.made()
    desk.now += timedelta(seconds=1)
    desk.ask()
    desk.now += timedelta(seconds=1)
    submit_export(TenantStore(desk.lake, desk.db, green.tenant), CSV, now=desk.now)
    assert desk.claim().tenant == green.tenant
