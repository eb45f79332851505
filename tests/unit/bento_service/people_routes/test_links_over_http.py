"""Links of mails over HTTP: nobody learns who has an account, and what a link opens it opens once."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from bento_service.people import resets
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.people.passwords import verify_password
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import PASSWORD, person
from tests.unit.bento_service.shop import NOW, Shop
from tests.unit.resources.people.parts import mails

pytestmark = pytest.mark.databases
JANE = "jane@example.com"
NEW = "four words that nobody guesses"


def token_of(db: ControlDb, template: str, place: str) -> str:
    """The token of the newest mail of a template to jane; its link leads to the service."""
    mail = next(mail for mail in reversed(mails(db, JANE)) if mail.template == template)
    _, _, rest = (mail.body or "").partition(f"http://127.0.0.1:8000/{place}/")
    return rest.split()[0]


def told(answer: Any) -> tuple[int, dict[str, str]]:
    return answer.status_code, answer.json()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(("forgot", "reset"), [("password/forgot", "password/reset"), ("forgot", "reset")])
def test_a_forgotten_password_is_set_anew(client: Client, blue: Shop, db: ControlDb, forgot: str, reset: str) -> None:
    jane = person(db, JANE, now=NOW, tenant=blue.tenant, password=PASSWORD)
    assert client.get("/api/v1/me", headers=jane.headers).status_code == 200
    assert told(client.post(f"/api/v1/auth/{forgot}", json={"email": " Jane@Example.com"})) == (
        202,
        {"status": "accepted"},
    )
    token = token_of(db, "reset", "reset")
    bad = client.post(f"/api/v1/auth/{reset}", json={"token": token, "password": "password1234"})
    assert code_of(bad) == (422, "invalid_request")
    done = client.post(f"/api/v1/auth/{reset}", json={"token": token, "password": NEW})
    assert told(done) == (200, {"id": jane.id, "email": JANE})
    again = client.post(f"/api/v1/auth/{reset}", json={"token": token, "password": f"{NEW} again"})
    assert code_of(again) == (404, "link_not_valid")
    login = {"email": JANE, "password": NEW}
    assert client.post("/api/v1/auth/login", json=login).status_code == 200
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": jane.refresh_token})
    assert refreshed.status_code == 401
    with db.read() as session:
        assert verify_password(session.get_one(MemberRow, jane.id).password_hash, NEW)


def test_an_unknown_address_has_the_answer_of_a_known_one(client: Client, db: ControlDb) -> None:
    person(db, JANE, now=NOW, password=PASSWORD)
    known, unknown = (
        client.post("/api/v1/auth/password/forgot", json={"email": email}) for email in (JANE, "nobody@example.com")
    )
    assert told(known) == told(unknown)
    assert len(mails(db, JANE)) == 1
    assert mails(db, "nobody@example.com") == []
    assert code_of(client.post("/api/v1/auth/password/forgot", json={"email": "no address"})) == (
        422,
        "invalid_request",
    )


FORGOT = {
    "/api/v1/auth/password/forgot": ("application/json", b'{"email": "jane@example.com"}'),
    "/forgot": ("application/x-www-form-urlencoded", b"email=jane%40example.com"),
}


@pytest.mark.parametrize("path", FORGOT)
def test_the_answer_is_out_before_anybody_looks_for_the_address(
    client: Client, app: FastAPI, db: ControlDb, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    person(db, JANE, now=NOW, password=PASSWORD)
    order: list[str] = []
    kind, body = FORGOT[path]

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            order.append("answered")

    monkeypatch.setattr(resets, "ask_for_reset", lambda *_, **__: order.append("looked"))

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"content-type", kind.encode()),
            (b"host", b"127.0.0.1:8000"),
            (b"sec-fetch-site", b"same-origin"),
        ],
        "client": ("192.0.2.9", 1),
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "root_path": "",
    }
    client.run(lambda: app(scope, receive, send))
    assert order == ["answered", "looked"]


def test_one_address_asks_for_no_links_without_end(client: Client, db: ControlDb) -> None:
    answers = [
        client.post("/api/v1/auth/password/forgot", json={"email": f"nobody{number}@example.com"})
        for number in range(25)
    ]
    statuses = [answer.status_code for answer in answers]
    assert (statuses[0], statuses[-1]) == (202, 429)
    assert "retry-after" in answers[-1].headers


def test_an_address_is_verified(client: Client, db: ControlDb) -> None:
    signup = {"email": JANE, "password": PASSWORD, "tenant": {"name": "Red", "slug": "red-shop"}}
    made = client.post("/api/v1/auth/signup", json=signup).json()
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    assert told(client.post("/api/v1/auth/verify/resend", headers=headers)) == (202, {"status": "accepted"})
    token = token_of(db, "verify", "verify")
    assert told(client.post("/api/v1/auth/verify", json={"token": token})) == (
        200,
        {"id": made["user"]["id"], "email": JANE},
    )
    assert client.get("/api/v1/me", headers=headers).json()["user"]["email_verified"] is True
    before = len(mails(db, JANE))
    assert client.post("/api/v1/auth/verify/resend", headers=headers).status_code == 202
    assert len(mails(db, JANE)) == before
    assert code_of(client.post("/api/v1/auth/verify", json={"token": token})) == (404, "link_not_valid")
    assert code_of(client.post("/api/v1/auth/verify/resend")) == (401, "unauthenticated")


def test_links_take_no_query_that_they_do_not_have(client: Client) -> None:
    for path in ("password/forgot", "password/reset", "verify"):
        assert client.post(f"/api/v1/auth/{path}?x=1", json={}).status_code == 422
    assert client.get("/api/v1/invites/token/x?y=1").status_code == 422
