"""200 clients on two workers, while releases change, items are deleted and events stream in."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import httpx
import pytest

from recsaas_assets.benchmarks.serving.serve_data import ServedTenant, invented_contents, serve_tenant
from recsaas_assets.benchmarks.serving.serve_events import event_to_answer
from recsaas_assets.benchmarks.serving.serve_load import Load, LoadResult, LoadRun, SeenAnswer
from recsaas_assets.benchmarks.serving.serve_process import Served, service
from recsaas_assets.benchmarks.serving.serve_requests import requests_by_kind
from recsaas_assets.benchmarks.workplace import Workplace
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]
CLIENTS = 200
ANSWERS_PER_STEP = 400
STEP_SECONDS = 30.0
BARE_MS = 2000.0


@dataclass(frozen=True)
class Running:
    """Two workers, and a tenant with two releases that have no item in common; that of `a-` is live."""

    server: Served
    served: ServedTenant
    versions: dict[str, str]

    def delete(self, item_id: str) -> None:
        """Delete an item, on a connection of its own."""
        headers = {"Authorization": f"Bearer {self.served.key}"}
        answer = httpx.delete(f"{self.server.url}/api/v1/items/{item_id}", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(home=tmp_path_factory.mktemp("load"))
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    served = serve_tenant("blue", invented_contents(items=600, users=200, prefix="a-"), lake=lake, db=db)
    first = served.store.current()
    assert first is not None
    second = served.release(invented_contents(items=600, users=200, prefix="b-"), number=2, promote=False)
    variables = {"RECSAAS_POINTER_CHECK_SECONDS": "0.2"}
    with service(Workplace(settings, lake, db), workers=2, variables=variables) as server:
        yield Running(server, served, {first: "a-", second: "b-"})
    db.close()


def test_an_event_on_one_worker_changes_the_next_answer_of_the_other(
    running: Running, record_property: Callable[[str, object], None]
) -> None:
    times = event_to_answer(running.server, running.served, trials=10)
    record_property("event_to_answer_ms", times)
    assert max(times) < BARE_MS, times


def test_no_answer_fails_or_mixes_releases_or_shows_a_deleted_item(running: Running) -> None:
    second = next(version for version, prefix in running.versions.items() if prefix == "b-")
    store = running.served.store
    deleted: dict[str, float] = {}
    with Clients(running) as clients:
        for round_ in range(2):
            clients.wait_for_answers("a-")
            deleted |= clients.delete_what_is_shown("a-")
            clients.wait_for_answers("a-")
            store.promote(second, datetime.now(UTC), "test", f"round {round_}")
            clients.wait_for_answers("b-")
            deleted |= clients.delete_what_is_shown("b-")
            clients.wait_for_answers("b-")
            store.rollback(datetime.now(UTC), "test")
        clients.wait_for_answers("a-")
    assert clients.result is not None
    assert (clients.result.errors, clients.result.first_errors) == (0, ())
    assert clients.events > ANSWERS_PER_STEP
    for seen, version, items in clients.answers:
        assert items
        assert {item[:2] for item in items} == {running.versions[version]}
        assert not [item for item in items if deleted.get(item, seen.sent_at) < seen.sent_at]
    shown = Counter(item for _, _, items in clients.answers for item in items)
    assert len(deleted) == 4
    assert all(shown[item] for item in deleted)


class Clients:
    """The clients while they send: three in four requests ask, one tells of an event."""

    def __init__(self, running: Running) -> None:
        self._running = running
        by_kind = requests_by_kind(running.served, distinct=400)
        kinds = ("recommend", "recommend_new_user", "recommend_filtered", "event")
        requests = tuple(request for each in zip(*(by_kind[kind] for kind in kinds), strict=True) for request in each)
        self._run = LoadRun(Load(running.server.port, requests, seconds=600, connections=CLIENTS), self._seen)
        self._thread = Thread(target=self._send)
        self.answers: list[tuple[SeenAnswer, str, tuple[str, ...]]] = []
        self.events = 0
        self.result: LoadResult | None = None

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run.stop()
        self._thread.join()

    def wait_for_answers(self, prefix: str) -> None:
        """Wait until so many more answers are of one release, with none of another between them and now."""
        start, deadline = len(self.answers), time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            last = self.answers[start:][-ANSWERS_PER_STEP:]
            if len(last) == ANSWERS_PER_STEP and all(self._running.versions[each[1]] == prefix for each in last):
                return
            time.sleep(0.02)
        raise AssertionError(f"no {ANSWERS_PER_STEP} answers of {prefix} in a row within {STEP_SECONDS} s")

    def delete_what_is_shown(self, prefix: str) -> dict[str, float]:
        """Delete the item that is shown most, and return it with the time of the acknowledgement."""
        shown = Counter(item for _, _, items in self.answers[-ANSWERS_PER_STEP:] for item in items)
        item = next(item for item, _ in shown.most_common() if item.startswith(prefix))
        self._running.delete(item)
        return {item: time.monotonic()}

    def _send(self) -> None:
        self.result = self._run.run()

    def _seen(self, seen: SeenAnswer) -> None:
        if seen.status != 200:
            return
        answer: dict[str, Any] = json.loads(seen.body)
        if "recommendations" not in answer:
            self.events += 1
            return
        items = tuple(each["item_id"] for each in answer["recommendations"])
        self.answers.append((seen, answer["metadata"]["release_version"], items))
