"""What PostgreSQL allows and SQLite does not: transactions that write at the same time, and commit in any order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.idempotency import WriteKey
from resources.control_db.items import ItemEdit, append_item_changes, last_item_change
from resources.control_db.tables.tenants import take_turns
from resources.decisions.decision import Decision
from resources.decisions.store import DecisionStore, open_decisions
from resources.events.log import Event, EventLog
from resources.jobs.kinds.uploads import too_many_uploads
from resources.jobs.model import Job, JobKind
from resources.jobs.queue import JobQueue
from resources.jobs.store import add_job
from resources.training.runs import find_run, note_end, note_stage

pytestmark = pytest.mark.databases("postgresql")
Shops = tuple[TenantId, TenantId]


def viewed(name: str, now: datetime) -> Event:
    return Event(event_id=name, user_id="u", item_id="i", interaction_type="view", timestamp=now)


@contextmanager
def held_before_commit(db: ControlDb) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold the first transaction of this DB between its last statement and its commit: (it is there, let it go on)."""
    there, go_on, first = threading.Event(), threading.Event(), threading.Lock()

    def wait(_connection: object) -> None:
        if first.acquire(blocking=False):
            there.set()
            assert go_on.wait(60)

    event.listen(db.engine, "commit", wait)
    try:
        yield there, go_on
    finally:
        go_on.set()
        event.remove(db.engine, "commit", wait)


def test_no_event_becomes_visible_after_a_later_one(
    db: ControlDb, database_url: str, shops: Shops, now: datetime
) -> None:
    """An export notes up to which number it has read, and would never read one that turns up below it."""
    log = EventLog(db)
    with (
        closing(open_control_db(database_url)) as other,
        ThreadPoolExecutor(2) as pool,
        held_before_commit(db) as (there, go_on),
    ):
        early = pool.submit(log.append, shops[0], [viewed("early", now)], now=now)
        assert there.wait(30)
        late = pool.submit(EventLog(other).append, shops[0], [viewed("late", now)], now=now)
        # Another shop's events wait for nobody.
        (apart,) = EventLog(other).append(shops[1], [viewed("apart", now)], now=now)
        assert EventLog(other).export_after(shops[0]).is_empty()
        assert not late.done()
        go_on.set()
        first, second = early.result(30)[0].seq, late.result(30)[0].seq
    assert first < second and first < apart.seq
    assert log.export_after(shops[0])["event_id"].to_list() == ["early", "late"]


def test_watermarks_that_are_read_meanwhile_miss_nothing(
    db: ControlDb, database_url: str, shops: Shops, now: datetime
) -> None:
    """Four writers and a reader that goes on from the last number it saw: each event is read once, in order."""
    others = [open_control_db(database_url, migrate=False) for _ in range(4)]
    done = threading.Event()

    def write(number: int) -> None:
        for each in range(30):
            EventLog(others[number]).append(shops[0], [viewed(f"{number}/{each}", now)], now=now)

    def read() -> list[str]:
        last, names = 0, []
        while True:
            over = done.is_set()
            page = EventLog(db).export_after(shops[0], last, limit=7)
            names += page["event_id"].to_list()
            last = page["seq"].max() or last  # type: ignore[assignment]
            if over and page.is_empty():
                return names

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        for each in [pool.submit(write, number) for number in range(4)]:
            each.result(120)
        done.set()
        names = reader.result(60)
    assert len(names) == len(set(names)) == 120
    for other in others:
        other.close()


def test_a_number_that_was_rolled_back_is_a_gap_and_no_more(db: ControlDb, shops: Shops, now: datetime) -> None:
    log = EventLog(db)
    (first,) = log.append(shops[0], [viewed("a", now)], now=now)
    with pytest.raises(StatementError, match="offset"):
        log.append(shops[0], [viewed("b", now), replace(viewed("c", now), timestamp=datetime(2025, 1, 1))], now=now)
    (second,) = log.append(shops[0], [viewed("d", now)], now=now)
    assert second.seq > first.seq
    assert log.export_after(shops[0])["event_id"].to_list() == ["a", "d"]


