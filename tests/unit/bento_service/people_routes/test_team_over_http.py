"""Invitations, teams, ownership and the office over HTTP: each role does what it may, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from resources.control_db.engine import ControlDb
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import PASSWORD, Person, person
from tests.unit.bento_service.shop import NOW, Shop
from tests.unit.resources.people.parts import mails

pytestmark = pytest.mark.databases
JANE = "jane@example.com"


@pytest.fixture
def owner(db: ControlDb, blue: Shop) -> Person:
    return person(db, "owner@example.com", now=NOW, tenant=blue.tenant, role="owner")


@pytest.fixture
def admin(db: ControlDb, blue: Shop) -> Person:
    return person(db, "admin@example.com", now=NOW, tenant=blue.tenant, role="admin")


@pytest.fixture
def viewer(db: ControlDb, blue: Shop) -> Person:
    return person(db, "viewer@example.com", now=NOW, tenant=blue.tenant, role="viewer")


@pytest.fixture
def boss(db: ControlDb) -> Person:
    return person(db, "boss@example.com", now=NOW, office="super_admin")


def status(answer: Any) -> int:
    return int(answer.status_code)


def token_to(db: ControlDb, email: str = JANE) -> str:
    mail = [each for each in mails(db, email) if each.template == "invited"][-1]
    return (mail.body or "").partition("http://127.0.0.1:8000/invite/")[2].split()[0]


def tokens_to(db: ControlDb, email: str) -> set[str]:
    return {(mail.body or "").partition("http://127.0.0.1:8000/invite/")[2].split()[0] for mail in mails(db, email)}


def invited(client: Client, by: Person, role: str = "editor", email: str = JANE) -> Any:
    return client.post("/api/v1/invites", json={"email": email, "role": role}, headers=by.headers)


def log_in(client: Client, email: str, password: str = PASSWORD) -> dict[str, str]:
    answer = client.post("/api/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_stranger_is_invited_accepts_and_works(client: Client, db: ControlDb, admin: Person, green: Shop) -> None:
    made = invited(client, admin)
    assert made.status_code == 201
    assert made.json()["invited_by"] == "admin@example.com"
    assert "token" not in made.text and "link" not in made.text
    token = token_to(db)
    for _ in range(2):
        shown = client.get(f"/api/v1/invites/token/{token}").json()
    assert (shown["email"], shown["role"], shown["tenant_id"], shown["has_account"]) == (JANE, "editor", "blue", False)
    path = f"/api/v1/invites/token/{token}/accept"
    assert status(client.post(path)) == 422
    assert status(client.post(path, json={"name": "Jane", "password": "short"})) == 422
    done = client.post(path, json={"name": "Jane", "password": PASSWORD})
    assert (done.status_code, done.json()["tenant_id"], done.json()["role"]) == (200, "blue", "editor")
    assert status(client.post(path, json={"name": "Jane", "password": PASSWORD})) == 404
    headers = log_in(client, JANE)
    assert client.get("/api/v1/me", headers=headers).json()["user"]["email_verified"] is True
    (found,) = [
        each for each in client.get("/api/v1/members", headers=headers).json()["members"] if each["email"] == JANE
    ]
    assert (found["name"], found["role"]) == ("Jane", "editor")
    assert status(invited(client, Person("", "", headers["Authorization"][7:], "", ""))) == 403
    assert client.get("/api/v1/invites", headers=admin.headers).json()["invites"] == []


def test_somebody_with_an_account_accepts_by_token_or_password(
    client: Client, db: ControlDb, admin: Person, green: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr("bento_service.access.logging_in.asyncio.sleep", at_once)
    jane = person(db, JANE, now=NOW, tenant=green.tenant, password=PASSWORD)
    invited(client, admin)
    path = f"/api/v1/invites/token/{token_to(db)}/accept"
    other = person(db, "other@example.com", now=NOW, tenant=green.tenant)
    assert status(client.post(path, headers=other.headers)) == 403
    assert status(client.post(path, headers=green.headers)) == 403
    assert status(client.post(path, headers={"Authorization": "Bearer eyJx.y.z"})) == 401
    assert status(client.post(path, json={"password": "not the password"})) == 401
    assert status(client.post(path, headers=jane.headers)) == 200
    shops = client.get("/api/v1/me", headers=jane.headers).json()["memberships"]
    assert {each["tenant_id"] for each in shops} == {"green", "blue"}
    sam = person(db, "sam@example.com", now=NOW, tenant=green.tenant, password=PASSWORD)
    invited(client, admin, "viewer", "sam@example.com")
    by_password = f"/api/v1/invites/token/{token_to(db, 'sam@example.com')}/accept"
    assert client.post(by_password, json={"password": PASSWORD}).json()["member_id"] == sam.id


def test_invitations_are_listed_sent_again_and_taken_back(
    client: Client, db: ControlDb, admin: Person, viewer: Person
) -> None:
    ids = [invited(client, admin, email=f"p{number}@example.com").json()["id"] for number in range(3)]
    page = client.get("/api/v1/invites?limit=2", headers=viewer.headers).json()
    rest = client.get(f"/api/v1/invites?cursor={page['next_cursor']}", headers=viewer.headers).json()
    assert {each["id"] for each in (*page["invites"], *rest["invites"])} == set(ids)
    assert (len(rest["invites"]), rest["next_cursor"]) == (1, None)
    first = token_to(db, "p0@example.com")
    assert status(client.post(f"/api/v1/invites/{ids[0]}/resend", headers=viewer.headers)) == 403
    assert status(client.post(f"/api/v1/invites/{ids[0]}/resend", headers=admin.headers)) == 200
    (second,) = tokens_to(db, "p0@example.com") - {first}
    assert status(client.get(f"/api/v1/invites/token/{first}")) == 404
    assert status(client.get(f"/api/v1/invites/token/{second}")) == 200
    assert status(client.request("DELETE", f"/api/v1/invites/{ids[0]}", headers=admin.headers)) == 200
    assert status(client.get(f"/api/v1/invites/token/{second}")) == 404


def test_nobody_gives_or_takes_what_is_above_them(
    client: Client, admin: Person, owner: Person, viewer: Person, blue: Shop
) -> None:
    assert status(invited(client, admin, "owner")) == 403
    assert status(invited(client, owner, "owner")) == 201
    assert status(client.post("/api/v1/invites", json={"email": JANE, "role": "owner"}, headers=blue.headers)) == 403
    assert status(invited(client, admin, "king")) == 422

    def give(by: Person, to: Person, role: str) -> int:
        return status(client.request("PATCH", f"/api/v1/members/{to.id}", json={"role": role}, headers=by.headers))

    assert give(viewer, viewer, "admin") == 403
    assert give(admin, viewer, "owner") == 403
    assert give(admin, owner, "viewer") == 403
    assert give(owner, owner, "admin") == 409
    assert give(admin, viewer, "editor") == 200
    assert status(client.request("DELETE", f"/api/v1/members/{owner.id}", headers=admin.headers)) == 403
    assert status(client.request("DELETE", f"/api/v1/members/{owner.id}", headers=owner.headers)) == 409


def test_who_is_removed_or_leaves_has_nothing_open(
    client: Client, app: FastAPI, owner: Person, admin: Person, viewer: Person, green: Shop
) -> None:
    gone = client.request("DELETE", f"/api/v1/members/{viewer.id}", headers=admin.headers)
    assert (gone.status_code, gone.json()["email"]) == (200, viewer.email)
    app.state.services.members._tokens.clear()  # as time does
    assert status(client.get("/api/v1/members", headers=viewer.headers)) == 401
    again = client.post("/api/v1/auth/refresh", json={"refresh_token": viewer.refresh_token}).json()
    assert (again["tenant_id"], again["memberships"]) == (None, [])  # the person stays, and has other shops or none
    of_person = {"Authorization": f"Bearer {again['access_token']}"}
    assert status(client.get("/api/v1/members", headers=of_person)) in (401, 403)
    assert status(client.request("DELETE", f"/api/v1/members/{viewer.id}", headers=admin.headers)) == 404
    assert status(client.request("DELETE", f"/api/v1/members/{admin.id}", headers=green.headers)) == 404
    assert status(client.post("/api/v1/members/leave", headers=owner.headers)) == 409
    assert status(client.post("/api/v1/members/leave", headers=admin.headers)) == 200
    emails = [each["email"] for each in client.get("/api/v1/members", headers=owner.headers).json()["members"]]
    assert emails == [owner.email]


def test_ownership_is_passed_on(client: Client, owner: Person, admin: Person, viewer: Person, blue: Shop) -> None:
    body = {"member_id": viewer.id}
    assert status(client.post("/api/v1/ownership", json=body, headers=admin.headers)) == 403
    assert status(client.post("/api/v1/ownership", json=body, headers=blue.headers)) == 403
    assert status(client.post("/api/v1/ownership", json={"member_id": "mem-x"}, headers=owner.headers)) == 404
    passed = client.post("/api/v1/ownership", json=body, headers=owner.headers)
    assert (passed.status_code, passed.json()["role"]) == (200, "owner")
    roles = {m["email"]: m["role"] for m in client.get("/api/v1/members", headers=owner.headers).json()["members"]}
    assert roles == {owner.email: "admin", admin.email: "admin", viewer.email: "owner"}


def test_a_key_reads_the_team_by_its_scope_and_is_no_person(client: Client, owner: Person, blue: Shop) -> None:
    assert status(client.get("/api/v1/members", headers=blue.headers)) == 200
    assert status(client.get("/api/v1/members", headers=blue.key_with("analytics:read"))) == 403
    assert status(client.post("/api/v1/members/leave", headers=blue.headers)) == 403
    assert status(client.get("/api/v1/me/second-factor", headers=blue.headers)) == 403


def test_accounts_are_made_by_those_who_may(
    client: Client, boss: Person, owner: Person, admin: Person, viewer: Person, blue: Shop, green: Shop
) -> None:
    def make(by: dict[str, str], email: str, role: str, tenant: str | None = None) -> Any:
        body = {"email": email, "password": PASSWORD, "role": role}
        return client.post("/api/v1/admin/users", json=body | ({"tenant_id": tenant} if tenant else {}), headers=by)

    made = make(admin.headers, "one@example.com", "member")
    assert (made.status_code, made.json()["shops"]) == (201, [{"tenant_id": "blue", "role": "editor"}])
    assert client.get("/api/v1/me", headers=log_in(client, "one@example.com")).json()["role"] == "editor"
    assert status(make(admin.headers, "two@example.com", "owner")) == 403
    assert status(make(admin.headers, "two@example.com", "viewer", "green")) == 403
    assert status(make(admin.headers, "two@example.com", "super_admin")) == 403
    assert status(make(viewer.headers, "two@example.com", "viewer")) == 403
    assert status(make(admin.headers, "one@example.com", "viewer")) == 409
    assert status(make(boss.headers, "two@example.com", "owner", "green")) == 201
    assert status(make(boss.headers, "three@example.com", "owner", "nowhere")) == 404
    assert status(make(boss.headers, "three@example.com", "owner")) == 422
    assert status(make(boss.headers, "three@example.com", "developer", "green")) == 422
    assert make(boss.headers, "three@example.com", "developer").json()["office_role"] == "developer"

    def emails(by: dict[str, str], query: str = "") -> set[str]:
        answer = client.get(f"/api/v1/admin/users{query}", headers=by)
        assert answer.status_code == 200, answer.text
        return {each["email"] for each in answer.json()["users"]}

    of_blue = {owner.email, admin.email, viewer.email, "one@example.com"}
    assert emails(admin.headers) == emails(boss.headers, "?tenant_id=blue") == of_blue
    assert emails(boss.headers) == {*of_blue, boss.email, "two@example.com", "three@example.com"}
    assert status(client.get("/api/v1/admin/users?tenant_id=green", headers=admin.headers)) == 403
    assert status(client.get("/api/v1/admin/users?tenant_id=nowhere", headers=boss.headers)) == 404
    page = client.get("/api/v1/admin/users?limit=3", headers=boss.headers).json()
    rest = client.get(f"/api/v1/admin/users?cursor={page['next_cursor']}", headers=boss.headers).json()
    assert len({each["id"] for each in (*page["users"], *rest["users"])}) == 7


def test_a_shop_admin_learns_nothing_of_other_shops_of_a_member(
    client: Client, db: ControlDb, admin: Person, green: Shop
) -> None:
    jane = person(db, JANE, now=NOW, tenant=green.tenant)
    invited(client, admin)
    client.post(f"/api/v1/invites/token/{token_to(db)}/accept", headers=jane.headers)
    listed = client.get("/api/v1/admin/users", headers=admin.headers)
    assert "green" not in listed.text
    assert JANE in listed.text


def test_the_office_is_run_by_super_admins(
    client: Client, app: FastAPI, db: ControlDb, boss: Person, owner: Person
) -> None:
    path = "/api/v1/admin/people"
    support = person(db, "support@example.com", now=NOW, office="support_agent")
    for other in (support, owner):
        assert status(client.get(path, headers=other.headers)) == 403
        assert status(client.post(path, json={"email": JANE, "role": "developer"}, headers=other.headers)) == 403
    assert status(client.post(path, json={"email": JANE, "role": "developer"}, headers=boss.headers)) == 201
    done = client.post(
        f"/api/v1/invites/token/{token_to(db)}/accept", json={"name": "Jane", "password": PASSWORD}
    ).json()
    assert (done["tenant_id"], done["role"]) == (None, "developer")
    jane = f"{path}/{done['member_id']}"
    assert status(client.request("PATCH", jane, json={}, headers=boss.headers)) == 422
    changed = client.request("PATCH", jane, json={"role": "super_admin"}, headers=boss.headers).json()
    assert changed["office_role"] == "super_admin"
    assert client.request("DELETE", f"{path}/{boss.id}", headers=log_in(client, JANE)).status_code == 200
    app.state.services.members._tokens.clear()  # as time does
    assert status(client.get(path, headers=boss.headers)) == 401
    jane_headers = log_in(client, JANE)
    assert status(client.request("DELETE", jane, headers=jane_headers)) == 409
    assert status(client.request("PATCH", jane, json={"status": "suspended"}, headers=jane_headers)) == 409
    assert (
        status(client.request("PATCH", f"{path}/{owner.id}", json={"role": "developer"}, headers=jane_headers)) == 404
    )
    listed = client.get(path, headers=jane_headers).json()
    assert [each["email"] for each in listed["people"]] == [JANE, support.email]
    made = client.post(path, json={"email": "x@example.com", "role": "developer"}, headers=jane_headers).json()
    assert [each["id"] for each in client.get(path, headers=jane_headers).json()["invites"]] == [made["id"]]
    assert status(client.request("DELETE", f"{path}/invites/{made['id']}", headers=jane_headers)) == 200
    assert status(client.get(f"/api/v1/invites/token/{token_to(db, 'x@example.com')}")) == 404
