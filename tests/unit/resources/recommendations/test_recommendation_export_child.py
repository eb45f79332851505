"""An export in a child process: written, stopped with its parent, and behind everybody else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.base.settings import load_settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.jobs.kinds.exports import (
    ExportFormat,
    ExportRequest,
    ExportStatus,
    RecommendationExport,
    get_export,
)
from resources.jobs.model import Job, JobKind, JobStatus
from resources.jobs.queue import JobQueue
from resources.jobs.store import get_job
from resources.processes.interpreter import NICENESS, ChildBroke, run_in_child
from resources.recommendations.export_process import export_in_child
from resources.recommendations.exports import export_file, submit_export
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from tests.unit.bento_service.shop import Shop, open_shop

pytestmark = pytest.mark.e2e
CHILD = "resources.recommendations.export_process"


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlDb]:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    db = open_control_db(load_settings().database_url)
    yield db
    db.close()


@pytest.fixture
def shop(db: ControlDb) -> Shop:
    settings = load_settings()
    shop = open_shop("blue", lake=Lake.open(settings.lake_url, scratch=settings.scratch), db=db, prefix="b")
    shop.release()
    return shop


@pytest.fixture
def claimed(shop: Shop) -> Job:
    now = datetime.now(UTC)
    request = ExportRequest(count=3, scenario=None, format=ExportFormat.CSV)
    submit_export(TenantStore(shop.lake, shop.db, shop.tenant), request, now=now)
    job = JobQueue(shop.db, lambda: now + timedelta(minutes=1), "me").claim((JobKind.EXPORT,))
    assert job is not None
    return job


def test_a_child_writes_the_file(shop: Shop, claimed: Job) -> None:
    done = export_in_child(claimed, worker="me", stop=threading.Event())
    assert done is not None
    assert (done.status, done.result["users_total"], done.result["rows"]) == (JobStatus.DONE, 2, 6)
    export = get_export(shop.db, shop.tenant, claimed.id)
    assert done.result["bytes"] == export_file(shop.lake, export).stat().st_size
    assert export.status is ExportStatus.COMPLETED


def test_a_child_that_is_stopped_puts_the_export_back(shop: Shop, claimed: Job) -> None:
    stop = threading.Event()
    stop.set()
    assert export_in_child(claimed, worker="me", stop=stop) is None
    left = get_export(shop.db, shop.tenant, claimed.id)
    assert (left.status, left.attempts) == (ExportStatus.QUEUED, 0)


def test_a_child_that_does_not_have_the_claim_changes_nothing(shop: Shop, claimed: Job) -> None:
    assert export_in_child(claimed, worker="another", stop=threading.Event()) is None
    assert get_job(shop.db, shop.tenant, JobKind.EXPORT, claimed.id) == claimed
    assert not export_file(shop.lake, RecommendationExport.of(claimed)).exists()


def test_a_child_that_breaks_says_how(shop: Shop) -> None:
    with pytest.raises(ChildBroke, match="no export 'nothing'"):
        run_in_child("resources.recommendations.export_process", ["blue", "nothing", "me"], stop=threading.Event())


def test_every_thread_of_a_child_has_stepped_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that numpy starts when it is imported, which do the work."""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("threads have numbers of their own only on Linux")
    (tmp_path / "threads_of_a_child.py").write_text(
        "import json, os, sys\nimport numpy\n"
        "def main():\n"
        "    threads = os.listdir('/proc/self/task')\n"
        "    numbers = {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads}\n"
        "    sys.stdout.write(json.dumps([len(threads), sorted(numbers)]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads, numbers = run_in_child("threads_of_a_child", [], stop=threading.Event())
    assert numbers == [min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)], threads
