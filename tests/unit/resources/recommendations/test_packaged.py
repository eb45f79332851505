"""A package of releases, and the service that takes it over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from resources.base.errors import ConfigurationError
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.api_keys import authenticate, create_api_key, revoke_api_key
from resources.control_db.copies import take_over
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.items import ItemEdit, append_item_changes, list_item_changes
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import create_tenant
from resources.control_db.versions import state_version
from resources.events.log import Event, EventLog
from resources.recommendations.packaged import Package, PackageContents, packaged_settings

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BLUE, GREEN = TenantId("blue"), TenantId("green")


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[ControlDb]:
    """Where the releases were made: two shops, of which one has deleted an item."""
    db = open_control_db(f"sqlite:///{tmp_path / 'origin.db'}")
    for tenant in (BLUE, GREEN):
        create_tenant(db, tenant, name=tenant.value, now=NOW)
    append_item_changes(db, BLUE, [ItemEdit("b1", "delete", {})], now=NOW)
    yield db
    db.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def service(settings: Settings) -> Iterator[ControlDb]:
    db = open_control_db(settings.database_url)
    yield db
    db.close()


def pack(root: Path, origin: ControlDb, *, name: str, keys: bool = True) -> Package:
    """What `recsaas package` lays beside the sources, of the blue shop alone."""
    contents = PackageContents(
        id=name, made_at=NOW, releases={"blue": "1"}, keys=keys, event_watermark=700, item_watermark=30
    )
    folder = root / "packaged"
    folder.mkdir(parents=True)
    target = open_control_db(f"sqlite:///{folder / 'control.db'}")
    take_over(origin, target, [BLUE], keys=keys, numbers=contents.numbers)
    target.close()
    (folder / "package.json").write_text(contents.model_dump_json())
    package = Package.beside_sources(root)
    assert package is not None
    return package


def test_sources_without_a_package_are_an_ordinary_service(tmp_path: Path, settings: Settings) -> None:
    assert Package.beside_sources(tmp_path) is None
    assert packaged_settings(settings, None) is settings


def test_a_package_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "packaged").mkdir()
    (tmp_path / "packaged" / "package.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="recsaas package"):
        Package.beside_sources(tmp_path)


def test_its_lake_is_read_only_unless_another_one_is_named(
    tmp_path: Path, origin: ControlDb, settings: Settings
) -> None:
    package = pack(tmp_path / "src", origin, name="one")
    served = packaged_settings(settings, package)
    assert (served.lake_url, served.lake_read_only) == (str(tmp_path / "src" / "packaged" / "lake"), True)
    other = settings.model_copy(update={"lake": "s3://elsewhere/shops"})
    assert packaged_settings(other, package) is other


def test_the_same_keys_open_it_and_numbers_go_on_above_the_watermarks(
    tmp_path: Path, origin: ControlDb, settings: Settings, service: ControlDb
) -> None:
    _, good = create_api_key(origin, BLUE, name="good", scopes=("recommendations:read",), now=NOW)
    old, revoked = create_api_key(origin, BLUE, name="old", scopes=("admin",), now=NOW)
    revoke_api_key(origin, BLUE, old.id, now=NOW)
    _, stranger = create_api_key(origin, GREEN, name="green", scopes=("admin",), now=NOW)
    package = pack(tmp_path / "src", origin, name="one")
    package.hand_over(packaged_settings(settings, package), service)

    key = authenticate(service, good)
    assert key is not None and (key.tenant, key.scopes) == (BLUE, frozenset({"recommendations:read"}))
    assert (authenticate(service, revoked), authenticate(service, stranger)) == (None, None)
    with service.read() as session:
        assert list(session.scalars(select(TenantRow.id))) == ["blue"]
    assert [change.item_id for change in list_item_changes(service, BLUE)] == ["b1"]
    assert state_version(service, BLUE) == 1
    event = Event(event_id="e", user_id="u", item_id="b2", interaction_type="view", timestamp=NOW)
    assert EventLog(service).append(BLUE, [event], now=NOW)[0].seq == 701
    assert append_item_changes(service, BLUE, [ItemEdit("b2", "delete", {})], now=NOW).last_seq == 31


def test_a_restart_changes_nothing_and_a_newer_package_replaces_what_was_there(
    tmp_path: Path, origin: ControlDb, settings: Settings, service: ControlDb
) -> None:
    first, secret = create_api_key(origin, BLUE, name="first", scopes=("admin",), now=NOW)
    package = pack(tmp_path / "one", origin, name="one")
    served = packaged_settings(settings, package)
    package.hand_over(served, service)
    append_item_changes(service, BLUE, [ItemEdit("local", "delete", {})], now=NOW)
    package.hand_over(served, service)
    assert [change.item_id for change in list_item_changes(service, BLUE)] == ["b1", "local"]

    revoke_api_key(origin, BLUE, first.id, now=NOW)
    newer = pack(tmp_path / "two", origin, name="two")
    newer.hand_over(packaged_settings(settings, newer), service)
    assert authenticate(service, secret) is None
    assert [change.item_id for change in list_item_changes(service, BLUE)] == ["b1"]


def test_without_keys_those_of_the_service_stay(
    tmp_path: Path, origin: ControlDb, settings: Settings, service: ControlDb
) -> None:
    _, secret = create_api_key(origin, BLUE, name="left out", scopes=("admin",), now=NOW)
    package = pack(tmp_path / "one", origin, name="one", keys=False)
    package.hand_over(packaged_settings(settings, package), service)
    assert authenticate(service, secret) is None
    _, own = create_api_key(service, BLUE, name="own", scopes=("admin",), now=NOW)
    newer = pack(tmp_path / "two", origin, name="two", keys=False)
    newer.hand_over(packaged_settings(settings, newer), service)
    assert authenticate(service, own) is not None


def test_a_control_db_that_was_chosen_is_left_alone(
    tmp_path: Path, origin: ControlDb, settings: Settings, service: ControlDb
) -> None:
    package = pack(tmp_path / "src", origin, name="one")
    chosen = settings.model_copy(update={"database": settings.database_url})
    package.hand_over(packaged_settings(chosen, package), service)
    with service.read() as session:
        assert list(session.scalars(select(TenantRow.id))) == []
