"""A service that answers over a real socket, and a browser that is really there."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.events.log import EventLog
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import Shop, open_shop

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
_ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run --disable-quic"
)
CHROMIUM_ARGUMENTS = _ARGUMENTS.split()
MARKUP = "<img src=x onerror=alert(1)>"
ITEMS = [
    {
        "item_id": f"b{i}",
        "title": MARKUP if i == 3 else f"Title b{i}",
        "category": "Audio" if i <= 3 else "Kitchen",
        "brand": "Acme",
        "price": 10.0 * i,
        "tags": ["new", "red"],
    }
    for i in range(1, 7)
]


@dataclass(frozen=True)
class Site:
    """A running service with one shop, and what was tracked there."""

    url: str
    shop: Shop
    settings: Settings

    def tracked(self) -> list[tuple[str, str | None, str, str | None, str | None]]:
        """User, item, type, recommendation and session of every event, oldest first."""
        log = EventLog(self.shop.db)
        frame = log.export_after(self.shop.tenant)
        names = ("user_id", "item_id", "interaction_type", "recommendation_id", "session_id")
        return [tuple(row[name] for name in names) for row in frame.iter_rows(named=True)]


@contextmanager
def running_site(home: Path, *, origins: str = "") -> Iterator[Site]:
    """Serve the shop of the unit tests, with a demo shop, until the block ends."""
    settings = Settings(home=home, demo_tenant="blue", cors_origins=origins, pointer_check_seconds=0)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    shop = open_shop("blue", lake=lake, db=db, prefix="b")
    shop.release(cold_start=True)
    app = create_app(settings, db, lake, lambda: datetime.now(UTC))
    with served(app) as url:
        yield Site(url, shop, settings)
    app.state.services.decisions.close()
    db.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Answer on a free port of this machine; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=20)
        )
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)
