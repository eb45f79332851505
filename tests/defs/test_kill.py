"""A run that dies at any point leaves the old state or the new one, and the next run goes through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRunStatus, Definitions

from recsaas_assets.instance.home import dagster_instance
from recsaas_assets.runs.run_failures import INTERRUPTED
from resources.base.tenant import TenantId
from resources.dagster_resources import TenantRunResource
from resources.release import pointer
from resources.storage.run_lock import dead_run, tenant_run_lock
from resources.training.runs import list_runs
from resources.uploads.contract.columns import Kind
from tests.defs.site import INTERACTION_COLUMNS, Site, interactions_csv, recsaas_home

APPLE = TenantId("apple")
_LONGEST_SECONDS = 600
_RUN = "from recsaas_assets.cli import main; main()"
# The files of a small release are written within milliseconds: nobody outside could hit that moment.
_RUN_THAT_DIES_WHILE_IT_WRITES_A_RELEASE = f"""
import os, signal
from resources.release.contents import ReleaseContents
write_files = ReleaseContents.write_files
def die_before_the_last_step(contents, folder):
    write_files(contents, folder)
    os.kill(os.getpid(), signal.SIGKILL)
ReleaseContents.write_files = die_before_the_last_step
{_RUN}
"""


def start(site: Site, code: str = _RUN) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, "run", "apple", "--json"]
    environment = {**os.environ, "RECSAAS_HOME": str(site.home), "RECSAAS_TRAINING_THREADS": "1"}
    with open(site.home / "run.log", "ab") as log:
        return subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2], stdout=log, stderr=log)


def kill_when(site: Site, reached: Callable[[], bool]) -> None:
    """Start a run and kill it without warning as soon as it has got there."""
    process = start(site)
    try:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not reached():
            assert process.poll() is None, f"the run ended too early: {(site.home / 'run.log').read_text()}"
            assert time.monotonic() < deadline, "the run did not get there"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.e2e
def test_a_run_killed_twice_goes_through_the_third_time(site: Site, definitions: Definitions) -> None:
    site.create("apple")
    site.upload("apple", Kind.INTERACTIONS, interactions_csv("a-", users=20, items=8, rows=120))
    lake = Path(str(site.lake("apple").root))

    kill_when(site, lambda: any(lake.glob(".dbt-*")))  # dbt writes there what it has not published yet
    assert list((lake / "dbt").iterdir()) == []
    first = dead_run(site.home, APPLE)
    assert first is not None

    dying = start(site, _RUN_THAT_DIES_WHILE_IT_WRITES_A_RELEASE)
    assert dying.wait(timeout=_LONGEST_SECONDS) == -signal.SIGKILL, (site.home / "run.log").read_text()
    assert list((lake / "releases").glob(".writing-*/*.npy")) != [], "some of the release was written"
    assert site.releases("apple").list() == ()
    second = dead_run(site.home, APPLE)
    assert second not in (None, first)

    outcome = site.run("apple")
    assert outcome.success, outcome.message
    store = site.releases("apple")
    current = store.current()
    assert current is not None
    assert store.verify(current).dagster_run_id == outcome.run_id
    leftovers = [path.name for path in store.directory(current).parent.iterdir() if path.name.startswith(".writing")]
    assert leftovers == []
    assert dead_run(site.home, APPLE) is None
    with tenant_run_lock(site.home, APPLE, wait_seconds=0):
        pass
    records = {record.run_id: record for record in list_runs(site.db, APPLE)}
    assert [records[run].status for run in (first, second)] == ["failed", "failed"]
    with dagster_instance(site.settings) as instance:
        statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[first] is statuses[second] is DagsterRunStatus.FAILURE
    assert list(statuses.values()).count(DagsterRunStatus.SUCCESS) == 1


def test_an_interrupt_is_recorded_and_reaches_the_caller(
    site: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Ctrl-C would end one tenant of a backfill, and the next one would start."""
    site.create("apple")
    monkeypatch.setattr(TenantRunResource, "stage", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        site.run("apple")
    (record,) = list_runs(site.db, APPLE)
    assert (record.status, record.message) == ("cancelled", INTERRUPTED)


def test_a_crash_between_the_release_and_its_pointer(
    site: Site, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.create("apple")
    site.upload("apple", Kind.INTERACTIONS, f"{INTERACTION_COLUMNS}\nana,tea,view,2026-01-01T00:00:00Z\n")
    store = site.releases("apple")

    def disk_is_full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(pointer, "write_bytes_if_unchanged", disk_is_full)
        outcome = site.run("apple")
    assert (outcome.failed_step, outcome.message) == ("release", "no space left on device")
    assert store.current() is None, "nothing is live"
    (orphan,) = store.list()
    assert not orphan.is_current

    job = definitions.resolve_job_def("tenant_pipeline")
    with dagster_instance(site.settings) as instance, recsaas_home(site.home):
        again = job.execute_in_process(instance=instance, partition_key="apple", asset_selection=[AssetKey("release")])
    assert again.success
    live = store.current()
    assert live is not None and live != orphan.version
    assert store.verify(live).replaces is None
