from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from bento_service.events.decision_log import DecisionLog
from bento_service.scheduling.threads import Threads
from bento_service.telemetry.metrics import Metrics
from resources.base.tenant import TenantId
from resources.decisions.decision import Decision, ShownItem, new_recommendation_id
from resources.decisions.store import DecisionStore, open_decisions
from tests.unit.bento_service.shop import NOW

BLUE = TenantId("blue")


def decision(user: str = "u1", *, at: float = 0.0) -> Decision:
    made_at = NOW + timedelta(seconds=at)
    return Decision(
        recommendation_id=new_recommendation_id(made_at),
        tenant=BLUE,
        at=made_at,
        release_version="r1",
        algorithm="lightgcn",
        items=(ShownItem("b1", 1, 0.5, "model"),),
        request_id="q",
        user_id=user,
    )


def value(metrics: Metrics, name: str) -> float:
    (line,) = (line for line in metrics.exposition().decode().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DecisionStore]:
    store = open_decisions(f"sqlite:///{tmp_path}/decisions.db")
    yield store
    store.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def log(store: DecisionStore, metrics: Metrics) -> Iterator[DecisionLog]:
    log = DecisionLog(store, metrics, lambda: NOW, keep_days=90, lane=Threads().reads, queue=1000)
    yield log
    log.close()


def record(log: DecisionLog, *made: Decision) -> None:
    async def all_of_them() -> None:
        for each in made:
            await log.record(each)

    asyncio.run(all_of_them())


def test_what_is_recorded_is_stored_in_order_without_anybody_waiting(
    log: DecisionLog, store: DecisionStore, metrics: Metrics
) -> None:
    made = [decision(at=n / 1000) for n in range(700)]
    record(log, *made)
    assert log.flush()
    assert store.of_user(BLUE, "u1") == tuple(made)
    assert value(metrics, "recsaas_decisions_written_total") == 700


def test_one_decision_alone_is_written_without_anybody_asking(log: DecisionLog, store: DecisionStore) -> None:
    made = decision()
    record(log, made)
    until = monotonic() + 60
    while store.get(BLUE, made.recommendation_id) is None:
        assert monotonic() < until
        sleep(0.02)


def test_a_decision_is_found_before_it_is_stored(log: DecisionLog, store: DecisionStore) -> None:
    with sqlite3.connect(store.engine.url.database or "") as writer:
        writer.execute("BEGIN IMMEDIATE")
        made = decision()
        record(log, made)
        assert asyncio.run(log.find(BLUE, made.recommendation_id)) == made
        assert asyncio.run(log.find(TenantId("green"), made.recommendation_id)) is None
        assert store.get(BLUE, made.recommendation_id) is None
    writer.close()


def test_another_workers_decision_is_waited_for(log: DecisionLog, store: DecisionStore) -> None:
    made = decision()

    async def ask() -> Decision | None:
        asking = asyncio.create_task(log.find(BLUE, made.recommendation_id))
        await asyncio.sleep(0)
        store.add([made])
        return await asking

    assert asyncio.run(ask()) == made


def test_closing_writes_what_waits_and_takes_no_more(store: DecisionStore, metrics: Metrics) -> None:
    log = DecisionLog(store, metrics, lambda: NOW, keep_days=90, lane=Threads().reads)
    record(log, *(decision(at=n / 1000) for n in range(20)))
    log.close()
    assert len(store.of_user(BLUE, "u1")) == 20
    record(log, decision())
    assert value(metrics, "recsaas_decisions_lost_total") == 1


def test_a_log_that_cannot_be_written_keeps_what_fits_and_counts_the_rest(
    store: DecisionStore, metrics: Metrics
) -> None:
    log = DecisionLog(store, metrics, lambda: NOW, keep_days=90, lane=Threads().reads, queue=3)
    writer = sqlite3.connect(store.engine.url.database or "")
    writer.execute("BEGIN IMMEDIATE")
    first, *rest = (decision(at=n / 1000) for n in range(8))
    record(log, first, *rest)
    writer.rollback()
    writer.close()
    assert log.flush()
    kept = len(store.of_user(BLUE, "u1"))
    assert kept < 8
    assert value(metrics, "recsaas_decisions_lost_total") == 8 - kept
    log.close()


def test_a_failed_batch_is_written_later(
    log: DecisionLog, store: DecisionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bento_service.events.decision_log._RETRY_SECONDS", 0.01)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE decisions RENAME TO elsewhere")
    made = decision()
    record(log, made)
    assert not log.flush(0.3)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO decisions")
    assert log.flush()
    assert store.of_user(BLUE, "u1") == (made,)


def test_a_decision_that_the_log_does_not_take_costs_no_other(
    log: DecisionLog, store: DecisionStore, metrics: Metrics
) -> None:
    twice = decision("u2")
    made = [decision(), replace(decision("u3"), offset=2**70), twice, decision("u4"), replace(twice, user_id="u5")]
    record(log, *made)
    assert log.flush()
    assert [len(store.of_user(BLUE, f"u{n}")) for n in (1, 2, 3, 4, 5)] == [1, 1, 0, 1, 0]
    assert value(metrics, "recsaas_decisions_lost_total") == 2
    record(log, decision("u6"))
    assert log.flush()
    assert len(store.of_user(BLUE, "u6")) == 1


def test_decisions_beyond_the_days_to_keep_are_pruned(log: DecisionLog, store: DecisionStore) -> None:
    day = 24 * 3600
    store.add([decision("old", at=-91 * day), decision("kept", at=-89 * day)])
    record(log, decision())
    log.close()
    assert store.of_user(BLUE, "old") == ()
    assert len(store.of_user(BLUE, "kept")) == 1


def test_a_user_erased_while_a_decision_waits_stays_erased(log: DecisionLog, store: DecisionStore) -> None:
    waits, later = decision(), replace(decision(at=1.0), recommendation_id="f" * 32)
    store.erase_user(BLUE, "u1", until=NOW + timedelta(seconds=0.5))
    record(log, waits, later)
    assert log.flush()
    assert store.of_user(BLUE, "u1") == (later,)
