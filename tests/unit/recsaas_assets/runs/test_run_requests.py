"""When a tenant's run starts: never missed, never repeated for nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from recsaas_assets.runs.run_requests import Request, RunEnd, RunPlan, digest, from_cursor, plan_runs, to_cursor
from resources.base.tenant import TenantId

BLUE, GREEN = TenantId("blue"), TenantId("green")


class Sensor:
    """Ticks one after the other, with the cursor handed on as text."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.outcomes: dict[str, RunEnd] = {}

    def tick(self, *blue: str, busy: bool = False) -> bool:
        """Whether a run is requested for what waits; it ends well unless something else is said."""
        waiting = {BLUE: digest(blue)} if blue else {}
        decision = plan_runs(
            waiting,
            from_cursor(self.cursor),
            busy={BLUE} if busy else set(),
            known={BLUE},
            outcome_of=lambda key: self.outcomes.get(key, "unknown"),
        )
        self.cursor = to_cursor(decision.cursor)
        for request in decision.requests.values():
            self.outcomes[request.key] = "succeeded"
            self.last = request
        return bool(decision.requests)

    def fail(self) -> None:
        self.outcomes[self.last.key] = "failed"


@pytest.fixture
def sensor() -> Sensor:
    return Sensor()


def test_what_waits_is_asked_for_once_while_its_run_goes_on(sensor: Sensor) -> None:
    assert not sensor.tick()
    assert sensor.tick("a")
    assert not sensor.tick("a", busy=True)
    assert not sensor.tick()


def test_what_comes_during_a_run_starts_the_next_one(sensor: Sensor) -> None:
    assert sensor.tick("a")
    assert not sensor.tick("a", "b", busy=True)
    assert sensor.tick("b")


def test_the_same_thing_again_after_it_was_taken_is_new(sensor: Sensor) -> None:
    assert sensor.tick("a.csv 10 bytes")
    assert not sensor.tick()
    assert sensor.tick("a.csv 10 bytes")


def test_a_failed_run_is_not_repeated_until_something_new_comes(sensor: Sensor) -> None:
    assert sensor.tick("a")
    sensor.fail()
    assert not sensor.tick("a")
    assert not sensor.tick("a")
    assert sensor.tick("a", "b")


def test_what_a_good_run_left_is_asked_for_again_but_not_for_ever(sensor: Sensor) -> None:
    assert [sensor.tick("a") for _ in range(5)] == [True, True, True, False, False]
    assert sensor.tick("b")


def test_a_request_that_became_no_run_is_repeated(sensor: Sensor) -> None:
    assert sensor.tick("a")
    sensor.outcomes.clear()
    assert sensor.tick("a")


@pytest.mark.parametrize(
    "cursor", [None, "", "x", "[]", "3", '{"blue": 3}', '{"blue": {"waits": "a"}}', '{"No Tenant": {}}', "null"]
)
def test_a_lost_cursor_asks_once_more(sensor: Sensor, cursor: str | None) -> None:
    assert sensor.tick("a")
    sensor.cursor = cursor
    assert sensor.tick("a")
    sensor.fail()
    assert not sensor.tick("a")


def test_every_request_has_a_key_of_its_own_and_the_cursor_comes_back() -> None:
    decisions = [_decide({BLUE: "x", GREEN: "x"}) for _ in range(2)]
    keys = {request.key for decision in decisions for request in decision.requests.values()}
    assert len(keys) == 4
    assert from_cursor(to_cursor(decisions[0].cursor)) == decisions[0].cursor == decisions[0].requests


def test_a_tenant_without_a_partition_waits() -> None:
    decision = _decide({BLUE: "x", TenantId("new"): "x"})
    assert set(decision.requests) == {BLUE}
    assert decision.notes == ("new: its partition is not there yet.",)


def test_the_digest_sees_every_change_but_not_the_order() -> None:
    assert digest(["a", "b"]) == digest(["b", "a"])
    assert len({digest(things) for things in ([], ["a"], ["a", "b"], ["ab"], ["a", "a"], ["a b"])}) == 6


def _decide(waiting: dict[TenantId, str]) -> RunPlan:
    asked: dict[TenantId, Request] = {}
    return plan_runs(waiting, asked, busy=(), known={BLUE, GREEN}, outcome_of=lambda _: "unknown")


def test_a_tenant_whose_runs_keep_failing_is_held_and_forgets_nothing() -> None:
    until = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)

    def plan(asked: dict[TenantId, Request], held: bool) -> RunPlan:
        return plan_runs(
            {BLUE: "new", GREEN: "other"},
            asked,
            busy=(),
            known={BLUE, GREEN},
            outcome_of=lambda key: "failed",
            held_until=lambda tenant: until if held and tenant == BLUE else None,
        )

    before = {BLUE: Request("old", "key")}
    held = plan(before, held=True)
    assert set(held.requests) == {GREEN}, "others do not wait"
    assert "at 12:30 UTC" in held.notes[0]
    assert held.cursor[BLUE] == before[BLUE]
    assert set(plan(dict(held.cursor), held=False).requests) == {BLUE}
