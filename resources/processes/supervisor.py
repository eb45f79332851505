"""Keeps the platform's processes running: starts them, starts again what ends, and stops them, by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from resources.base.errors import RecsaasError
from resources.processes.process import end_with_parent

_STOP_SECONDS = 15.0
_TAIL_LINES = 15
_LOOK_SECONDS = 0.1
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 60.0
_STABLE_SECONDS = 60.0
LOG = "platform.log"
"""What the supervisor said, beside the programs' own logs."""


class ProcessFailed(RecsaasError):
    """A process ended, or did not answer in time; the message shows the end of its log."""

    code = "process_failed"


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to run. `ready` is asked until it says yes; `files` are open files that it inherits, by number."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    ready_seconds: float = 120.0
    files: Sequence[int] = ()


@dataclass(slots=True)
class _Run:
    """A program and its present process. `due` is when it is started again, where it has none."""

    program: ProcessSpec
    process: subprocess.Popen[bytes]
    started_at: float
    ready: bool = False
    failures: int = 0
    due: float | None = None


class Supervisor:
    """Runs programs, each in a process group of its own, with a log file each.

    `say` is called with a line for a person whenever something happens after the start.
    """

    def __init__(self, logs: Path, working_dir: Path, say: Callable[[str], None]) -> None:
        self._logs = logs
        self._working_dir = working_dir
        self._say = say
        self._runs: list[_Run] = []
        self._left_behind: list[subprocess.Popen[bytes]] = []

    def start(self, program: ProcessSpec) -> None:
        """Start a program without waiting for it."""
        self._logs.mkdir(parents=True, exist_ok=True)
        (self._logs / f"{program.name}.log").unlink(missing_ok=True)
        self._runs.append(_Run(program, self._process(program), time.monotonic()))

    def wait_ready(self) -> None:
        """Wait until every program answers.

        Raises:
            ProcessFailed: one ended or took too long.
        """
        for run in self._runs:
            while not (run.ready or run.program.ready()):
                problem = self._problem(run)
                if problem is not None:
                    raise ProcessFailed(f"{run.program.name} {problem}.\n{self._tail(run.program)}")
                time.sleep(_LOOK_SECONDS)
            run.ready = True

    def wait(self) -> None:
        """Keep every program running until a signal interrupts us; the others go on while one is down.

        A program that ends is started again at once, and if it ends again within a minute after a wait that doubles
        each time, up to a minute. After a minute without trouble it counts from the beginning.
        """
        while True:
            for run in self._runs:
                self._look_after(run)
            self._left_behind = self._still_left_behind()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Stop every program, the last started first; one that does not listen is killed."""
        processes = [run.process for run in reversed(self._runs)] + self._still_left_behind()
        for process in processes:
            signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            end_process(process, seconds=max(0.1, deadline - time.monotonic()))
        self._runs.clear()
        self._left_behind.clear()

    def _look_after(self, run: _Run) -> None:
        now = time.monotonic()
        if run.due is not None:
            if now >= run.due:
                run.process, run.started_at, run.due = self._process(run.program), now, None
            return
        problem = self._problem(run)
        if problem is not None:
            self._plan_restart(run, problem)
        elif not run.ready and run.program.ready():
            run.ready = True
            self._tell(f"{run.program.name} answers again, {now - run.started_at:.1f} s after its start.")

    def _plan_restart(self, run: _Run, problem: str) -> None:
        if run.process.poll() is None:
            end_process(run.process, seconds=0)
        else:  # what it has started may go on: a tenant's run, a request that is being answered
            self._left_behind.append(run.process)
        now = time.monotonic()
        if run.ready and now - run.started_at >= _STABLE_SECONDS:
            run.failures = 0
        waits = 0.0 if run.failures == 0 else _FIRST_WAIT_SECONDS * 2 ** (run.failures - 1)
        waits = min(_LONGEST_WAIT_SECONDS, waits)
        when = f"in {waits:g} s" if waits else "now"
        why = "" if run.ready else f"\n{self._tail(run.program)}"
        self._tell(f"{run.program.name} {problem}; it is started again {when}, and all else goes on.{why}")
        run.failures, run.ready, run.due = run.failures + 1, False, now + waits

    def _problem(self, run: _Run) -> str | None:
        """What is wrong with the process; `None` while it runs and has answered, or may still take its time."""
        code = run.process.poll()
        if code is not None:
            return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if not run.ready and time.monotonic() - run.started_at > run.program.ready_seconds:
            return f"did not answer within {run.program.ready_seconds:.0f} s"
        return None

    def _still_left_behind(self) -> list[subprocess.Popen[bytes]]:
        """Processes that have ended and left others of their group running; the number of an empty group is reused."""
        return [process for process in self._left_behind if _has_members(process.pid)]

    def _process(self, program: ProcessSpec) -> subprocess.Popen[bytes]:
        with open(self._logs / f"{program.name}.log", "ab") as log:
            return start_process(
                program.command,
                program.environment,
                out=log,
                errors=subprocess.STDOUT,
                working_dir=self._working_dir,
                files=program.files,
            )

    def _tell(self, line: str) -> None:
        with open(self._logs / LOG, "a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}\n")
        self._say(line)

    def _tail(self, program: ProcessSpec) -> str:
        path = self._logs / f"{program.name}.log"
        lines = path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([*lines, f"The whole log: {path}"])


def start_process(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    out: IO[bytes] | int,
    errors: IO[bytes] | int,
    input: int = subprocess.DEVNULL,
    working_dir: Path | None = None,
    files: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, which ends when the thread that started it does.

    `environment` is added to ours; `out`, `errors` and `input` are as in `subprocess.Popen`, and `files` as its
    `pass_fds`.
    """
    return subprocess.Popen(
        list(command),
        stdin=input,
        stdout=out,
        stderr=errors,
        cwd=working_dir,
        env={**os.environ, **environment},
        # Ctrl-C reaches only us, and we stop what we started in order.
        start_new_session=True,
        preexec_fn=end_with_parent,
        pass_fds=files,
    )


def end_process(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Wait until a process that was told to end has ended, and kill what is left of its group after `seconds`."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    # Also when it ended: its own children may have outlived it.
    signal_group(process, signal.SIGKILL)
    process.wait()


def python(*arguments: str) -> list[str]:
    """Command line of this very Python, so that nothing depends on PATH."""
    return [sys.executable, *arguments]


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and its children; one that has ended is left alone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