def test_two_requests_with_one_key_change_one_thing(
    db: ControlDb, database_url: str, shops: Shops, now: datetime
) -> None:
    edits, key = [ItemEdit("i1", "put", {"title": "Lamp"})], WriteKey.of("k", "put")
    with (
        closing(open_control_db(database_url)) as other,
        ThreadPoolExecutor(2) as pool,
        held_before_commit(db) as (there, go_on),
    ):
        one = pool.submit(append_item_changes, db, shops[0], edits, now=now, key=key)
        assert there.wait(30)
        two = pool.submit(append_item_changes, other, shops[0], edits, now=now, key=key)
        go_on.set()
        results = [one.result(30), two.result(30)]
    assert [each.repeated for each in results] == [False, True]
    assert last_item_change(db, shops[0]) == results[0].last_seq == results[1].last_seq


def test_a_job_is_claimed_by_one_of_many(db: ControlDb, database_url: str, shops: Shops, now: datetime) -> None:
    for number in range(6):
        job = Job(tenant=shops[0], id=f"j{number}", kind=JobKind.UPLOAD, input={}, created_at=now, updated_at=now)
        add_job(db, job, refused=too_many_uploads)
    others = [open_control_db(database_url, migrate=False) for _ in range(6)]

    def claim(number: int) -> list[str]:
        found = []
        while (job := JobQueue(others[number], lambda: now, f"w{number}").claim((JobKind.UPLOAD,))) is not None:
            found.append(job.id)
        return found

    with ThreadPoolExecutor(6) as pool:
        claimed = [name for names in pool.map(claim, range(6)) for name in names]
    assert sorted(claimed) == [f"j{number}" for number in range(6)]
    for other in others:
        other.close()


def test_the_first_stage_and_the_end_of_a_run_may_be_noted_at_once(
    db: ControlDb, database_url: str, shops: Shops, now: datetime
) -> None:
    with (
        closing(open_control_db(database_url)) as other,
        ThreadPoolExecutor(2) as pool,
        held_before_commit(db) as (there, go_on),
    ):
        stage = pool.submit(note_stage, db, shops[0], "run-1", "features", now=now)
        assert there.wait(30)
        end = pool.submit(note_end, other, shops[0], "run-1", status="failed", message="gone", now=now)
        go_on.set()
        stage.result(30), end.result(30)
    run = find_run(db, shops[0], "run-1")
    assert run is not None and (run.stage, run.status, run.message) == ("features", "failed", "gone")


def test_a_read_sees_one_moment(db: ControlDb, shops: Shops, now: datetime) -> None:
    with db.read() as session:
        count = text("SELECT count(*) FROM events")
        assert session.scalar(count) == 0
        EventLog(db).append(shops[0], [viewed("a", now)], now=now)
        assert session.scalar(count) == 0
    assert EventLog(db).last_seq(shops[0]) > 0


def test_who_holds_a_turn_too_long_is_cut_off(database_url: str, db: ControlDb, shops: Shops, now: datetime) -> None:
    """A process that stands still within a transaction must not stop its tenant for ever."""
    slow = open_control_db(database_url, migrate=False, busy_seconds=0.1)
    session = Session(slow.engine)
    take_turns(session, shops[0])
    (stored,) = EventLog(db).append(shops[0], [viewed("a", now)], now=now)
    assert not stored.duplicate
    session.invalidate()
    session.close()
    slow.close()


@pytest.fixture
def decisions(new_url: str) -> Iterator[DecisionStore]:
    with closing(open_decisions(new_url)) as store:
        yield store


def test_a_decision_that_is_written_beside_an_erasure_does_not_outlive_it(
    decisions: DecisionStore, new_url: str, now: datetime
) -> None:
    """The writer has looked who was erased, and the erasure ends before the row is there."""
    about = Decision(
        recommendation_id="1" * 32,
        tenant=TenantId("blue"),
        at=now,
        release_version="r",
        algorithm="a",
        items=(),
        request_id="q",
        user_id="zoe",
    )
    with (
        closing(open_decisions(new_url)) as other,
        ThreadPoolExecutor(2) as pool,
        held_before_commit(ControlDb(decisions.engine)) as (there, go_on),
    ):
        written = pool.submit(decisions.add, [about])
        assert there.wait(30)
        erased = pool.submit(other.erase_user, about.tenant, "zoe", until=now + timedelta(seconds=1))
        go_on.set()
        written.result(30), erased.result(30)
    assert decisions.count(about.tenant, "zoe") == 0
