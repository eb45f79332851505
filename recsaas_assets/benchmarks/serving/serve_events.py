"""From the acknowledgement of an event to the first answer that knows it, on another worker."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import ExitStack, closing
from typing import Any

from recsaas_assets.benchmarks.serving.serve_data import ServedTenant
from recsaas_assets.benchmarks.serving.serve_process import Served
from recsaas_assets.benchmarks.serving.serve_requests import EVENT, RECOMMEND
from resources.base.errors import NotReady

_CONNECTIONS = 64


def event_to_answer(server: Served, served: ServedTenant, *, trials: int = 50) -> list[float]:
    """Track an event of a new user on one worker and ask on another: milliseconds until an answer is another one.

    Both connections are open before, and the two workers swap their parts after every trial.

    Raises:
        NotReady: no two workers answered the connections, or an answer did not change within 5 s.
    """
    with ExitStack() as opened:
        by_worker: dict[int | None, http.client.HTTPConnection] = {}
        for _ in range(_CONNECTIONS):
            connection = opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)))
            _post(connection, served, RECOMMEND, {"count": 1})
            by_worker.setdefault(server.worker_of(connection.sock), connection)
            if len(by_worker) > 1:
                break
        else:
            raise NotReady(f"{_CONNECTIONS} connections were all answered by one worker; try again.")
        pair = tuple(by_worker.values())
        return [
            _trial(pair[number % 2], pair[1 - number % 2], served, f"fresh-{time.time_ns()}", item)
            for number, item in zip(range(trials), served.item_ids, strict=False)
        ]


def _trial(
    tells: http.client.HTTPConnection,
    asks: http.client.HTTPConnection,
    served: ServedTenant,
    user: str,
    item: str,
) -> float:
    def shown() -> list[str]:
        return [each["item_id"] for each in _post(asks, served, RECOMMEND, {"user_id": user})["recommendations"]]

    before = shown()
    _post(tells, served, EVENT, {"user_id": user, "item_id": item, "interaction_type": "purchase"})
    acknowledged = time.perf_counter()
    while time.perf_counter() < acknowledged + 5:
        if shown() != before:
            return (time.perf_counter() - acknowledged) * 1000
    raise NotReady(f"the answer for {user} did not change within 5 s of an acknowledged purchase of {item}.")


def _post(connection: http.client.HTTPConnection, served: ServedTenant, path: str, body: object) -> Any:
    headers = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise NotReady(f"POST {path} was answered with {answer.status}: {content[:300].decode(errors='replace')}")
    return json.loads(content)
