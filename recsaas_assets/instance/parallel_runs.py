"""Runs of several tenants at a time, in processes of their own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recsaas_assets.instance.home import GROUPS, RunOutcome
from resources.base.tenant import TenantId
from resources.processes.supervisor import end_process, python, signal_group, start_process

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Worker:
    """One process and what it works on."""

    process: subprocess.Popen[bytes]
    tenant: TenantId
    log: Path
    started: float

    def outcome(self) -> RunOutcome:
        """Wait for the answer; a process that ends without one is a failed run."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.endswith(b"\n"):
            return RunOutcome(**json.loads(line))
        code = self.process.wait()
        said = self.log.read_text(errors="replace").strip().rpartition("\n")[2]
        message = f"The run's process ended with code {code} before it had an answer: {said} (the log: {self.log})"
        return RunOutcome("", False, None, message, time.monotonic() - self.started)


def run_in_parallel(
    tenants: Sequence[TenantId],
    *,
    jobs: int,
    logs: Path,
    start_from: str = GROUPS[0],
    on_start: Callable[[TenantId], None] = lambda _: None,
    on_end: Callable[[TenantId, RunOutcome], None] = lambda _, __: None,
) -> dict[TenantId, RunOutcome]:
    """Run every tenant, `jobs` at a time; one that fails, or takes its process down, does not stop the others.

    The processes work on the installation that the environment names. When this function is interrupted, it interrupts
    them and waits until they have ended.
    """
    waiting = deque(dict.fromkeys(tenants))
    outcomes: dict[TenantId, RunOutcome] = {}
    with _processes(jobs, logs, start_from) as start, selectors.DefaultSelector() as answers:

        def give(process: subprocess.Popen[bytes], log: Path) -> None:
            tenant = waiting.popleft()
            on_start(tenant)
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError):  # it has died: `outcome` says so
                process.stdin.write(f"{tenant}\n".encode())
                process.stdin.flush()
            answers.register(process.stdout, selectors.EVENT_READ, _Worker(process, tenant, log, time.monotonic()))

        while waiting and len(answers.get_map()) < jobs:
            give(*start())
        while answers.get_map():
            for key, _ in answers.select():
                worker: _Worker = key.data
                answers.unregister(key.fileobj)
                outcome = outcomes[worker.tenant] = worker.outcome()
                on_end(worker.tenant, outcome)
                if waiting:
                    alive = worker.process.returncode is None
                    give(*((worker.process, worker.log) if alive else start()))
    return {tenant: outcomes[tenant] for tenant in dict.fromkeys(tenants)}


@contextmanager
def _processes(jobs: int, logs: Path, start_from: str) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], Path]]]:
    """A function that starts a worker; all of them have ended after the block."""
    started: list[subprocess.Popen[bytes]] = []
    # Threads that outnumber the cores and spin make all runs slow.
    environment = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONWARNINGS": "ignore",
    }

    def start() -> tuple[subprocess.Popen[bytes], Path]:
        log = logs / f"backfill-{len(started) + 1}.log"
        logs.mkdir(parents=True, exist_ok=True)
        command = python("-m", "recsaas_assets.instance.run_worker", start_from)
        with open(log, "wb") as errors:
            process = start_process(command, environment, input=subprocess.PIPE, out=subprocess.PIPE, errors=errors)
        started.append(process)
        return process, log

    try:
        yield start
    except KeyboardInterrupt:
        for process in started:
            signal_group(process, signal.SIGINT)
        raise
    finally:
        for process in started:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in started:
            end_process(process, seconds=max(0.1, deadline - time.monotonic()))
            assert process.stdout is not None
            process.stdout.close()
