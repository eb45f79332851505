"""Figures of a server under load; the load is sent by a process of its own."""

from __future__ import annotations

import http.client
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from recsaas_assets.benchmarks.serving.serve_load import Load, LoadResult, percentiles, run_load
from recsaas_assets.benchmarks.serving.serve_process import Served, sampled
from recsaas_assets.benchmarks.workplace import Workplace
from resources.base.errors import NotReady


class Client:
    """Sends loads from a process of its own."""

    def __init__(self, pool: ProcessPoolExecutor, *, seconds: float, connections: int) -> None:
        self._pool = pool
        self._seconds = seconds
        self._connections = connections

    def send(self, port: int, requests: tuple[bytes, ...], *, rate: float | None = None) -> LoadResult:
        """Send one load."""
        # An open loop must never wait for a free connection of its own.
        connections = self._connections if rate is None else 4 * self._connections
        load = Load(port, requests, self._seconds, connections=connections, rate=rate)
        return self._pool.submit(run_load, load).result()


@contextmanager
def load_client(*, seconds: float, connections: int) -> Iterator[Client]:
    """Start the process that sends loads of so many seconds over so many connections."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Client(pool, seconds=seconds, connections=connections)


@dataclass(frozen=True, slots=True)
class Contest:
    """Two servers under the same load in turn."""

    ours: dict[str, object]
    yardstick: dict[str, object]
    ratio: float


def figures(*results: LoadResult) -> dict[str, object]:
    """Return the figures of one kind of request: the median of the requests a second of each result, and the
    percentiles of all their answers."""
    times = np.concatenate([result.milliseconds for result in results])
    errors = sum(result.errors for result in results)
    first = [error for result in results for error in result.first_errors][:5]
    return {
        "requests_per_second": round(float(np.median([_rate(result) for result in results])), 1),
        **percentiles(times),
        "errors": errors,
        **({"first_errors": first} if first else {}),
    }


def contest(
    client: Client, ours: tuple[Served, tuple[bytes, ...]], bare: tuple[Served, tuple[bytes, ...]], *, rounds: int
) -> Contest:
    """Measure both servers with their requests in turn, so that what else the machine does meets both alike.

    The ratio is the median of the rounds' ratios.
    """
    pairs = [(_costed(client, *ours), _costed(client, *bare)) for _ in range(rounds)]
    ratio = float(np.median([_rate(a) / _rate(b) for (a, _), (b, _) in pairs]))
    return Contest(_with_cost([a for a, _ in pairs]), _with_cost([b for _, b in pairs]), round(ratio, 3))


def _costed(client: Client, server: Served, requests: tuple[bytes, ...]) -> tuple[LoadResult, float]:
    before = server.cpu_seconds()
    result = client.send(server.port, requests)
    return result, (server.cpu_seconds() - before) * 1000 / max(1, result.answers)


def _with_cost(measured: list[tuple[LoadResult, float]]) -> dict[str, object]:
    cost = float(np.median([each for _, each in measured]))
    return figures(*(result for result, _ in measured)) | {"cpu_ms_per_request": round(cost, 3)}


def time_shares(
    place: Workplace, client: Client, requests: tuple[bytes, ...]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how many percent of the processor time of the service's app go into which layer, and into which functions
    of ours (those above 1 %), the largest first."""
    with sampled(place) as (server, stop):
        client.send(server.port, requests)
        server.process.send_signal(signal.SIGUSR1)
        client.send(server.port, requests)
        samples = stop()
    functions = _percent(samples["functions"])
    return _percent(samples["layers"]), {name: share for name, share in functions.items() if share >= 1}


def _percent(samples: dict[str, int]) -> dict[str, float]:
    total = sum(samples.values())
    ordered = sorted(samples.items(), key=lambda each: -each[1])
    return {name: round(100 * count / total, 1) for name, count in ordered}


def answer_size(port: int, request: bytes) -> int:
    """Send one request and return how many bytes its answer has.

    Raises:
        NotReady: the answer is an error.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(line.split(": ", 1) for line in lines))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise NotReady(f"{method} {path} was answered with {answer.status}: {content[:300].decode(errors='replace')}")
    return len(content)


def _rate(result: LoadResult) -> float:
    return len(result.milliseconds) / result.seconds if result.seconds else 0.0
