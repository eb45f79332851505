"""One connection, byte by byte."""

from __future__ import annotations

import pytest

from bento_service.server.guarded_protocol import (
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_AHEAD,
    MAX_HEADERS,
    READ_BYTES,
    READ_SECONDS,
)
from tests.unit.bento_service.wire import GET, Worker, on_worker


def test_a_request_is_answered_and_the_connection_kept() -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(GET)
        await line.send(b"POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nab", b"cd")
        assert line.statuses == [200, 200]
        assert worker.app.bodies == [b"abcd"]
        assert not line.gone

    on_worker(test)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nX: ", *[b"a" * 1024] * 8],
        [b"GET / HTTP/1.1\r\nX: " + b"a" * 8192 + b"\r\n\r\n"],
        [b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n\r\n"],
        [b"GET /", *[b"a" * 1024] * 8],
        [b"GET / HTTP/1.1\r\n", *[b"X: a\r\n"] * (MAX_HEADERS + 2)],
        [b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 60_000],
        [b"\r\n" * 512] * 8,
    ],
    ids=["header in pieces", "header", "target", "target in pieces", "headers in pieces", "headers", "empty lines"],
)
def test_headers_over_the_limit_are_refused_as_soon_as_they_are(pieces: list[bytes]) -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(*pieces)
        assert line.statuses == [431]
        assert line.error["code"] == "headers_too_large"
        assert "4,096 bytes" in line.error["message"]
        assert line.gone
        assert not worker.app.seen
        assert worker.front.ended == {"headers_too_large": 1}

    on_worker(test)


def test_the_second_request_of_a_connection_has_limits_of_its_own() -> None:
    async def test(worker: Worker) -> None:
        large = b"GET / HTTP/1.1\r\nX: " + b"a" * 3000 + b"\r\n\r\n"
        line = await worker.connect().send(large, large, large)
        assert line.statuses == [200, 200, 200]
        await line.send(large * 2 + large[:3000], large[3000:])
        assert line.statuses == [200] * 6
        assert (await line.send(b"GET / HTTP/1.1\r\nX: ", b"a" * 5000)).statuses[-1] == 431

    on_worker(test)


def test_a_body_counts_for_no_headers() -> None:
    async def test(worker: Worker) -> None:
        head = b"POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n"
        line = await worker.connect().send(head + b"a" * 20_000, head, b"a" * 19_000, b"a" * 1000 + GET[:5], GET[5:])
        assert line.statuses == [200, 200, 200]

    on_worker(test)


def test_headers_that_do_not_arrive_are_given_up() -> None:
    async def test(worker: Worker) -> None:
        silent, slow, fast = worker.connect(), worker.connect(), worker.connect()
        await slow.send(b"GET / HTTP/1.1\r\n")
        for _ in range(3):
            worker.wait(3)
            await slow.send(b"X: a\r\n")
            await fast.send(GET)
        assert not silent.gone and not slow.gone
        worker.wait(2)
        assert (silent.wire.closed, silent.wire.sent) == (True, b"")
        assert slow.statuses == [408]
        assert slow.error["code"] == "request_timeout"
        assert not fast.gone

    on_worker(test)


def test_a_connection_without_requests_is_closed_and_one_in_flight_never() -> None:
    async def test(worker: Worker) -> None:
        idle = await worker.connect().send(GET)
        worker.app.gate.clear()
        asked = await worker.connect().send(GET)
        half = await worker.connect().send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        worker.wait(14)
        assert not idle.gone
        worker.wait(2)
        assert idle.wire.closed
        worker.wait(3600)
        assert not asked.gone and not half.gone
        worker.app.gate.set()
        assert (await asked.send()).statuses == [200]

    on_worker(test)


