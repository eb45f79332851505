"""Who is next: the names in turn, and of each name what came first."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from bento_service.http.errors import Busy
from bento_service.scheduling.fair_queue import FairQueue
from bento_service.scheduling.threads import Lane
from bento_service.scheduling.turns import Turns


def test_names_take_turns_however_much_one_has_put_in() -> None:
    queue: FairQueue[str] = FairQueue()
    for each in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.push(each[0], each)
    assert (queue.count("a"), queue.count("nobody"), queue.peek()) == (3, 0, "a1")
    taken = []
    while queue:
        taken.append(queue.pop())
    assert taken == ["a1", "b1", "c1", "a2", "b2", "a3"]
    with pytest.raises(KeyError):
        queue.pop()


def test_one_whose_turn_it_is_not_yet_can_be_taken_and_one_that_gives_up_be_left_out() -> None:
    queue: FairQueue[str] = FairQueue()
    for each in ("a1", "a2", "b1", "b2", "c1"):
        queue.push(each[0], each)
    assert list(queue) == ["a", "b", "c"]
    assert queue.pop("b") == "b1"
    assert list(queue) == ["a", "c", "b"]
    queue.remove("a", "a1")
    queue.remove("c", "c1")
    assert [queue.pop(), queue.pop()] == ["a2", "b2"]
    assert not queue


def test_a_request_waits_for_one_of_each_other_tenant_and_not_for_all() -> None:
    async def run() -> list[str]:
        turns, done = Turns(), []

        async def request(name: str) -> None:
            await turns.take(name[0])
            done.append(name)

        flood = [asyncio.create_task(request(f"a{n}")) for n in range(100)]
        await asyncio.sleep(0)
        late = asyncio.create_task(request("b"))
        await asyncio.gather(*flood, late)
        return done

    done = asyncio.run(run())
    assert len(done) == 101
    assert done.index("b") <= 3
    assert [each for each in done if each != "b"] == [f"a{n}" for n in range(100)]


def test_between_two_turns_the_loop_does_what_else_is_ready() -> None:
    async def run() -> list[str]:
        turns, done = Turns(), []

        async def request() -> None:
            await turns.take("a")
            done.append("request")

        async def other() -> None:
            for _ in range(4):
                done.append("other")
                await asyncio.sleep(0)

        await asyncio.gather(*(request() for _ in range(4)), other())
        return done

    done = asyncio.run(run())
    assert done.count("request") == 4
    assert all(pair != ("request", "request") for pair in pairwise(done[:6]))


def test_a_request_that_is_given_up_takes_no_turn() -> None:
    async def run() -> str:
        turns = Turns()
        await turns.take("a")
        gone = asyncio.create_task(turns.take("a"))
        stays = asyncio.create_task(turns.take("b"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stays, 60)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.wait_for(turns.take("c"), 60)
        return "all had theirs"

    assert asyncio.run(run()) == "all had theirs"


def test_a_lane_lets_the_next_tenant_in_before_the_rest_of_the_first() -> None:
    async def run() -> list[str]:
        lane, done, go_on = Lane(1, wait_seconds=30), [], threading.Event()

        def work(name: str) -> None:
            assert go_on.wait(30)
            done.append(name)

        tasks = [asyncio.create_task(lane.run("a", work, f"a{n}")) for n in range(5)]
        tasks.append(asyncio.create_task(lane.run("b", work, "b")))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*tasks)
        return done

    assert asyncio.run(run()) == ["a0", "a1", "b", "a2", "a3", "a4"]


def test_a_lane_says_that_it_is_full_and_works_again_afterwards() -> None:
    async def run() -> None:
        lane, go_on = Lane(1, wait_seconds=0.05, waiting=1), threading.Event()
        first = asyncio.create_task(lane.run("a", go_on.wait, 30))
        await asyncio.sleep(0)
        second = asyncio.create_task(lane.run("a", time.monotonic))
        await asyncio.sleep(0)
        with pytest.raises(Busy):  # one of the tenant waits already
            await lane.run("a", time.monotonic)
        with pytest.raises(Busy):  # no thread within the time
            await second
        given_up = asyncio.create_task(lane.run("b", time.monotonic))
        await asyncio.sleep(0)
        given_up.cancel()
        go_on.set()
        assert await first
        assert await lane.run("b", lambda: "works") == "works"

    asyncio.run(run())
