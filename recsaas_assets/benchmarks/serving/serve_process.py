"""The processes that are measured: the real service, the yardstick, and the service's app under a sampler."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from recsaas_assets.benchmarks.workplace import Workplace
from recsaas_assets.platform.ports import free_port
from resources.base.errors import NotReady
from resources.processes.supervisor import end_process, python, signal_group, start_process

_START_SECONDS = 300.0
_HOST = "127.0.0.1"
_STARTED = "Completed startup hook"
# Far above what any machine sends: the limit is looked at, and never reached.
_NO_LIMITS = {"RECSAAS_RATE_LIMIT": "10000000", "RECSAAS_KEY_RATE_LIMIT": "10000000"}


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers on `port`; `process` started it, and it may have workers of its own."""

    port: int
    process: psutil.Process
    log: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{_HOST}:{self.port}"

    @property
    def workers_started(self) -> int:
        """Number of workers that have started so far; more than there are when one had to be started again."""
        return self.log.read_text(errors="replace").count(_STARTED)

    def memory_bytes(self) -> int:
        """Memory of the process and of all that it started; what they share counts once (Linux: PSS)."""
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            try:
                memory = process.memory_full_info()
            except psutil.NoSuchProcess:
                continue
            total += getattr(memory, "pss", memory.uss)
        return total

    def cpu_seconds(self) -> float:
        """Processor time so far of the process and of what it started and still runs."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))

    def worker_of(self, connection: socket.socket) -> int | None:
        """Return the id of the process that answers on a connection, once it has accepted it."""
        ours = connection.getsockname()[1]
        for process in (self.process, *self.process.children(recursive=True)):
            if any(c.laddr.port == self.port and c.raddr and c.raddr.port == ours for c in process.net_connections()):
                return int(process.pid)
        return None


@contextmanager
def service(
    place: Workplace,
    *,
    workers: int = 1,
    limited: bool = False,
    sources: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Run the service on an installation; `variables` are added to its environment.

    Without `limited` a tenant may send as many requests as it likes. `sources`: the checkout whose service is run.

    Raises:
        NotReady: it did not start; the message shows the end of its log.
    """
    command = python("-m", "bento_service.serve", "--host", _HOST)
    environment = {
        **place.environment,
        "RECSAAS_SERVICE_WORKERS": str(workers),
        "RECSAAS_LOG_LEVEL": "INFO",
        "RECSAAS_DECISIONS": "",
        "RECSAAS_REDIS_URL": "",
        "BENTOML_HOME": str(place.settings.home / "bentoml"),
        "OMP_NUM_THREADS": "1",
        **({} if limited else _NO_LIMITS),
        **({} if sources is None else {"PYTHONPATH": str(sources.absolute())}),
        **(variables or {}),
    }

    def ready(served: Served) -> bool:
        return served.workers_started >= workers and _status(f"{served.url}/readyz") == 200

    with _running(place.settings.home / "service.log", command, environment, ready) as served:
        yield served


@contextmanager
def yardstick(place: Workplace, *, workers: int, size: int) -> Iterator[Served]:
    """Run a bare FastAPI route that answers `size` bytes."""
    options = ["--workers", str(workers), "--bytes", str(size)]
    command = python("-m", "bento_service.benchmarking.yardstick", *options)
    log = place.settings.home / "yardstick.log"
    with _running(log, command, {}, lambda served: _status(f"{served.url}/") == 405) as served:
        yield served


@contextmanager
def sampled(place: Workplace) -> Iterator[tuple[Served, Callable[[], dict[str, dict[str, int]]]]]:
    """Run the service's app under a sampler; the function stops it and returns the samples, `layers` and `functions`.

    Samples count from the first SIGUSR1 on.
    """
    environment = {**place.environment, "RECSAAS_ANSWER_CACHE_BYTES": "0", "RECSAAS_RATE_LIMIT": "10000000"}
    command = python("-m", "bento_service.benchmarking.sampled")
    log = place.settings.home / "sampled.log"
    with _running(log, command, environment, lambda served: _status(f"{served.url}/health") == 200) as served:

        def stop() -> dict[str, dict[str, int]]:
            served.process.send_signal(signal.SIGTERM)
            served.process.wait(timeout=30)
            samples: dict[str, dict[str, int]] = json.loads(log.read_bytes().splitlines()[-1])
            return samples

        yield served, stop


@contextmanager
def _running(
    log: Path, command: list[str], environment: dict[str, str], ready: Callable[[Served], bool]
) -> Iterator[Served]:
    port = free_port(_HOST, 0)
    with open(log, "wb") as out:
        process = start_process(
            [*command, "--port", str(port)], environment, out=out, errors=subprocess.STDOUT, working_dir=log.parent
        )
    try:
        served = Served(port, psutil.Process(process.pid), log)
        deadline = time.monotonic() + _START_SECONDS
        while not ready(served):
            if process.poll() is not None or time.monotonic() > deadline:
                end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise NotReady(f"`{' '.join(command[1:4])}` did not start.\n{end}")
            time.sleep(0.1)
        yield served
    finally:
        signal_group(process, signal.SIGTERM)
        end_process(process, seconds=15)


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=10).status_code
    except httpx.TransportError:
        return 0
