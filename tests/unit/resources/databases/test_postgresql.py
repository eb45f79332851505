"""Connections to PostgreSQL: their limits, a server that hangs or was started again, and locks between machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event as Flag

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from resources.base.errors import ConfigurationError
from resources.databases.locks import DatabaseLock, LockTimeout, database_lock, lock_number
from resources.databases.opening import Opening, open_engine, url_of
from resources.databases.postgresql import APPLICATION, NoAnswer, plain_connection
from tests.postgresql.server import PostgresServer

pytestmark = pytest.mark.databases("postgresql")


def opened(url: str, busy_seconds: float = 30.0) -> Engine:
    return open_engine(url, Opening("RECSAAS_DATABASE", busy_seconds))


@pytest.fixture
def engine(new_url: str) -> Iterator[Engine]:
    engine = opened(new_url)
    yield engine
    engine.dispose()


@pytest.fixture
def other(engine: Engine) -> Iterator[Engine]:
    """The same database from another machine."""
    other = opened(url_of(engine))
    yield other
    other.dispose()


def test_a_connection_says_who_it_is_and_has_limits(engine: Engine) -> None:
    with engine.connect() as connection:
        settings = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("application_name", "TimeZone", "client_encoding", "lock_timeout", "statement_timeout")
        }
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "150s"
    assert settings == {
        "application_name": APPLICATION,
        "TimeZone": "UTC",
        "client_encoding": "UTF8",
        "lock_timeout": "30s",
        "statement_timeout": "150s",
    }


def test_a_process_has_as_many_connections_as_its_url_says(new_url: str) -> None:
    engine = opened(f"{new_url}?connections=2", busy_seconds=0.2)
    with engine.connect(), engine.connect(), pytest.raises(PoolTimeout):
        engine.connect()
    engine.dispose()


@pytest.mark.parametrize("said", ["0", "-1", "many"])
def test_a_number_of_connections_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ConfigurationError, match="connections"):
        opened(f"postgresql://u@127.0.0.1/x?connections={said}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_the_address_works(new_url: str, scheme: str) -> None:
    engine = opened(new_url.replace("postgresql", scheme))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    again = opened(url_of(engine))
    with again.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    for each in (engine, again):
        each.dispose()


def test_a_lock_that_is_not_free_in_time_is_an_operational_error(engine: Engine, new_url: str) -> None:
    impatient = opened(new_url, busy_seconds=0.2)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x integer)"))
    with engine.begin() as holder, impatient.connect() as waiting:
        holder.execute(text("LOCK TABLE t"))
        with pytest.raises(OperationalError, match="lock timeout"):
            waiting.execute(text("SELECT * FROM t"))
    impatient.dispose()


def test_a_server_that_does_not_answer_is_given_up(postgres_server: PostgresServer, new_url: str) -> None:
    engine = opened(new_url, busy_seconds=0.05)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        began = time.monotonic()
        with postgres_server.hung(), pytest.raises(OperationalError, match="not answered"):
            connection.execute(text("SELECT 1"))
        assert time.monotonic() - began < 20
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_a_plain_connection_is_given_up_as_well(postgres_server: PostgresServer, engine: Engine) -> None:
    with closing(plain_connection(engine, answer_seconds=0.1)) as connection:
        with postgres_server.hung(), pytest.raises(NoAnswer):
            connection.execute("SELECT 1")
        assert connection.broken
    with closing(plain_connection(engine, answer_seconds=0.1)) as slow, pytest.raises(psycopg.errors.QueryCanceled):
        slow.execute("SELECT pg_sleep(20)")


def test_a_connection_that_the_server_has_ended_is_not_used(engine: Engine) -> None:
    with engine.connect() as connection:
        first = connection.scalar(text("SELECT pg_backend_pid()"))
    with closing(plain_connection(engine, answer_seconds=5)) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != first


def test_one_machine_at_a_time_has_a_lock(engine: Engine, other: Engine) -> None:
    waits = Flag()
    lock, same = DatabaseLock(engine, "run of blue"), DatabaseLock(other, "run of blue")
    lock.take()
    with database_lock(other, "run of green"):  # another name is another lock
        pass
    with pytest.raises(LockTimeout):
        same.take(wait_seconds=0)
    with pytest.raises(LockTimeout):
        same.take(wait_seconds=0.05, on_wait=waits.set)
    assert waits.is_set()
    with ThreadPoolExecutor(1) as pool:
        waits.clear()
        taken = pool.submit(same.take, on_wait=waits.set)
        assert waits.wait(30)
        assert not taken.done()
        lock.release()
        taken.result(30)
    same.release()
    lock.take(wait_seconds=0)
    lock.release()


def test_a_lock_that_was_let_go_is_free_at_once(engine: Engine, other: Engine) -> None:
    for _ in range(100):  # the server hears of the end of a connection a little later, most often
        for each in (engine, other):
            lock = DatabaseLock(each, "run of blue")
            lock.take(wait_seconds=0)
            lock.release()


def test_the_lock_of_a_dead_connection_is_taken_again_if_nobody_has_it(engine: Engine, other: Engine) -> None:
    lock, thief = DatabaseLock(engine, "run of blue"), DatabaseLock(other, "run of blue")
    lock.take()
    lock.keep()
    _end_holder(engine, "run of blue")
    lock.keep()
    with pytest.raises(LockTimeout):
        thief.take(wait_seconds=0)
    _end_holder(engine, "run of blue")
    thief.take(wait_seconds=30)
    with pytest.raises(LockTimeout):
        lock.keep()
    _end_holder(engine, "run of blue")
    for each in (thief, lock):  # the one's connection is dead, and it does not know
        each.release()


def _end_holder(engine: Engine, name: str) -> None:
    number = lock_number(name) & (2**64 - 1)
    with closing(plain_connection(engine, answer_seconds=10)) as admin:
        found = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND classid = %s AND objid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (number >> 32, number & (2**32 - 1)),
        ).fetchall()
    assert found == [(True,)]
