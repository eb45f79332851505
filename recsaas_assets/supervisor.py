"""Starts the platform's processes, waits until they answer, and stops what it started, by process id."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from resources.errors import ConfigurationError, RecsaasError

_STOP_SECONDS = 15.0
_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class ProcessFailed(RecsaasError):
    """A process ended, or did not answer in time; the message shows the end of its log."""

    code = "process_failed"


@dataclass(frozen=True, slots=True)
class Program:
    """One process to run. `ready` is asked until it says yes."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    ready_seconds: float = 120.0


class Supervisor:
    """Runs programs, each in a process group of its own, with a log file each."""

    def __init__(self, logs: Path, working_dir: Path) -> None:
        self._logs = logs
        self._working_dir = working_dir
        self._running: list[tuple[Program, subprocess.Popen[bytes]]] = []

    def start(self, program: Program) -> None:
        """Start a program without waiting for it."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with open(self._logs / f"{program.name}.log", "wb") as log:
            process = start_process(
                program.command, program.environment, out=log, errors=subprocess.STDOUT, working_dir=self._working_dir
            )
        self._running.append((program, process))

    def wait_ready(self) -> None:
        """Wait until every program answers.

        Raises:
            ProcessFailed: one ended or took too long.
        """
        for program, process in self._running:
            deadline = time.monotonic() + program.ready_seconds
            while not program.ready():
                if process.poll() is not None:
                    raise ProcessFailed(f"{program.name} ended with code {process.returncode}.\n{self._tail(program)}")
                if time.monotonic() > deadline:
                    raise ProcessFailed(
                        f"{program.name} did not answer within {program.ready_seconds:.0f} s.\n{self._tail(program)}"
                    )
                time.sleep(0.1)

    def wait(self) -> None:
        """Wait until a program ends by itself, which none should.

        Raises:
            ProcessFailed: always, when it returns at all.
        """
        while True:
            for program, process in self._running:
                if process.poll() is not None:
                    raise ProcessFailed(f"{program.name} ended with code {process.returncode}.\n{self._tail(program)}")
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop every program, the last started first; one that does not listen is killed."""
        for _, process in reversed(self._running):
            signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for _, process in reversed(self._running):
            end_process(process, seconds=max(0.1, deadline - time.monotonic()))
        self._running.clear()

    def _tail(self, program: Program) -> str:
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
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, which ends when the thread that started it does.

    `environment` is added to ours; `out`, `errors` and `input` are as in `subprocess.Popen`.
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
        preexec_fn=_end_with_parent,
    )


def end_process(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Wait until a process that was told to end has ended, and kill what is left of its group after `seconds`."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    # Also when it ended: its own children may have outlived it.
    signal_group(process, signal.SIGKILL)
    process.wait()


def free_port(host: str, wanted: int, *, taken: frozenset[int] = frozenset()) -> int:
    """The wanted port, or the next free one after it; 0 means any.

    Raises:
        ConfigurationError: no free port among the next 100, or `host` is not an address of this machine.
    """
    for port in [0] if wanted == 0 else range(wanted, min(wanted + 100, 65536)):
        if port in taken and port != 0:
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                continue
            except OSError as error:
                if error.errno not in (98, 48):  # address in use, on Linux and on macOS
                    raise ConfigurationError(
                        f"Cannot listen on {host}: {error.strerror}. Check RECSAAS_HOST."
                    ) from error
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError(f"No free port among {wanted} to {wanted + 99} on {host}; set another one.")


def python(*arguments: str) -> list[str]:
    """Command line of this very Python, so that nothing depends on PATH."""
    return [sys.executable, *arguments]


def _end_with_parent() -> None:
    """Have the kernel stop this child when the supervisor dies, even by kill −9 (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and its children; one that has ended is left alone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
