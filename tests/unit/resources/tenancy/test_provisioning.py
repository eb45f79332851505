"""Tenants are made once, however many ask at once, and those that are gone are not changed any more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.acting.acting import ActingRequest, begin_acting
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tenants import change_settings
from resources.people.invites import invite
from resources.plans.assigned import Override, put_on_plan, put_override, remove_override
from resources.storage.lake import Lake
from resources.tenancy import provisioning
from resources.tenancy.provisioning import NewTenant, TenantEdit, edit_tenant, provision_tenant

OFFICE = Actor(kind="office", id="m-1", name="office@example.com", source="api")
RED = NewTenant(id=TenantId("red-shop"), name="Red", owner_email="ann@example.com")
Make = Callable[..., Any]


@pytest.fixture
def make(db: ControlDb, tmp_path: Path, now: datetime) -> Make:
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    return lambda new=RED: provision_tenant(db, lake, new, by=OFFICE, site_url="https://shop.example.com", now=now)


@pytest.mark.databases
def test_the_same_request_twice_at_once_makes_one_tenant(
    db: ControlDb, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, added = Barrier(2, timeout=1), provisioning._added

    def together(*args: Any) -> Any:
        with suppress(BrokenBarrierError):  # on SQLite one waits for the other's end
            both.wait()
        return added(*args)

    monkeypatch.setattr(provisioning, "_added", together)
    with ThreadPoolExecutor(2) as pool:
        first, second = (each.result() for each in [pool.submit(make), pool.submit(make)])
    assert first == second
    with db.read() as session:
        made = session.scalars(select(AuditRow.action).where(AuditRow.chain == "red-shop")).all()
    assert made.count("tenant.create") == 1 and made.count("invite.create") == 1


@pytest.mark.databases
def test_another_error_of_the_database_does_not_say_that_the_id_is_taken(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise IntegrityError("INSERT", {}, ValueError("another table"))

    monkeypatch.setattr(provisioning, "_invite_owner", broken)
    with pytest.raises(IntegrityError):
        make()


@pytest.mark.databases
@pytest.mark.parametrize("status", ["importing", "retired"])
def test_an_id_that_is_not_free_is_nobody_s_earlier_request(db: ControlDb, make: Make, status: str) -> None:
    make()
    with db.write() as session:
        session.get_one(TenantRow, "red-shop").status = status
    with pytest.raises(Conflict, match="is taken"):
        make()


@pytest.mark.databases
def test_what_is_retired_is_not_written_again(db: ControlDb, shops: tuple[TenantId, TenantId], now: datetime) -> None:
    gone = shops[0]
    with db.write() as session:
        session.get_one(TenantRow, gone.value).status = "retired"
    why = "the owners have asked us for help with this"

    def within(work: Callable[[Session], object]) -> Callable[[], object]:
        def done() -> None:
            with db.write() as session:
                work(session)

        return done

    changes: tuple[Callable[[], object], ...] = (
        lambda: edit_tenant(db, gone, TenantEdit(fields={"name": "Back"}), by=OFFICE, now=now),
        lambda: change_settings(db, gone, {"training.model_type": "two_tower"}, now=now),
        lambda: create_api_key(db, gone, name="k", scopes=("admin",), now=now),
        within(lambda s: put_on_plan(s, gone, None, by=OFFICE, now=now)),
        within(lambda s: put_override(s, gone, Override("seats", 3, why, None, now, "x"), by=OFFICE, now=now)),
        within(lambda s: remove_override(s, gone, "seats", by=OFFICE, now=now)),
        within(
            lambda s: invite(s, gone, "a@example.com", "owner", by=OFFICE, site_url="https://a.example.com", now=now)
        ),
        within(lambda s: begin_acting(s, ActingRequest(tenant=gone, reason=why), by=OFFICE, now=now)),
    )
    with db.read() as session:
        before = session.scalars(select(AuditRow.hash)).all()
    for change in changes:
        with pytest.raises(Conflict, match="is retired"):
            change()
    with db.read() as session:
        assert session.scalars(select(AuditRow.hash)).all() == before
