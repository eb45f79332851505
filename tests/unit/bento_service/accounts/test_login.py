"""Signing up, logging in and out over HTTP, and what tokens open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tenants import get_tenant
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.people import PASSWORD, person
from tests.unit.bento_service.shop import NOW, Shop

SHOP = {"name": "Red Shop", "slug": "red-shop", "currency": "eur", "timezone": "Europe/Berlin"}
JANE = {"email": "jane@example.com", "password": PASSWORD}
OTHER = "four words that nobody says"
pytestmark = pytest.mark.databases


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Answers to wrong passwords are not held back, and how long they would have been is noted."""
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("bento_service.access.logging_in.asyncio.sleep", note)
    return waits


def sign_up(client: Client, **changes: Any) -> Any:
    return client.post("/api/v1/auth/signup", json={**JANE, "tenant": SHOP, **changes})


def log_in(client: Client, **changes: Any) -> Any:
    return client.post("/api/v1/auth/login", json={**JANE, **changes})


def bearer(answer: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_who_signs_up_owns_a_shop_and_may_use_it(client: Client, db: ControlDb) -> None:
    made = sign_up(client, name=" Jane ")
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["expires_in"], body["token_type"], body["tenant_id"]) == (900, "Bearer", "red-shop")
    assert body["user"]["email"] == "jane@example.com"
    assert (body["user"]["name"], body["user"]["email_verified"]) == ("Jane", False)
    (membership,) = body["memberships"]
    assert (membership["tenant_id"], membership["role"]) == ("red-shop", "owner")
    assert made.headers["cache-control"] == "no-store"
    assert get_tenant(db, TenantId("red-shop")).currency == "EUR"
    key = {"name": "web", "scopes": ["recommendations:read"]}
    assert client.post("/api/v1/api-keys", json=key, headers=bearer(made)).status_code == 201
    me = client.get("/api/v1/me", headers=bearer(made)).json()
    assert (me["role"], me["tenant_id"], me["office_permissions"]) == ("owner", "red-shop", [])
    assert "keys:write" in me["permissions"]
    assert client.get("/api/v1/auth/me", headers=bearer(made)).json() == me


def test_a_taken_id_proposes_three(client: Client, blue: Shop) -> None:
    answer = sign_up(client, tenant={**SHOP, "slug": "blue"})
    assert code_of(answer) == (409, "conflict")
    proposed = answer.json()["error"]["details"][0]["message"].rpartition(": ")[2].split(", ")
    assert len(set(proposed)) == 3
    assert sign_up(client, tenant={**SHOP, "slug": proposed[0]}).status_code == 201


def test_a_known_address_signs_up_another_shop_with_its_password_alone(client: Client) -> None:
    sign_up(client)
    wrong = sign_up(client, password=OTHER, tenant={**SHOP, "slug": "second"})
    assert wrong.json()["error"] | {"request_id": ""} == log_in(client, password=OTHER).json()["error"] | {
        "request_id": ""
    }
    assert wrong.status_code == 401
    second = sign_up(client, tenant={**SHOP, "slug": "second"})
    assert second.status_code == 201, second.text
    assert second.json()["tenant_id"] == "second"
    assert [each["tenant_id"] for each in second.json()["memberships"]] == ["red-shop", "second"]


@pytest.mark.parametrize("wrong", [{"password": "short"}, {"name": "two\nlines"}])
def test_what_no_account_could_have_does_not_tell_who_has_one(client: Client, wrong: dict[str, str]) -> None:
    sign_up(client)
    known, unknown = (
        sign_up(client, **{"email": email, "tenant": {**SHOP, "slug": "second"}, **wrong})
        for email in (JANE["email"], "nobody@example.com")
    )
    assert known.status_code == unknown.status_code == 422
    assert known.json()["error"] | {"request_id": ""} == unknown.json()["error"] | {"request_id": ""}


@pytest.mark.parametrize(("mode", "host"), [("closed", "127.0.0.1"), ("invited", "127.0.0.1"), ("", "0.0.0.0")])
def test_signing_up_can_be_switched_off(settings: Settings, db: ControlDb, lake: Lake, mode: str, host: str) -> None:
    app = create_app(settings.model_copy(update={"signup": mode, "host": host}), db, lake, lambda: NOW)
    with client_of(app) as client:
        assert code_of(sign_up(client)) == (403, "forbidden")
    app.state.services.decisions.close()
    assert settings.signup_mode == "open"


def test_shops_that_sign_up_are_on_the_plan_of_the_settings(settings: Settings, db: ControlDb, lake: Lake) -> None:
    for plan, slug in (("", "first"), ("free", "second"), ("gone", "third")):
        app = create_app(settings.model_copy(update={"signup_plan": plan}), db, lake, lambda: NOW)
        with client_of(app) as client:
            answer = sign_up(client, tenant={**SHOP, "slug": slug})
        app.state.services.decisions.close()
        if plan == "gone":
            assert code_of(answer) == (403, "forbidden")
            assert "RECSAAS_SIGNUP_PLAN" in answer.text
        else:
            assert answer.status_code == 201, answer.text
            assert get_tenant(db, TenantId(slug)).plan == (plan or None)


