"""The app over a lake and a control DB of its own, with two shops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from bento_service.recommending import release_cache
from bento_service.telemetry.logs import configure_logging
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb, open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import INLINE_UPLOAD_BYTES, MAX_UPLOAD_BYTES, NOW, Shop, open_shop


@pytest.fixture(autouse=True, scope="session")
def _logs_as_in_service() -> None:
    configure_logging("INFO")


@pytest.fixture(autouse=True, scope="session")
def _patient() -> Iterator[None]:
    """An answer waits for a look at the pointer, however busy the machine is: tests expect what was promoted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_cache, "_LONGEST_WAIT_SECONDS", 60.0)
        yield


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        home=tmp_path,
        database=database_url,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        inline_upload_bytes=INLINE_UPLOAD_BYTES,
        pointer_check_seconds=0,
        rate_limit=100_000,  # tests ask faster than shops; those of the limits set their own
    )


@pytest.fixture
def db(settings: Settings) -> Iterator[ControlDb]:
    db = open_control_db(settings.database_url, migrate=False)
    yield db
    db.close()


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake.open(settings.lake_url, scratch=settings.scratch)


@pytest.fixture
def app(settings: Settings, db: ControlDb, lake: Lake) -> Iterator[FastAPI]:
    app = create_app(settings, db, lake, lambda: NOW)
    yield app
    app.state.services.decisions.close()
    app.state.services.contexts.close()


@pytest.fixture
def client(app: FastAPI) -> Iterator[Client]:
    with client_of(app) as client:
        yield client


@pytest.fixture
def blue(request: pytest.FixtureRequest, db: ControlDb, lake: Lake) -> Shop:
    """A shop with a release; a test that is parametrized with an algorithm gets one that answers by it."""
    shop = open_shop("blue", lake=lake, db=db, prefix="b", algorithm=getattr(request, "param", "lightgcn"))
    shop.release()
    return shop


@pytest.fixture
def green(db: ControlDb, lake: Lake) -> Shop:
    shop = open_shop("green", lake=lake, db=db, prefix="g")
    shop.release()
    return shop


@pytest.fixture
def empty(db: ControlDb, lake: Lake) -> Shop:
    """A shop without a release."""
    return open_shop("empty", lake=lake, db=db, prefix="e")
