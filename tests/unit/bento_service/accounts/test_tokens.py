"""What tokens of people open: by role, and no longer than they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bento_service.access.member_tokens import TOKEN_TTL_SECONDS, MemberTokens
from bento_service.api.auth import _of_office_role
from bento_service.app import create_app
from bento_service.scheduling.threads import Threads
from resources.access.actor import SYSTEM
from resources.access.roles import (
    OFFICE_ROLES,
    PERMISSIONS_OF_OFFICE,
    OfficePermission,
)
from resources.base.errors import Forbidden, Unauthenticated
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import suspend_tenant
from resources.people.members import end_everything, hold_member, set_member_status
from resources.people.memberships import change_role, remove_membership
from resources.sessions.refresh_tokens import end_family
from resources.sessions.signing_keys import SigningKeys, rotate_signing_key
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.people import Person, logged_in, person
from tests.unit.bento_service.shop import NOW, Shop

pytestmark = pytest.mark.databases


@pytest.fixture
def jane(db: ControlDb, blue: Shop) -> Person:
    person(db, "other-owner@example.com", now=NOW, tenant=blue.tenant)
    return person(db, "jane@example.com", now=NOW, tenant=blue.tenant, role="admin")


def status_of(client: Client, who: Person, path: str = "/api/v1/api-keys") -> int:
    return client.get(path, headers=who.headers).status_code


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda session, who, blue: change_role(session, who.id, blue.tenant, "viewer", by=SYSTEM, now=NOW), 403),
        (lambda session, who, blue: remove_membership(session, who.id, blue.tenant, by=SYSTEM, now=NOW), 401),
        (lambda session, who, blue: set_member_status(session, who.id, "suspended", by=SYSTEM, now=NOW), 401),
        (lambda session, who, blue: end_everything(hold_member(session, who.id)), 401),
        (lambda session, who, blue: end_family(session, who.family, now=NOW), 401),
        (lambda session, who, blue: rotate_signing_key(session, by=SYSTEM, now=NOW, end_tokens=True), 401),
    ],
    ids=["lowered", "removed", "suspended", "new password", "logged out", "keys ended"],
)
def test_what_changes_holds_within_five_seconds(
    db: ControlDb, blue: Shop, jane: Person, change: Callable[[Session, Person, Shop], object], status: int
) -> None:
    seconds = 100.0
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW, clock=lambda: seconds)

    async def ask() -> int:
        try:
            standing = await tokens.find(jane.token)
        except Unauthenticated:
            return 401
        return 200 if "admin" in standing.permissions else 403

    assert asyncio.run(ask()) == 200
    with db.write() as session:
        change(session, jane, blue)
    seconds += TOKEN_TTL_SECONDS
    assert asyncio.run(ask()) == status
    assert TOKEN_TTL_SECONDS < 5


def test_a_token_in_use_is_looked_up_beside_the_answers(db: ControlDb, blue: Shop, jane: Person) -> None:
    seconds = 100.0
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW, clock=lambda: seconds)

    async def use() -> list[bool]:
        nonlocal seconds
        found = [await tokens.find(jane.token) is not None]
        with db.write() as session:
            set_member_status(session, jane.id, "suspended", by=SYSTEM, now=NOW)
        seconds += TOKEN_TTL_SECONDS - 0.5
        found += [await tokens.find(jane.token) is not None for _ in range(3)]
        (looking,) = tokens._looking.values()
        await looking
        try:
            await tokens.find(jane.token)
        except Unauthenticated:
            found.append(False)
        return found

    assert asyncio.run(use()) == [True, True, True, True, False]
    assert not tokens._tokens and not tokens._looking


def test_a_database_that_does_not_answer_ends_no_token(
    db: ControlDb, jane: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW)
    found = tokens.look_up(jane.token)

    def no_answer(*_: object, **__: object) -> None:
        raise OperationalError("select 1", {}, Exception("gone"))

    monkeypatch.setattr("bento_service.access.member_tokens.standing_of", no_answer)
    with pytest.raises(OperationalError):
        tokens.look_up(jane.token)
    assert tokens.fresh(jane.token) == found


def test_a_held_token_asks_no_database_and_checks_no_signature(
    db: ControlDb, jane: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW)
    looked_up = tokens.look_up(jane.token)
    monkeypatch.setattr(tokens, "_db", None)
    monkeypatch.setattr(tokens, "_keys", None)
    assert [tokens.fresh(jane.token) for _ in range(3)] == [looked_up] * 3


def test_a_held_token_runs_out_as_well(db: ControlDb, jane: Person) -> None:
    at = NOW
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: at, clock=lambda: 0.0)
    tokens.look_up(jane.token)
    at = NOW + timedelta(seconds=900)
    with pytest.raises(Unauthenticated, match="run out"):
        tokens.fresh(jane.token)


def test_wrong_tokens_are_not_remembered(db: ControlDb, jane: Person) -> None:
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW)
    for wrong in (f"{jane.token}x", jane.token[:-4], "eyJ", "eyJ.eyJ.eyJ"):
        with pytest.raises(Unauthenticated):
            tokens.look_up(wrong)
    assert not tokens._tokens


def test_a_key_that_another_worker_made_is_picked_up(db: ControlDb, jane: Person) -> None:
    tokens = MemberTokens(db, Threads().keys, SigningKeys(db, days=30), lambda: NOW)
    tokens.look_up(jane.token)
    with db.write() as session:
        rotate_signing_key(session, by=SYSTEM, now=NOW)
    assert tokens.look_up(logged_in(db, jane.id, now=NOW).token).member_id == jane.id
    assert tokens.look_up(jane.token).member_id == jane.id


def test_a_suspended_shop_is_closed_to_its_people_and_they_can_still_see_why(
    client: Client, db: ControlDb, blue: Shop, jane: Person
) -> None:
    suspend_tenant(db, blue.tenant)
    body = {"name": "web", "scopes": ["recommendations:read"]}
    for path in ("/api/v1/api-keys", "/api/v1/recommendations"):
        answer = client.post(path, json=body, headers=jane.headers)
        assert answer.status_code == 403
        assert "suspended" in answer.text
    assert status_of(client, jane) == 200  # they may look
    me = client.get("/api/v1/me", headers=jane.headers).json()
    assert me["memberships"][0]["tenant_status"] == "suspended"


def test_who_belongs_to_no_shop_sees_themselves_alone(client: Client, db: ControlDb, blue: Shop) -> None:
    nobody = person(db, "jane@example.com", now=NOW)
    assert status_of(client, nobody) == 403
    assert client.get("/api/v1/me", headers=nobody.headers).json()["memberships"] == []


def test_a_token_is_for_one_shop(client: Client, db: ControlDb, blue: Shop, green: Shop, jane: Person) -> None:
    body = {"tenant_id": "green", "name": "x", "scopes": ["recommendations:read"]}
    answer = client.post("/api/v1/api-keys", json=body, headers=jane.headers)
    assert answer.status_code == 403
    assert "POST /api/v1/auth/refresh" in answer.text
    assert client.get("/health", headers=jane.headers).json()["release"]["state"] == "live"


def test_limits_hold_for_people_as_for_keys(
    settings: Settings, db: ControlDb, lake: Lake, blue: Shop, jane: Person
) -> None:
    app = create_app(settings.model_copy(update={"key_rate_limit": 2.0}), db, lake, lambda: NOW)
    with client_of(app) as client:
        answers = [client.get("/api/v1/api-keys", headers=jane.headers) for _ in range(4)]
        key = client.get("/api/v1/api-keys", headers=blue.headers)
    app.state.services.decisions.close()
    assert 429 in [each.status_code for each in answers]
    assert answers[0].headers["x-ratelimit-limit"] == "2"
    assert key.status_code == 200


def test_whoever_guesses_tokens_counts_for_their_address(
    settings: Settings, db: ControlDb, lake: Lake, jane: Person
) -> None:
    app = create_app(settings.model_copy(update={"address_rate_limit": 1.0}), db, lake, lambda: NOW)
    with client_of(app) as client:
        wrong = [client.get("/api/v1/me", headers={"Authorization": f"Bearer eyJ{n}.x.x"}) for n in range(8)]
        right = client.get("/api/v1/me", headers=jane.headers)
    app.state.services.decisions.close()
    assert {each.status_code for each in wrong} == {401, 429}
    assert right.status_code in (200, 429)


OFFICE: dict[OfficePermission, set[str]] = {
    "tenants:read": {"developer", "support_agent", "super_admin"},
    "people:write": {"super_admin"},
}


@pytest.mark.parametrize("role", OFFICE_ROLES)
def test_roles_of_the_platform(app: FastAPI, client: Client, db: ControlDb, role: Any) -> None:
    office = person(db, "office@example.com", now=NOW, office=role)
    standing = app.state.services.members.look_up(office.token)
    assert standing.office_permissions == PERMISSIONS_OF_OFFICE[role]
    for permission, roles in OFFICE.items():
        if role in roles:
            found = _of_office_role(standing, app.state.services, permission)
            assert (found.kind, found.name) == ("office", "office@example.com")
        else:
            with pytest.raises(Forbidden, match="does not have"):
                _of_office_role(standing, app.state.services, permission)
    assert status_of(client, office) == 403  # of no shop
