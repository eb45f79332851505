"""Seeded mutations of sound files: what a broken exporter, a bad disk or an attacker makes of them."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

_MAGIC = (b"\x00", b"\xff", b"\n", b"\r\n", b'"', b",", b"\t", b"\x80\x80\x80\x80\x10", b"PAR1", b"\x1f\x8b", b"9" * 40)
_MAX_CHANGES = 6

_WORDS = ("", " ", "a" * 300, "a" * 9_000, "\x00", "\ud800", "\u202eabc", "b1", "../../b1", "%00", "' OR 1=1 --", "-1")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e308, -1e308, 5e-324, 0.1),
    *(float("nan"), float("inf"), float("-inf")),
    *([], {}, [[]], [None], {"": None}, ["b1"] * 300, [{"a": [{}]}], {"min": 1, "max": 0}),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-02-30T00:00:00Z", "2024-05-01", 1e18),
)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one to six changes: bytes flipped, cut out, repeated, swapped or put in."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, _MAX_CHANGES)):
        rng.choice(_CHANGES)(changed, rng)
    return bytes(changed)


def mutations(base: bytes, *, seed: int) -> Iterator[bytes]:
    """Yield mutations of one file for ever, the same ones for the same seed."""
    rng = random.Random(seed)
    while True:
        yield mutate(base, rng)


def _flip_bit(content: bytearray, rng: random.Random) -> None:
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set_byte(content: bytearray, rng: random.Random) -> None:
    if content:
        content[rng.randrange(len(content))] = rng.randrange(256)


def _cut(content: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(content))
    del content[start : start + rng.randint(1, 64)]


def _cut_end(content: bytearray, rng: random.Random) -> None:
    del content[rng.randint(len(content) // 2, len(content)) :]


def _repeat(content: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(content))
    piece = content[start : start + rng.randint(1, 64)]
    content[start:start] = piece * rng.randint(1, 20)


def _swap(content: bytearray, rng: random.Random) -> None:
    first, second = (rng.randint(0, len(content)) for _ in range(2))
    content[first : first + 8], content[second : second + 8] = content[second : second + 8], content[first : first + 8]


def _put_in(content: bytearray, rng: random.Random) -> None:
    place = rng.randint(0, len(content))
    content[place:place] = rng.choice(_MAGIC)


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bit,
    _set_byte,
    _set_byte,
    _cut,
    _cut_end,
    _repeat,
    _swap,
    _put_in,
)


def json_mutations(base: bytes, *, seed: int) -> Iterator[bytes]:
    """Yield mutations of a JSON body for ever: every second one is still JSON, with one to three other values."""
    rng = random.Random(seed)
    while True:
        yield mutate(base, rng)
        body = json.loads(base)
        for _ in range(rng.randint(1, 3)):
            body = _with_another_value(body, rng)
        yield json.dumps(body).encode()


def _with_another_value(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        renamed = rng.choice((name, name, name, name, f"{name}x", rng.choice(_WORDS)))
        return {each: old for each, old in value.items() if each != name} | {
            renamed: _with_another_value(value[name], rng)
        }
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return [*value[:place], _with_another_value(value[place], rng), *value[place + 1 :]]
    return rng.choice((*_VALUES, *_WORDS))


def interactions(rows: int = 60) -> pl.DataFrame:
    """Return sound interactions with every kind of column that the contract has."""
    start = datetime(2024, 5, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "user_id": [f"u{row % 7}" for row in range(rows)],
            "item_id": [f"i{row % 11}" for row in range(rows)],
            "interaction_type": [("view", "click", "purchase")[row % 3] for row in range(rows)],
            "timestamp": [start + timedelta(minutes=row) for row in range(rows)],
            "price": [float(row) for row in range(rows)],
            "note": [f'said "{row}", twice\n' if row % 5 == 0 else f"row {row}" for row in range(rows)],
        }
    )


def sound_files() -> dict[str, bytes]:
    """Return one sound upload per way of writing it, by a name that says which."""
    frame = interactions()
    text = frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    csv = text.write_csv().encode()
    files = {
        "plain.csv": csv,
        "tabs.tsv": text.write_csv(separator="\t").encode(),
        "packed.csv.gz": gzip.compress(csv, mtime=0),
    }
    for compression in ("zstd", "snappy", "gzip", "uncompressed"):
        files[f"{compression}.parquet"] = _parquet(frame, compression, row_group_size=25)
    return files


def sound_bodies() -> dict[str, bytes]:
    """Return one sound JSON body per route that takes one, by its path."""
    event = {"user_id": "u1", "item_id": "b2", "interaction_type": "view", "timestamp": "2024-05-01T00:00:00Z"}
    item = {"item_id": "n1", "title": "Lamp", "price": 9.5, "tags": ["a", "b"], "available": True}
    ask = {"user_id": "u1", "count": 3, "filters": {"category": "Audio", "min_price": 1}, "context": {"page": "home"}}
    rule = {"kind": "hide", "target": {"item_ids": ["b1"]}, "starts_at": "2024-01-01T00:00:00+02:00"}
    bodies = {
        "/api/v1/interactions": {"events": [event, event | {"rating": 4.5, "context": {"a": [1, None, "ü"]}}]},
        "/events": event,
        "/api/v1/items": {"items": [item]},
        "/api/v1/recommendations": ask | {"recent_events": [{"item_id": "b2", "interaction_type": "view"}]},
        "/api/v1/recommendations/similar": {"item_id": "b1", "count": 2},
        "/api/v1/recommendations/bundle": {"item_ids": ["b1", "b2"], "count": 2, "offset": 1, "exclude_seen": True},
        "/api/v1/recommendations/batch": {"requests": [ask, {"session_id": "s"}]},
        "/api/v1/rules": rule,
        "/recommend": {"user_id": "u1"},
    }
    return {path: json.dumps(body).encode() for path, body in bodies.items()}


def _parquet(frame: pl.DataFrame, compression: str, *, row_group_size: int) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression=compression, row_group_size=row_group_size)  # type: ignore[arg-type]
    return buffer.getvalue()
