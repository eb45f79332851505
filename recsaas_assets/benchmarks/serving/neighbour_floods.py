"""Floods of requests by a tenant or a stranger, beside which a quiet tenant asks now and then."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from recsaas_assets.benchmarks.serving.serve_data import ServedTenant
from recsaas_assets.benchmarks.serving.serve_load import http_request
from recsaas_assets.benchmarks.serving.serve_requests import RECOMMEND, requests_by_kind
from recsaas_assets.benchmarks.workplace import Workplace

_DISTINCT = 2_000
_EVENTS = 1_000
_BATCH = 100
_ROWS = 20_000
_BOUNDARY = "recsaas-bench"


@dataclass(frozen=True, slots=True)
class Flood:
    """Requests that are sent as fast as they are answered, over so many connections; or `rate` a second of them."""

    name: str
    requests: tuple[bytes, ...]
    connections: int
    rate: float | None = None
    locked: bool = False
    """Somebody else holds the write lock of the control DB meanwhile."""


def floods(noisy: ServedTenant, *, connections: int, seed: int = 7) -> tuple[Flood, ...]:
    """Return every flood by the tenant, which has a catalogue, and by a stranger who has no key."""
    rng = np.random.default_rng(seed)
    kinds = requests_by_kind(noisy, distinct=_DISTINCT, seed=seed)
    users, items = noisy.contents.user_ids, noisy.item_ids

    def sent(method: str, path: str, bodies: Iterable[object]) -> tuple[bytes, ...]:
        return tuple(http_request(method, path, key=noisy.key, body=json.dumps(body).encode()) for body in bodies)

    def read(paths: Iterable[str], key: str = noisy.key) -> tuple[bytes, ...]:
        return tuple(http_request("GET", path, key=key) for path in paths)

    why_not = (
        f"{RECOMMEND}/why-not?user_id={users[n % len(users)]}&item_id={items[n % len(items)]}" for n in range(500)
    )
    searches = (
        f"/api/v1/items?limit=200&q={text}" for text in ("e", "ar", "st", "zz", "in", "1", "9a", "no such thing")
    )
    batches = ({"requests": [{"user_id": str(u)} for u in rng.choice(users, _BATCH)]} for _ in range(20))
    bad = (f"sk_live_{rng.integers(1 << 60):020d}" for _ in range(_DISTINCT))
    return (
        Flood("recommendations", kinds["recommend"], connections),
        Flood("filtered", kinds["recommend_filtered"], connections),
        Flood("batches", sent("POST", f"{RECOMMEND}/batch", batches), connections),
        Flood("why_not", read(why_not), connections),
        Flood("item_searches", read(each.replace(" ", "%20") for each in searches), connections),
        Flood("items", read(f"/api/v1/items/{item}" for item in items[:500]), connections),
        Flood("events", kinds["event"], connections),
        Flood("event_batches", sent("POST", "/api/v1/interactions", _event_batches(noisy, rng)), connections),
        Flood("uploads", _uploads(noisy, rng), 4),
        Flood("exports", sent("POST", f"{RECOMMEND}/exports", ({"count": n} for n in range(10, 100))), 2, rate=5.0),
        Flood("bad_keys", tuple(http_request("POST", RECOMMEND, key=key, body=b"{}") for key in bad), connections),
        Flood("open_pages", read(("/docs", "/openapi.json", "/metrics", "/health", "/none"), key=""), connections),
        Flood("write_lock", (*kinds["event"][:500], *_edits(noisy)), max(connections, 64), locked=True),
    )


@contextmanager
def write_lock(place: Workplace, *, held: bool) -> Iterator[None]:
    """Hold the write lock of the control DB, as a process that hangs in a transaction does."""
    if not held:
        yield
        return
    connection = sqlite3.connect(place.settings.home / "control.db", isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _event_batches(noisy: ServedTenant, rng: np.random.Generator) -> Iterator[object]:
    users, items = noisy.contents.user_ids, noisy.item_ids
    for _ in range(5):
        pairs = zip(rng.choice(users, _EVENTS).tolist(), rng.choice(items, _EVENTS).tolist(), strict=True)
        yield {"events": [{"user_id": u, "item_id": i, "interaction_type": "view"} for u, i in pairs]}


def _edits(noisy: ServedTenant) -> Iterator[bytes]:
    for item in noisy.item_ids[:500]:
        yield http_request(
            "POST", "/api/v1/items", key=noisy.key, body=json.dumps({"item_id": item, "title": "New"}).encode()
        )


def _uploads(noisy: ServedTenant, rng: np.random.Generator) -> tuple[bytes, ...]:
    """A few files that are checked before their answers; nothing of them is stored."""
    users, items = noisy.contents.user_ids, noisy.item_ids
    pairs = zip(rng.choice(users, _ROWS).tolist(), rng.choice(items, _ROWS).tolist(), strict=True)
    rows = "\n".join(f"{user},{item},view,2025-06-01T10:00:00Z" for user, item in pairs)
    file = f"user_id,item_id,interaction_type,timestamp\n{rows}\n"
    body = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="i.csv"\r\n\r\n'
        f"{file}\r\n--{_BOUNDARY}--\r\n"
    ).encode()
    whole = http_request("POST", "/api/v1/upload/interactions?validate_only=true", key=noisy.key, body=body)
    return (whole.replace(b"application/json", f"multipart/form-data; boundary={_BOUNDARY}".encode(), 1),)
