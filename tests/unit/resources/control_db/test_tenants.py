"""Tenants: the control DB is the truth about them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from resources.base.errors import Conflict, InvalidInput, TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import change_settings, create_tenant, get_tenant, list_tenants
from resources.tenants.settings import TenantSettings
from tests.unit.conftest import BLUE, GREEN

pytestmark = pytest.mark.databases


def test_a_tenant_comes_back_as_it_was_made(db: ControlDb) -> None:
    settings = TenantSettings(interaction_types={"gesehen": "view"}, rating_max=5)
    now = datetime(2025, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    made = create_tenant(db, BLUE, name="  Blåbær 日本 ", now=now, settings=settings)
    assert made == get_tenant(db, BLUE)
    assert (made.name, made.status, made.settings) == ("Blåbær 日本", "active", settings)
    assert get_tenant(db, BLUE).created_at == datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_no_tenants_is_an_empty_list_and_more_come_by_id(db: ControlDb, now: datetime) -> None:
    assert list_tenants(db) == ()
    for tenant in (GREEN, BLUE):
        create_tenant(db, tenant, name="x", now=now)
    assert [tenant.id for tenant in list_tenants(db)] == [BLUE, GREEN]


def test_a_page_of_tenants_reads_those_alone(db: ControlDb, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("e", "a-b", "ab", "d", "c"):
        create_tenant(db, TenantId(name), name="x", now=now)
    whole = [tenant.id.value for tenant in list_tenants(db)]
    read: list[str] = []
    monkeypatch.setattr("resources.control_db.tenants.tenant_record", lambda row: read.append(row.id))
    list_tenants(db, after=whole[1], limit=2)
    assert read == whole[2:4]
    list_tenants(db, after=whole[-1], limit=2)
    assert read == whole[2:4]


def test_a_taken_id_is_a_conflict_and_changes_nothing(db: ControlDb, now: datetime) -> None:
    create_tenant(db, BLUE, name="first", now=now)
    with pytest.raises(Conflict, match="blue exists already"):
        create_tenant(db, BLUE, name="second", now=now)
    assert get_tenant(db, BLUE).name == "first"


@pytest.mark.parametrize("name", ["", "  \t", "x" * 201])
def test_a_name_has_1_to_200_characters(db: ControlDb, now: datetime, name: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 200"):
        create_tenant(db, BLUE, name=name, now=now)
    assert list_tenants(db) == ()
    create_tenant(db, BLUE, name="x" * 200, now=now)


def test_an_unknown_tenant_names_the_next_step(db: ControlDb) -> None:
    with pytest.raises(TenantNotFound, match=r"no tenant nobody; `recsaas tenant list`"):
        get_tenant(db, TenantId("nobody"))


def test_a_time_without_offset_is_refused(db: ControlDb) -> None:
    with pytest.raises(StatementError, match="offset"):
        create_tenant(db, BLUE, name="x", now=datetime(2025, 1, 1))


def test_settings_change_all_or_none(db: ControlDb, now: datetime) -> None:
    create_tenant(db, BLUE, name="x", now=now)
    made = change_settings(db, BLUE, {"training.model_type": "two_tower", "rating_max": 5}, now=now)
    assert made == get_tenant(db, BLUE)
    assert (made.settings.training.model_type, made.settings.rating_max) == ("two_tower", 5)
    with pytest.raises(InvalidInput, match=r"training\.modeltype"):
        change_settings(db, BLUE, {"rating_max": 7, "training.modeltype": "lightgcn"}, now=now)
    assert get_tenant(db, BLUE) == made
    with pytest.raises(TenantNotFound):
        change_settings(db, GREEN, {"rating_max": 5}, now=now)
