"""A real service with two workers and two shops, and what is watched while it is attacked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httpx

from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.workplace import Workplace
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import Shop, open_shop

WORKERS = 2
NEIGHBOUR_PER_SECOND = 5.0


@dataclass(frozen=True)
class Live:
    """A service that answers, its installation, and two shops in it."""

    server: Served
    settings: Settings
    blue: Shop
    green: Shop


@contextmanager
def live_service(home: Path, *, database: str | None = None, **variables: str) -> Iterator[Live]:
    """Run two workers over a fresh installation with the shops `blue` and `green`, each with a release.

    `database`: the URL of the control DB; None: a file in `home`.
    """
    settings = Settings(home=home) if database is None else Settings(home=home, database=database)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    blue.release()
    green.release()
    try:
        with service(Workplace(settings, lake, db), workers=WORKERS, variables=variables) as server:
            yield Live(server, settings, blue, green)
    finally:
        db.close()


@dataclass
class Neighbour:
    """A shop that asks for recommendations at a steady pace, whatever others do, and notes what it gets.

    The pace does not wait for answers, so that a service that stands still is seen for as long as it does.
    """

    url: str
    headers: dict[str, str]
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p95(self) -> float:
        """95 of 100 answers came within so many seconds."""
        return quantiles(self.seconds, n=20)[-1]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask while the block runs."""
        over = threading.Event()
        due = time.perf_counter()
        threads = []
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=60) as http:

            def keep_asking() -> None:
                nonlocal due
                number = 0
                while not over.is_set():
                    number += 1
                    thread = threading.Thread(target=self._ask, args=(http, number), daemon=True)
                    thread.start()
                    threads.append(thread)
                    due += 1 / NEIGHBOUR_PER_SECOND
                    over.wait(max(0.0, due - time.perf_counter()))

            asking = threading.Thread(target=keep_asking, daemon=True)
            asking.start()
            try:
                yield
            finally:
                over.set()
                asking.join()
                for thread in threads:
                    thread.join(70)

    def _ask(self, http: httpx.Client, number: int) -> None:
        started = time.perf_counter()
        try:
            answer = http.post("/api/v1/recommendations", json={"user_id": f"n{number}", "count": 2})
        except httpx.TransportError as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        self.seconds.append(time.perf_counter() - started)
        if answer.status_code != 200:
            self.failures.append(answer.text[:300])


def in_error_shape(answer: httpx.Response) -> bool:
    """Whether an answer of 400 or more has the one shape that every error has."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(error["code"] and error["message"] and error["request_id"]) and isinstance(error["details"], list)