def test_an_answer_before_the_body_ends_the_connection_and_what_comes_is_thrown_away() -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(b"PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + b"a" * 1000)
        assert line.statuses == [200]
        assert b"connection: close" in line.wire.sent
        assert line.wire.ended and not line.wire.aborted
        await line.send(*[b"a" * 65536] * (LINGER_BYTES // 65536))
        assert not line.wire.aborted
        await line.send(b"a")
        assert line.wire.aborted
        assert len(worker.app.seen) == 1

    on_worker(test)


def test_who_keeps_sending_after_an_early_answer_has_two_seconds() -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(b"PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")
        worker.wait(LINGER_SECONDS - 1)
        await line.send(b"a")
        assert not line.wire.aborted
        worker.wait(1)
        assert line.wire.aborted

    on_worker(test)


def test_a_body_is_asked_for_only_when_it_is_read() -> None:
    async def test(worker: Worker) -> None:
        expecting = b" / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        line = await worker.connect().send(b"PUT" + expecting)
        assert line.statuses == [200] and line.gone
        line = await worker.connect().send(b"POST" + expecting)
        assert line.statuses == [100]
        await line.send(b"{}")
        assert line.statuses == [100, 200] and not line.gone

    on_worker(test)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\xff: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"GET /a\x00b HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"MADE-UP / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_two_programs_might_read_differently_is_refused_in_the_one_shape(request_: bytes) -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(request_ + GET)
        assert line.statuses[-1] == 400
        assert line.error["code"] == "malformed_request"
        assert line.gone
        assert len(line.statuses) == 1

    on_worker(test)


def test_an_absolute_target_is_read_as_its_path() -> None:
    async def test(worker: Worker) -> None:
        await worker.connect().send(b"GET http://elsewhere/items?a=b HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (worker.app.seen[0]["path"], worker.app.seen[0]["query_string"]) == ("/items", b"a=b")

    on_worker(test)


def test_what_comes_behind_a_body_in_chunks_is_no_header() -> None:
    async def test(worker: Worker) -> None:
        head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        line = await worker.connect().send(head + b"Authorization: Bearer x\r\n\r\n")
        assert line.statuses == [200]
        assert b"authorization" not in dict(worker.app.seen[0]["headers"])
        line = await worker.connect().send(head, b"X: a\r\n" * (MAX_HEADERS + 1))
        assert line.gone and line.statuses == [431]

    on_worker(test)


@pytest.mark.parametrize(
    "pieces",
    [[b"1\r\na\r\n" * 5000], [b"1;" + b"x" * 4000 + b"\r\na\r\n"] * 50, [b"1;" + b"x" * 4000] + [b"x" * 4000] * 50],
    ids=["of one byte", "with long extensions", "with an endless extension"],
)
def test_chunks_that_carry_next_to_nothing_are_refused(pieces: list[bytes]) -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces)
        assert line.statuses == [400]
        assert "small chunks" in line.error["message"]
        assert not worker.app.bodies

    on_worker(test)


def test_chunks_of_a_line_each_are_taken() -> None:
    async def test(worker: Worker) -> None:
        chunks = b"14\r\n" + b"a" * 20 + b"\r\n"
        line = worker.connect()
        await line.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunks * 100] * 100, b"0\r\n\r\n")
        assert line.statuses == [200]
        assert len(worker.app.bodies[0]) == 200_000

    on_worker(test)


def test_only_some_requests_may_be_sent_ahead() -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(GET * MAX_AHEAD)
        assert line.statuses == [200] * MAX_AHEAD
        line = await worker.connect().send(GET * 10_000)
        assert line.wire.aborted
        assert len(worker.app.seen) <= MAX_AHEAD + 1
        assert worker.front.ended == {"too_many_ahead": 1}

    on_worker(test)


def test_nonsense_behind_a_request_does_not_cut_into_its_answer() -> None:
    async def test(worker: Worker) -> None:
        worker.app.gate.clear()
        line = await worker.connect().send(GET + b"\x00nonsense")
        assert line.statuses == []
        worker.app.gate.set()
        await line.send()
        assert line.statuses == [200]
        assert b"connection: close" in line.wire.sent and line.gone

    on_worker(test)


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_nothing_is_upgraded(upgrade: bytes) -> None:
    async def test(worker: Worker) -> None:
        head = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + upgrade
        line = await worker.connect().send(head + b"\r\nSec-WebSocket-Key: a\r\n\r\n")
        assert line.statuses == [200]
        assert b"connection: close" in line.wire.sent and line.gone

    on_worker(test)


def test_a_client_that_does_not_read_is_given_up_and_a_slow_one_is_not() -> None:
    async def test(worker: Worker) -> None:
        lines = [await worker.connect().send(GET) for _ in range(2)]
        for line in lines:
            line.wire.unsent = 1_000_000
            line.protocol.pause_writing()
        for _ in range(3):
            lines[0].wire.unsent -= READ_BYTES
            worker.wait(READ_SECONDS)
        assert [line.wire.aborted for line in lines] == [False, True]
        lines[0].protocol.resume_writing()
        worker.wait(16)
        assert lines[0].wire.closed

    on_worker(test)


def test_an_answer_that_is_never_read_does_not_hold_a_closed_connection() -> None:
    async def test(worker: Worker) -> None:
        line = await worker.connect().send(b"GET / HTTP/1.0\r\n\r\n")
        assert line.wire.closed
        worker.wait(LINGER_SECONDS + 1)
        assert line.wire.aborted

    on_worker(test)


def test_a_worker_that_stops_answers_what_is_in_flight_and_closes() -> None:
    async def test(worker: Worker) -> None:
        idle = await worker.connect().send(GET)
        half = await worker.connect().send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        for line in (idle, half):
            line.protocol.shutdown()
        assert idle.wire.closed
        await half.send(b"{}")
        assert half.statuses == [200] and half.wire.closed

    on_worker(test)
