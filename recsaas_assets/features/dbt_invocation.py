"""One dbt invocation in this process: where it may write, one at a time, and nothing left open after it.

dbt is imported inside the functions: it takes two seconds, and most processes that import this module do not run it.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

PROJECT_DIR = Path(__file__).parents[2] / "dbt_project"
PARTIAL_PARSE = "partial_parse.msgpack"

# dbt keeps flags, adapters and the DuckDB connection in module globals.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Invocation:
    """The outcome of one dbt command. `target` is the folder of its artifacts, there until the session ends."""

    outcome: dbtRunnerResult
    invocation_id: str
    target: Path


class DbtSession:
    """Invocations that share one in-memory DuckDB. Made by `dbt_session`."""

    def __init__(self, project_dir: Path, target_dir: Path, work: Path, logs: Path) -> None:
        self._target = work
        self._flags = [
            *("--project-dir", str(project_dir)),
            *("--profiles-dir", str(project_dir)),
            *("--target-path", str(work)),
            *("--log-path", str(logs)),
            *("--log-level", "none"),
            *("--log-level-file", "info"),
            "--no-use-colors-file",
            "--no-send-anonymous-usage-stats",
        ]
        if (target_dir / PARTIAL_PARSE).exists():
            self._flags += ["--partial-parse-file-path", str(target_dir / PARTIAL_PARSE)]

    def invoke(self, args: Sequence[str]) -> Invocation:
        """Run one dbt command."""
        from dbt.cli.main import dbtRunner
        from dbt_common.invocation import get_invocation_id

        try:
            outcome = dbtRunner().invoke([*args, *self._flags])
            return Invocation(outcome, get_invocation_id(), self._target)
        finally:
            _close_logs()


@contextmanager
def dbt_session(
    *, project_dir: Path, target_dir: Path, logs: Path, run_values: Mapping[str, str] | None = None
) -> Iterator[DbtSession]:
    """Hold dbt alone in this process; `run_values` are what the project's macros see as `dbt_metadata_envs`."""
    work = target_dir / "work" / uuid.uuid4().hex  # processes must not write the same artifacts
    with _ONE_AT_A_TIME, _run_values(run_values or {}), _closed_connections():
        work.mkdir(parents=True)
        try:
            yield DbtSession(project_dir, target_dir, work, logs)
        finally:
            shutil.rmtree(work)


def _close_logs() -> None:
    """Close the log file: dbt drops its handlers without closing them, one open file per run."""
    from dbt_common.events.event_manager_client import cleanup_event_logger, get_event_manager

    for logger in get_event_manager().loggers:
        for handler in logging.getLogger(logger.name).handlers:
            handler.close()
    cleanup_event_logger()


@contextmanager
def _run_values(values: Mapping[str, str]) -> Iterator[None]:
    """Set what dbt would read from `DBT_ENV_CUSTOM_ENV_*`, once per process, into this module global.

    Setting the global leaves the environment, which other threads and child processes share, as it is. Unlike `--vars`
    and variables in `profiles.yml`, these values do not end partial parsing when they change.
    """
    from dbt_common.events import functions

    functions.metadata_vars = dict(values)
    try:
        yield
    finally:
        functions.reset_metadata_vars()


@contextmanager
def _closed_connections() -> Iterator[None]:
    """Close DuckDB after the session.

    dbt-duckdb keeps `:memory:` open between invocations in one process, and the next tenant's subset run would read
    and publish the tables of this one.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    try:
        yield
    finally:
        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.close()
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
