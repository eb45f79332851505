"""`recsaas bench live-reads`: what an answer and an event wait for the control DB, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import click
import numpy as np
from rich.table import Table
from sqlalchemy import make_url, text

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.workplace import workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant
from resources.databases.opening import Opening, open_engine
from resources.events.log import Event, EventLog
from resources.events.recent import open_recent_events

_TENANT = TenantId("bench")
_WARM = 100
_SETTING = "--postgresql"
HOW_MEASURED = (
    "One event loop, one call after the other, each database in turn, with the same events. A read is what every "
    "answer asks: on SQLite on the loop, on PostgreSQL in a thread, as the service does. An append is one transaction. "
    "cpu_us: processor time of this process, not of the server. SQLite lies on the disk of temporary files."
)


@dataclass(frozen=True, slots=True)
class Times:
    """Of one call, in microseconds: the median and the 95th percentile of its time, and its mean processor time."""

    p50_us: float
    p95_us: float
    cpu_us: float


@click.command(name="live-reads")
@click.option("--postgresql", "server", help="URL of a database on a server; a database beside it is made and removed.")
@click.option("--events", default=50_000, show_default=True, type=click.IntRange(min=1_000), help="In the log.")
@click.option("--calls", default=2_000, show_default=True, type=click.IntRange(min=100), help="Of each kind of read.")
@json_option
def live_reads(server: str | None, events: int, calls: int, as_json: bool) -> None:
    """Measure what an answer and an event wait for the control DB; with --postgresql URL on both databases."""
    found: dict[str, Mapping[str, Times]] = {}
    with workplace() as place:
        notes.print("SQLite …")
        found["sqlite"] = _measure(place.db, events, calls)
    if server is not None:
        notes.print("PostgreSQL …")
        with _beside(server) as url, closing(open_control_db(url)) as db:
            found["postgresql"] = _measure(db, events, calls)
    if as_json:
        figures = {name: {call: asdict(times) for call, times in calls.items()} for name, calls in found.items()}
        print_json({"figures": figures, "events": events, "how": HOW_MEASURED, "machine": machine()})
        return
    table = Table("database", "call", "p50 µs", "p95 µs", "CPU µs")
    for name, measured in found.items():
        for call, times in measured.items():
            table.add_row(name, call, *(f"{value:,.0f}" for value in (times.p50_us, times.p95_us, times.cpu_us)))
    results.print(table)


def _measure(db: ControlDb, events: int, calls: int) -> Mapping[str, Times]:
    """Fill the log, and time each kind of call."""
    now = datetime.now(UTC)
    create_tenant(db, _TENANT, name="bench", now=now)
    log = EventLog(db)
    for first in range(0, events, 1_000):
        log.append(_TENANT, [_event(n, now) for n in range(first, min(first + 1_000, events))], now=now)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    with closing(open_recent_events(db)) as recent:

        async def on_loop(read: Callable[[], object]) -> None:
            await asyncio.to_thread(read) if recent.blocking else read()

        def user(n: int) -> Awaitable[None]:
            return on_loop(partial(recent.of_user, _TENANT, f"u{n % 500}"))

        def visitor(n: int) -> Awaitable[None]:
            return on_loop(partial(recent.of_visitor, _TENANT, f"u{n % 500}", f"s{n % 900}"))

        def append(count: int, n: int) -> Awaitable[object]:
            new = [_event(events * (count + 1) + n * count + each, now) for each in range(count)]
            return asyncio.to_thread(log.append, _TENANT, new, now=now)

        return {
            "read of a user": asyncio.run(_times(user, calls)),
            "read of a visit": asyncio.run(_times(visitor, calls)),
            "append of 1 event": asyncio.run(_times(partial(append, 1), calls // 10)),
            "append of 100 events": asyncio.run(_times(partial(append, 100), calls // 100)),
        }


async def _times(call: Callable[[int], Awaitable[object]], calls: int) -> Times:
    for n in range(min(_WARM, calls)):
        await call(n)
    seconds, cpu = [], time.process_time()
    for n in range(calls):
        began = time.perf_counter()
        await call(_WARM + n)
        seconds.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    p50, p95 = (float(each) * 1e6 for each in np.percentile(seconds, (50, 95)))
    return Times(p50, p95, cpu / calls * 1e6)


def _event(number: int, now: datetime) -> Event:
    return Event(
        event_id=f"e{number}",
        user_id=f"u{number % 500}",
        item_id=f"i{number % 997}",
        interaction_type="view",
        timestamp=now,
        session_id=f"s{number % 900}",
    )


@contextmanager
def _beside(server: str) -> Iterator[str]:
    """The URL of a new database on the server, removed when the block ends."""
    name = f"recsaas_bench_{uuid.uuid4().hex[:8]}"
    engine = open_engine(server, Opening(_SETTING, 30.0)).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        )
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()
