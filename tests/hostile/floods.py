"""What strangers may send to the service: `python -m tests.hostile.floods KIND PORT`, each kind in its own process.

A flood runs until its standard input ends. Its connections are made again when the service closes them, after a pause,
so that what is measured is the service and not how fast this process can be. At the end it prints what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
_HEAD = b"GET /health HTTP/1.1\r\nHost: a\r\n"
_PIECE = b"a" * 65_536


@dataclass(frozen=True)
class Flood:
    """How many connections send what, and after how many seconds they are made again.

    `answer` is the status that the service has for it, where it answers; `reads`: the answers are read.
    """

    connections: int
    kind: str
    pause: float = 0.25
    answer: str = ""
    reads: bool = True


FLOODS = {
    "slowloris": Flood(200, "slowloris"),
    "one-header": Flood(4, "one-header", answer="431"),
    "many-headers": Flood(4, "many-headers", answer="431"),
    "idle": Flood(500, "idle"),
    "bodies": Flood(100, "bodies", pause=2.0, answer="401"),
    "small-chunks": Flood(20, "small-chunks", pause=1.0, answer="400"),
    "ahead": Flood(20, "ahead", pause=1.0),
    "unread": Flood(100, "unread", reads=False),
}


async def _pieces(kind: str) -> AsyncIterator[bytes]:
    """What one connection sends, until it ends."""
    match kind:
        case "slowloris":
            yield _HEAD
            while True:
                await asyncio.sleep(1)
                yield b"X-Slow: a\r\n"
        case "one-header":  # 64 MB in one header
            yield _HEAD + b"X-Large: "
            for _ in range(1024):
                yield _PIECE
        case "many-headers":
            yield _HEAD
            for _ in range(64):
                yield b"X: a\r\n" * 10_000
        case "idle":
            await asyncio.sleep(3600)
            yield b""
        case "bodies":  # all but the last byte of 3.9 MB, to a route that looks for the key in the body
            size = 59 * len(_PIECE) + 1
            yield b"POST /recommend HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            yield b"Content-Length: %d\r\n\r\n" % size
            for _ in range(59):
                yield _PIECE
        case "small-chunks":
            yield b"POST /api/v1/recommendations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            for _ in range(1000):
                yield b"1\r\na\r\n" * 10_000
        case "ahead":
            for _ in range(20):
                yield b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000
        case "unread":
            yield b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 12
            await asyncio.sleep(3600)
        case _:
            raise ValueError(kind)


async def _connection(flood: Flood, port: int, seen: Counter[str]) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            seen["refused"] += 1
            await asyncio.sleep(flood.pause)
            continue
        seen["connections"] += 1
        answers = asyncio.create_task(_read(reader, seen)) if flood.reads else None
        with suppress(OSError):
            async for piece in _pieces(flood.kind):
                if answers is not None and answers.done():
                    break
                writer.write(piece)
                await writer.drain()
                seen["bytes"] += len(piece)
        if answers is not None:
            await asyncio.wait([answers], timeout=30)
        writer.close()
        await asyncio.sleep(flood.pause)


async def _read(reader: asyncio.StreamReader, seen: Counter[str]) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            for answer in data.split(b"HTTP/1.1 ")[1:]:
                seen[answer[:3].decode("latin-1")] += 1
    seen["ended"] += 1


async def _run(flood: Flood, port: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    tasks = [asyncio.create_task(_connection(flood, port, seen)) for _ in range(flood.connections)]
    await asyncio.to_thread(sys.stdin.read)  # whoever started it ends it, or has ended
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


class Running:
    """A flood in its process; `seen` is what happened, once it is over."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}


@contextmanager
def flooded(kind: str, port: int) -> Iterator[Running]:
    """Flood the service while the block runs."""
    running = Running()
    command = [sys.executable, "-m", "tests.hostile.floods", kind, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield running
        assert process.poll() is None, "the flood has ended by itself"
    finally:
        output, _ = process.communicate(timeout=60)
    running.seen = json.loads(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=FLOODS)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_run(FLOODS[options.kind], options.port))))
