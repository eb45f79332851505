"""People who log in with a browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.access.actor import SYSTEM
from resources.access.roles import OfficeRole, TenantRole
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.people.members import new_member, set_office_role
from resources.people.memberships import add_membership
from resources.people.passwords import hash_password
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.pages.browser import PASSWORD, Browser
from tests.unit.bento_service.shop import NOW


class Watch:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


class People:
    """Makes members in the control DB."""

    def __init__(self, db: ControlDb) -> None:
        self.db = db
        self._hash = hash_password(PASSWORD, email="nobody@example.com")

    def add(
        self,
        email: str,
        *,
        shop: TenantId | None = None,
        role: TenantRole = "owner",
        office: OfficeRole | None = None,
        verified: bool = True,
        password: bool = True,
    ) -> str:
        with self.db.write() as session:
            hashed = self._hash if password else None
            member = new_member(session, email=email, name="", password_hash=hashed, verified=verified, now=NOW)
            if shop is not None:
                add_membership(session, member, shop, role, by=SYSTEM, now=NOW)
            if office is not None:
                set_office_role(session, member.id, office, by=SYSTEM, now=NOW)
            return member.id


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"trusted_proxies": "127.0.0.1"})


@pytest.fixture
def app(settings: Settings, db: ControlDb, lake: Lake, watch: Watch) -> Iterator[FastAPI]:
    app = create_app(settings, db, lake, watch)
    yield app
    app.state.services.decisions.close()


@pytest.fixture
def client(app: FastAPI) -> Iterator[Client]:
    with client_of(app) as client:
        yield client


@pytest.fixture
def browser(client: Client) -> Browser:
    return Browser(client, address="203.0.113.7")


@pytest.fixture
def people(db: ControlDb) -> People:
    return People(db)


@pytest.fixture
def blue_shop(db: ControlDb) -> TenantId:
    create_tenant(db, TenantId("blue"), name="Blue", now=NOW)
    return TenantId("blue")
