"""How many connections a worker has, and which of them give way."""

from __future__ import annotations

import resource

import pytest

from bento_service.server.front import FrontLimits
from resources.base.settings import Settings
from tests.unit.bento_service.wire import GET, Worker, on_worker


def test_connections_that_wait_give_way_those_without_any_answer_first() -> None:
    async def test(worker: Worker) -> None:
        kept = await worker.connect("192.0.2.7").send(GET)
        worker.wait(1)
        attackers = [worker.connect() for _ in range(500)]
        assert len(worker.front) == 33  # all but one are of one address
        assert not kept.gone
        assert attackers[0].gone and not attackers[-1].gone
        assert (await attackers[-1].send(GET)).statuses == [200]
        newcomer = await worker.connect("192.0.2.9").send(GET)
        assert newcomer.statuses == [200]

    on_worker(test)


def test_one_address_may_have_so_many_requests_in_flight() -> None:
    async def test(worker: Worker) -> None:
        worker.app.gate.clear()
        busy = [await worker.connect().send(GET) for _ in range(32)]
        refused = worker.connect()
        assert refused.statuses == [429]
        assert refused.error["code"] == "too_many_connections"
        assert b"retry-after: 1" in refused.wire.sent
        assert len(worker.front) == 32
        other = worker.connect("192.0.2.2")
        assert not other.gone
        busy[0].protocol.connection_lost(None)
        assert not worker.connect().gone

    on_worker(test)


def test_all_together_may_have_so_many_and_a_trusted_proxy_alone_too() -> None:
    async def test(worker: Worker) -> None:
        worker.app.gate.clear()
        lines = [await worker.connect("10.0.0.1").send(GET) for _ in range(64)]
        assert not any(line.gone for line in lines)
        refused = worker.connect("192.0.2.2")
        assert refused.statuses == [503]
        assert refused.error["code"] == "busy"

    on_worker(test, trusted=("10.0.0.0/8",))


def test_connections_are_forgotten_when_they_are_lost() -> None:
    async def test(worker: Worker) -> None:
        lines = [await worker.connect(f"192.0.2.{n}").send(GET) for n in range(20)]
        for line in lines:
            line.protocol.connection_lost(None)
        assert len(worker.front) == 0
        assert not worker.state.connections
        worker.wait(100)

    on_worker(test)


def test_whoever_comes_by_a_unix_socket_is_not_one_address() -> None:
    async def test(worker: Worker) -> None:
        worker.app.gate.clear()
        lines = [await worker.connect("").send(GET) for _ in range(64)]
        assert not any(line.gone for line in lines)

    on_worker(test)


@pytest.mark.parametrize(
    ("soft", "hard", "set_to", "connections"),
    [
        (1024, 4096, 2304, 2048),
        (1024, 1024, 1024, 768),
        (1024, resource.RLIM_INFINITY, 2304, 2048),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 2048),
        (20_000, 20_000, None, 2048),
    ],
)
def test_there_are_no_more_connections_than_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, set_to: int | None, connections: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert FrontLimits.of(Settings(max_connections=2048)).connections == connections
    assert asked == ([] if set_to is None else [(set_to, hard)])