@pytest.mark.parametrize(
    ("password", "told"),
    [("short", "12 to 200"), ("x y" * 67, "12 to 200"), ("password2024!", "tried first"), ("jane was here 7", "name")],
)
def test_passwords_that_are_refused(client: Client, password: str, told: str) -> None:
    answer = sign_up(client, password=password)
    assert answer.status_code == 422
    assert told in answer.json()["error"]["message"]
    assert password not in answer.text


def test_a_wrong_password_and_an_unknown_address_are_one_answer(client: Client, monkeypatch: Any) -> None:
    sign_up(client)
    hashed: list[str | None] = []
    from resources.sessions import login

    verify = login.verify_password
    monkeypatch.setattr(login, "verify_password", lambda stored, given: hashed.append(stored) or verify(stored, given))
    answers = [log_in(client, password=OTHER), log_in(client, email="nobody@example.com")]
    assert [code_of(each) for each in answers] == [(401, "wrong_login")] * 2
    messages = {each.json()["error"]["message"] for each in answers}
    assert len(messages) == 1
    assert len(hashed) == 2  # one hash is computed either way, so that the time tells nothing
    assert hashed[0] is not None and hashed[1] is None


def test_an_address_has_one_form(client: Client) -> None:
    assert sign_up(client, email=" Jane@EXAMPLE.com ").status_code == 201
    assert log_in(client, email="jAnE@example.COM").status_code == 200
    assert code_of(log_in(client, email="jane")) == (422, "invalid_request")


def test_failures_are_answered_later_and_later_and_then_not_at_all(client: Client, _no_waits: list[float]) -> None:
    sign_up(client)
    _no_waits.clear()
    for _ in range(4):
        assert code_of(log_in(client, email="john@example.com")) == (401, "wrong_login")
    assert _no_waits == [0.0, 0.25, 0.5, 1.0]
    log_in(client, email="john@example.com")
    answer = log_in(client, email="john@example.com")
    assert code_of(answer) == (429, "too_many_attempts")
    assert answer.headers["retry-after"] == "900"
    assert "15 minutes" in answer.json()["error"]["message"]
    assert log_in(client).status_code == 200  # another account, from the same address


def test_the_last_shop_comes_first_and_another_can_be_named(client: Client) -> None:
    sign_up(client)
    sign_up(client, tenant={**SHOP, "slug": "second"})
    first = log_in(client, tenant_id="red-shop").json()
    assert first["tenant_id"] == "red-shop"
    assert code_of(log_in(client, tenant_id="blue")) == (403, "forbidden")
    switched = client.post(
        "/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"], "tenant_id": "second"}
    )
    assert switched.json()["tenant_id"] == "second"
    body = {"items": []}
    assert client.post("/api/v1/items", json=body, headers=bearer(switched)).status_code in (200, 422)
    refused = client.post("/api/v1/auth/refresh", json={"refresh_token": switched.json()["refresh_token"], "tenant_id": "blue"})  # fmt: skip # noqa: E501
    assert code_of(refused) == (403, "forbidden")
    assert client.post(
        "/api/v1/auth/refresh", json={"refresh_token": switched.json()["refresh_token"]}
    ).status_code == 200  # fmt: skip


def test_logging_out_ends_both_tokens(client: Client, app: FastAPI) -> None:
    made = sign_up(client)
    sent = {"refresh_token": made.json()["refresh_token"]}
    assert client.get("/api/v1/me", headers=bearer(made)).status_code == 200
    assert client.post("/api/v1/auth/logout", json=sent).status_code == 204
    assert client.post("/api/v1/auth/logout", json=sent).status_code == 204
    assert code_of(client.post("/api/v1/auth/refresh", json=sent)) == (401, "unauthenticated")
    app.state.services.members._tokens.clear()  # as time does
    assert code_of(client.get("/api/v1/me", headers=bearer(made))) == (401, "unauthenticated")


