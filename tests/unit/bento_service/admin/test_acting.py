"""Acting for a tenant: what it opens and what never, that everybody is told, and that it ends."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MailRow
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop

pytestmark = pytest.mark.databases
WHY = "The shop asks why an item is missing"
URL = "/api/v1/admin/impersonate"


def act(client: Client, who: dict[str, str], **body: Any) -> Any:
    return client.post(URL, json={"tenant_id": "blue", "reason": WHY, **body}, headers=who)


def bearer(answer: Any) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def support(db: ControlDb) -> dict[str, str]:
    return person(db, "support@example.com", now=NOW, office="support_agent").headers


@pytest.fixture
def root(db: ControlDb) -> dict[str, str]:
    return person(db, "root@example.com", now=NOW, office="super_admin").headers


@pytest.fixture(autouse=True)
def _owner(db: ControlDb, blue: Shop) -> None:
    person(db, "owner@example.com", now=NOW, tenant=blue.tenant)


def of_blue(db: ControlDb, action: str) -> list[AuditRow]:
    with db.read() as session:
        wanted = select(AuditRow).where(AuditRow.chain == "blue", AuditRow.action == action)
        return list(session.scalars(wanted.order_by(AuditRow.number)))


def test_support_sees_what_the_shop_sees_and_changes_nothing(client: Client, support: dict[str, str]) -> None:
    begun = act(client, support, ticket="4711")
    assert (begun.json()["expires_in"], begun.json()["write"], begun.headers["cache-control"]) == (
        1800,
        False,
        "no-store",
    )
    acting = bearer(begun)
    seen = client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=acting)
    assert seen.status_code == 200 and seen.json()["recommendations"]
    for method, path in (("POST", "/api/v1/rules"), ("POST", "/api/v1/items"), ("POST", "/api/v1/train")):
        assert code_of(client.request(method, path, json={}, headers=acting)) == (403, "forbidden")
    assert code_of(act(client, support, write=True)) == (403, "forbidden")


def test_a_super_admin_may_write_and_every_line_has_both_names(
    client: Client, db: ControlDb, root: dict[str, str]
) -> None:
    acting = bearer(act(client, root, write=True, member="owner@example.com"))
    made = client.post("/api/v1/rules", json={"kind": "hide", "target": {"brand": "Acme"}}, headers=acting)
    assert made.status_code == 201
    (entry,) = of_blue(db, "rule.add")
    assert (entry.actor_kind, entry.actor_name) == ("office", "root@example.com")
    assert (entry.acting_for, entry.reason) == ("owner@example.com", WHY)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/api/v1/api-keys"),
        ("POST", "/api/v1/api-keys"),
        ("DELETE", "/api/v1/api-keys/x"),
        ("GET", "/api/v1/webhooks"),
        ("POST", "/api/v1/webhooks"),
        ("POST", "/api/v1/webhooks/x/rotate-secret"),
        ("DELETE", "/api/v1/users/u1"),
        ("GET", "/api/v1/users/u1/export"),
        ("PATCH", "/api/v1/me"),
        ("GET", "/api/v1/me/sessions"),
        ("POST", "/api/v1/auth/password/change"),
        ("POST", URL),
        ("GET", "/api/v1/admin/audit"),
        ("POST", "/api/v1/admin/tenants/blue/resume"),
        ("POST", "/api/v1/admin/tenants/blue/suspend"),
    ],
)
def test_what_nobody_may_who_acts(client: Client, root: dict[str, str], method: str, path: str) -> None:
    acting = bearer(act(client, root, write=True))
    body = None if method in ("GET", "DELETE") else {"tenant_id": "blue", "reason": WHY}
    answer = client.request(method, path, json=body, headers=acting)
    assert code_of(answer) == (403, "forbidden"), answer.text


def test_it_never_opens_more_than_the_member_may(
    client: Client, db: ControlDb, blue: Shop, root: dict[str, str]
) -> None:
    person(db, "viewer@example.com", now=NOW, tenant=blue.tenant, role="viewer")
    acting = bearer(act(client, root, write=True, member="viewer@example.com"))
    assert client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=acting).status_code == 200
    assert code_of(client.post("/api/v1/rules", json={}, headers=acting)) == (403, "forbidden")


def test_the_shop_reads_of_it_and_owners_are_told(
    client: Client, db: ControlDb, blue: Shop, support: dict[str, str]
) -> None:
    act(client, support, ticket="4711")
    seen = client.get("/api/v1/audit?action=acting", headers=blue.headers).json()["entries"]
    assert [(each["actor_name"], each["acting_for"], each["reason"]) for each in seen] == [
        ("support@example.com", "blue", WHY)
    ]
    with db.read() as session:
        (mail,) = session.scalars(select(MailRow).where(MailRow.template == "acting_began")).all()
    assert (mail.recipient, mail.tenant_id) == ("owner@example.com", "blue")
    assert WHY in mail.body and "4711" in mail.body and "support@example.com" in mail.body


@pytest.mark.parametrize("by_its_own_token", [True, False])
def test_it_ends_at_once(
    client: Client, app: FastAPI, db: ControlDb, support: dict[str, str], by_its_own_token: bool
) -> None:
    acting = bearer(act(client, support))
    ask = lambda: client.post("/api/v1/recommendations", json={"user_id": "u1"}, headers=acting)  # noqa: E731
    assert ask().status_code == 200
    ended = client.request("DELETE", URL, headers=acting if by_its_own_token else support)
    assert ended.json() == {"ended": 1}
    app.state.services.members._tokens.clear()  # as after the 3 seconds for which a worker believes a token
    assert code_of(ask()) == (401, "unauthenticated")
    assert client.request("DELETE", URL, headers=support).json() == {"ended": 0}
    assert [entry.acting_for for entry in of_blue(db, "acting.end")] == ["blue"]


def test_the_next_one_ends_the_one_before(client: Client, app: FastAPI, green: Shop, support: dict[str, str]) -> None:
    first = bearer(act(client, support))
    second = bearer(act(client, support, tenant_id="green"))
    app.state.services.members._tokens.clear()
    ask = {"url": "/api/v1/recommendations", "json": {"user_id": "u1"}}
    assert client.post(**ask, headers=first).status_code == 401
    assert client.post(**ask, headers=second).status_code == 200


def test_who_may_not_act_for_a_shop(client: Client, db: ControlDb, blue: Shop, support: dict[str, str]) -> None:
    developer = person(db, "dev@example.com", now=NOW, office="developer").headers
    admin = person(db, "admin@example.com", now=NOW, tenant=blue.tenant, role="admin").headers
    for who in (developer, admin, blue.headers, blue.key_with("platform")):
        assert code_of(act(client, who)) == (403, "forbidden")
    assert client.post(URL, json={}).status_code == 401
    assert client.request("DELETE", URL, headers=blue.headers).status_code == 403
    assert client.request("DELETE", URL, headers=admin).status_code == 403


@pytest.mark.parametrize(
    "body, status",
    [
        ({"reason": "short"}, 422),
        ({"reason": " a         "}, 422),
        ({"tenant_id": "none"}, 404),
        ({"member": "x"}, 404),
    ],
)
def test_a_wrong_request_begins_nothing(
    client: Client, db: ControlDb, support: dict[str, str], body: dict[str, str], status: int
) -> None:
    assert act(client, support, **body).status_code == status
    assert of_blue(db, "acting.begin") == []
