"""Tenants whose newest run failed with an earlier version: one run each, by itself, once this one is installed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from sqlalchemy import update

import recsaas_assets.defs.runs.sensors as sensors_module
import resources.training.runs as runs_module
from resources.base.tenant import TenantId
from resources.control_db.tables.jobs import RunRow
from resources.control_db.tenants import resume_tenant, suspend_tenant
from resources.control_db.uploads import list_uploads, mark_ingested
from resources.training.runs import list_runs, note_end
from resources.uploads.contract.columns import Kind
from tests.defs.site import Site, interactions_csv, open_shop
from tests.defs.ticks import LONG_AGO, reason, requested, run_of

BLUE = TenantId("blue")
NOTHING = "No uploads are waiting."


def stopped(site: Site, *, status: str = "failed") -> None:
    """What a run of an earlier version leaves that has taken every upload in, and failed."""
    note_end(site.db, BLUE, "old-run", status=status, message="Out of Memory Error", now=LONG_AGO)
    with site.db.write() as session:
        session.execute(update(RunRow).values(code_version=None))
    mark_ingested(site.db, BLUE, [each.upload_id for each in list_uploads(site.db, BLUE)], run_id="old-run")


def upload(site: Site, *, seed: int = 1) -> None:
    site.upload("blue", Kind.INTERACTIONS, interactions_csv("b", 2, 2, rows=3, seed=seed), now=LONG_AGO)


@pytest.fixture(autouse=True)
def tenant(site: Site, instance: DagsterInstance) -> None:
    site.create("blue")
    instance.add_dynamic_partitions("tenants", ["blue"])


def fails(site: Site, instance: DagsterInstance, tick: Any) -> None:
    """The run that a tick asks for fails, with this version."""
    (request,) = tick().run_requests
    run = run_of(instance, request, DagsterRunStatus.FAILURE)
    assert "the run for this failed" in reason(tick()), "its end is not recorded yet"
    later = LONG_AGO + timedelta(minutes=1 + len(list_runs(site.db, BLUE)))
    note_end(site.db, BLUE, run.run_id, status="failed", message="boom", now=later)


def test_a_stopped_tenant_gets_a_release_by_itself(site: Site, tick: Any) -> None:
    open_shop(site, "blue", "b")
    stopped(site)
    assert requested(tick()) == ["blue"]
    assert site.run("blue").success
    assert site.releases("blue").current() is not None
    assert reason(tick()) == NOTHING


def test_a_run_that_fails_again_is_the_only_one(site: Site, instance: DagsterInstance, tick: Any) -> None:
    upload(site)
    stopped(site)
    fails(site, instance, tick)
    assert reason(tick()) == NOTHING
    tick.cursors.clear()
    assert reason(tick()) == NOTHING


def test_every_version_tries_once(
    site: Site, instance: DagsterInstance, tick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(site)
    stopped(site)
    for version in ("1.0.0", "1.0.1"):
        for module in (runs_module, sensors_module):
            monkeypatch.setattr(module, "code_version", lambda version=version: version)
        fails(site, instance, tick)
        assert reason(tick()) == NOTHING
    assert [run.code_version for run in list_runs(site.db, BLUE)] == ["1.0.1", "1.0.0", None]


def test_what_waits_beside_the_failed_run_makes_no_second_run(site: Site, instance: DagsterInstance, tick: Any) -> None:
    """Files in landing that stopped every run before it could take them in."""
    upload(site)
    stopped(site)
    upload(site, seed=2)
    fails(site, instance, tick)
    assert "the run for this failed" in reason(tick())
    upload(site, seed=3)
    assert requested(tick()) == ["blue"], "something new starts a run as ever"


def test_what_waits_and_failed_with_the_version_before_is_tried_once_more(
    site: Site, instance: DagsterInstance, tick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(site)
    fails(site, instance, tick)
    assert "the run for this failed" in reason(tick())
    for module in (runs_module, sensors_module):
        monkeypatch.setattr(module, "code_version", lambda: "1.0.0")
    fails(site, instance, tick)
    assert "the run for this failed" in reason(tick())


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_what_did_not_fail_is_left_alone(site: Site, tick: Any, status: str) -> None:
    upload(site)
    stopped(site, status=status)
    assert reason(tick()) == NOTHING


def test_a_suspended_tenant_waits_until_it_is_resumed(site: Site, tick: Any) -> None:
    upload(site)
    stopped(site)
    suspend_tenant(site.db, BLUE)
    assert reason(tick()) == NOTHING
    resume_tenant(site.db, BLUE)
    assert requested(tick()) == ["blue"]


def test_a_tenant_without_interactions_has_nothing_to_train_on(site: Site, tick: Any) -> None:
    stopped(site)
    assert reason(tick()) == NOTHING