def test_a_new_password_ends_what_the_old_one_began(client: Client, app: FastAPI) -> None:
    made, other = sign_up(client), log_in(client)
    change = {"current_password": PASSWORD, "new_password": OTHER}
    wrong = {**change, "current_password": OTHER}
    assert code_of(client.post("/api/v1/auth/password/change", json=wrong, headers=bearer(made))) == (
        401,
        "wrong_login",
    )
    same = {**change, "new_password": PASSWORD}
    assert client.post("/api/v1/auth/password/change", json=same, headers=bearer(made)).status_code == 422
    changed = client.post("/api/v1/auth/password/change", json=change, headers=bearer(made))
    assert changed.status_code == 200, changed.text
    app.state.services.members._tokens.clear()
    for old in (made, other):
        assert client.get("/api/v1/me", headers=bearer(old)).status_code == 401
        sent = {"refresh_token": old.json()["refresh_token"]}
        assert client.post("/api/v1/auth/refresh", json=sent).status_code == 401
    assert client.get("/api/v1/me", headers=bearer(changed)).status_code == 200
    assert log_in(client).status_code == 401
    assert log_in(client, password=OTHER).status_code == 200


def test_sessions_are_listed_and_end_one_by_one(client: Client, app: FastAPI, db: ControlDb, blue: Shop) -> None:
    first, second = sign_up(client), log_in(client)
    listed = client.get("/api/v1/me/sessions", headers=bearer(second)).json()["sessions"]
    assert len(listed) == 2
    (current,) = [each for each in listed if each["current"]]
    (elsewhere,) = [each for each in listed if not each["current"]]
    assert elsewhere["kind"] == "token"
    somebody = person(db, "john@example.com", now=NOW, tenant=blue.tenant)
    url = f"/api/v1/me/sessions/{elsewhere['id']}"
    assert client.request("DELETE", url, headers=somebody.headers).status_code == 404
    assert client.request("DELETE", url, headers=bearer(second)).status_code == 204
    assert client.request("DELETE", url, headers=bearer(second)).status_code == 404
    app.state.services.members._tokens.clear()
    assert client.get("/api/v1/me", headers=bearer(first)).status_code == 401
    left = client.get("/api/v1/me/sessions", headers=bearer(second)).json()["sessions"]
    assert [each["id"] for each in left] == [current["id"]]


def test_a_name_is_changed(client: Client) -> None:
    headers = bearer(sign_up(client))
    assert client.request("PATCH", "/api/v1/me", json={"name": "Jane Doe"}, headers=headers).status_code == 200
    assert client.get("/api/v1/me", headers=headers).json()["user"]["name"] == "Jane Doe"
    answer = client.request("PATCH", "/api/v1/me", json={"nam": "x"}, headers=headers)
    assert "did you mean name?" in answer.text


def test_ten_refreshes_at_once_do_not_end_a_log_in(client: Client, app: FastAPI) -> None:
    token = sign_up(client).json()["refresh_token"]
    http = client._http

    async def at_once() -> list[Any]:
        ask = lambda: http.post("/api/v1/auth/refresh", json={"refresh_token": token})  # noqa: E731
        return await asyncio.gather(*(ask() for _ in range(10)))

    answers = client.run(at_once)
    assert [each.status_code for each in answers] == [200] * 10
    tokens = {each.json()["refresh_token"] for each in answers}
    assert len(tokens) == 10
    for each in tokens:
        assert client.post("/api/v1/auth/refresh", json={"refresh_token": each}).status_code == 200


def test_who_logs_in_and_who_fails_is_in_the_audit_log(client: Client, db: ControlDb) -> None:
    sign_up(client)
    log_in(client, password=OTHER)
    log_in(client)
    with db.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.seq)).all()
    actions = [(row.chain, row.action) for row in rows]
    assert ("red-shop", "tenant.create") in actions
    of_shop = [action for chain, action in actions if chain == "red-shop"]
    assert of_shop == ["tenant.create", "member.create", "member.add", "session.begin", "session.begin"]
    assert actions[-2:] == [("*", "login.refuse"), ("red-shop", "session.begin")] or actions[-2][1] == "login.refuse"
    assert rows[-1].actor_name == "jane@example.com"
    assert OTHER not in str([row.__dict__ for row in rows])


def test_no_secret_is_logged(client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = sign_up(client)
    log_in(client, password=OTHER)
    log_in(client, email="not an address")
    client.get("/api/v1/me", headers=bearer(made))
    client.post("/api/v1/auth/refresh", json={"refresh_token": made.json()["refresh_token"]})
    client.get("/api/v1/me", headers={"Authorization": f"Bearer {made.json()['access_token']}x"})
    logged = capsys.readouterr().out
    secrets = (PASSWORD, OTHER, made.json()["refresh_token"], made.json()["access_token"], "jane@example.com")
    assert '"route": "/api/v1/auth/login"' in logged
    assert not [each for each in secrets if each in logged]


def test_bodies_are_read_as_on_other_routes(client: Client) -> None:
    for path in ("signup", "login", "refresh", "logout"):
        url = f"/api/v1/auth/{path}"
        assert client.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        assert client.post(url, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        answer = client.post(url, json={"nonsense": 1})
        assert answer.status_code == 422
        assert "nonsense" in answer.text
        assert client.post(f"{url}?x=1", json=JANE).json()["error"]["details"][0]["field"] == "x"
