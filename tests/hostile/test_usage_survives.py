"""Metering while workers are killed and the service is started anew: nothing doubles, a second at most is lost.

What a client has got is compared with what was counted. An answer is counted once it was sent, so a worker that is
killed may have answered what it had not put into its journal yet (half a second, and a busy machine's delays), and may
have counted an answer that its client never got because the connection broke.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.workplace import Workplace
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.databases.opening import POSTGRESQL, SQLITE
from resources.storage.lake import Lake
from resources.usage.current import Usage, usage_of
from tests.postgresql.server import PostgresServer
from tests.unit.bento_service.shop import Shop, open_shop

pytestmark = pytest.mark.long
_log = logging.getLogger(__name__)

CALLS, CLIENTS, COUNT = 5_000, 6, 2
BOUND_SECONDS = 1.0
_SETTLE_SECONDS = 60.0


@dataclass
class Client:
    """Asks again and again, and notes when each answer came; what broke off may or may not have been answered."""

    url: str
    headers: dict[str, str]
    answered: list[float] = field(default_factory=list)
    broken: int = 0

    def ask(self, calls: int, over: threading.Event) -> None:
        while len(self.answered) < calls and not over.is_set():
            try:
                with httpx.Client(base_url=self.url, headers=self.headers, timeout=30) as http:
                    while len(self.answered) < calls and not over.is_set():
                        answer = http.post("/api/v1/recommendations", json={"user_id": "u1", "count": COUNT})
                        if answer.status_code == 200:
                            self.answered.append(time.monotonic())
                        elif answer.status_code != 503:
                            raise AssertionError(answer.text)
            except httpx.TransportError:
                self.broken += 1


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgresql)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    if request.param == SQLITE:
        return Settings(home=home)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return Settings(home=home, database=server.url(server.database()))


def counted(db: ControlDb, shop: Shop) -> Usage:
    with db.read() as session:
        return usage_of(session, shop.tenant, since=date.min, until=date.max)


def settled(db: ControlDb, shop: Shop, home: Path) -> Usage:
    """What was counted once every journal is written: wait for that, not for a time."""
    until = time.monotonic() + _SETTLE_SECONDS
    before = counted(db, shop)
    while time.monotonic() < until:
        time.sleep(1.5)
        after = counted(db, shop)
        if after == before and not list((home / "usage").glob("*.json")):
            return after
        before = after
    raise AssertionError("the counts never settled")


def workers_of(server: Served) -> list[psutil.Process]:
    """The processes that hold connections or may: the children of the one that started."""
    found = [each for each in server.process.children(recursive=True) if each.is_running()]
    return [each for each in found if any(c.status == psutil.CONN_ESTABLISHED for c in _connections(each))]


def _connections(process: psutil.Process) -> list[object]:
    try:
        return list(process.net_connections(kind="tcp"))
    except psutil.Error:
        return []


def run_clients(server: Served, shop: Shop, calls: int, meanwhile: Callable[[list[Client]], None]) -> list[Client]:
    clients = [Client(server.url, shop.headers) for _ in range(CLIENTS)]
    over = threading.Event()
    threads = [threading.Thread(target=each.ask, args=(calls // CLIENTS, over), daemon=True) for each in clients]
    for thread in threads:
        thread.start()
    try:
        meanwhile(clients)
        for thread in threads:
            thread.join(300)
            assert not thread.is_alive()
    finally:
        over.set()
    return clients


def answers(clients: list[Client]) -> int:
    return sum(len(each.answered) for each in clients)


def wait_for_answers(clients: list[Client], least: int) -> None:
    while answers(clients) < least:
        time.sleep(0.005)


def test_a_killed_worker_loses_a_second_at_most(settings: Settings) -> None:
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release()
    place = Workplace(settings, lake, db)
    killed_at: list[float] = []

    def kill(clients: list[Client]) -> None:
        for share in (0.3, 0.6):
            wait_for_answers(clients, int(CALLS * share))
            victims = workers_of(served)
            assert victims, "nobody answers"
            killed_at.append(time.monotonic())
            victims[0].kill()
            victims[0].wait(30)

    with service(place, workers=2) as served:
        clients = run_clients(served, shop, CALLS, kill)
        found = settled(db, shop, settings.home)
        assert served.workers_started >= 4
    total = answers(clients)
    broken = sum(each.broken for each in clients)
    last_second = sum(
        any(at - BOUND_SECONDS <= moment <= at + 0.05 for at in killed_at)
        for each in clients
        for moment in each.answered
    )
    assert total == CALLS // CLIENTS * CLIENTS
    told = f"answered {total}, counted {found.calls}, broken {broken}, in the seconds before {last_second}"
    assert total - last_second <= found.calls <= total + broken, told
    _log.info(told)
    assert found.recommended_items <= (total + broken) * COUNT
    db.close()


def test_a_service_that_is_stopped_and_started_loses_nothing(settings: Settings) -> None:
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release()
    place = Workplace(settings, lake, db)
    total = broken = 0
    for _ in range(2):
        with service(place, workers=2) as served:
            clients = run_clients(served, shop, 600, lambda _: None)
            total += answers(clients)
            broken += sum(each.broken for each in clients)
    assert broken == 0
    found = counted(db, shop)
    assert found == replace(Usage(), calls=total, recommended_items=total * COUNT)
    assert not list((settings.home / "usage").glob("*.json"))
    db.close()
