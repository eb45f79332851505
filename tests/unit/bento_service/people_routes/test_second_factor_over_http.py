"""One's own second factor over HTTP: set up with the password, confirmed, asked for at every log-in, and lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyotp
import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.people import PASSWORD, Person, person
from tests.unit.bento_service.shop import NOW, Shop

pytestmark = pytest.mark.databases
PATH = "/api/v1/me/second-factor"
STEP = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr("bento_service.access.logging_in.asyncio.sleep", at_once)


@pytest.fixture
def jane(db: ControlDb, blue: Shop) -> Person:
    return person(db, "jane@example.com", now=NOW, tenant=blue.tenant, password=PASSWORD)


def set_up(client: Client, who: Person) -> tuple[pyotp.TOTP, list[str]]:
    """Set a factor up, confirmed by the code of a step before the present one, so that two more can be used."""
    begun = client.post(PATH, json={"password": PASSWORD}, headers=who.headers)
    assert begun.status_code == 201, begun.text
    assert begun.headers["cache-control"] == "no-store"
    totp = pyotp.TOTP(begun.json()["secret"])
    done = client.post(f"{PATH}/confirm", json={"code": totp.at(NOW - STEP)}, headers=who.headers)
    assert done.status_code == 200, done.text
    return totp, done.json()["recovery_codes"]


def log_in(client: Client, **more: Any) -> Any:
    return client.post("/api/v1/auth/login", json={"email": "jane@example.com", "password": PASSWORD, **more})


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_log_in_takes_a_code_once_the_factor_is_confirmed(client: Client, jane: Person) -> None:
    assert client.get(PATH, headers=jane.headers).json() == {
        "enabled": False,
        "required": False,
        "recovery_codes_left": 0,
    }
    assert client.post(PATH, headers=jane.headers).status_code == 422
    assert code_of(client.post(PATH, json={"password": "not the password"}, headers=jane.headers))[0] == 401
    assert code_of(client.post(f"{PATH}/confirm", json={"code": "123456"}, headers=jane.headers)) == (409, "conflict")
    totp, codes = set_up(client, jane)
    assert client.get(PATH, headers=jane.headers).json()["recovery_codes_left"] == 10
    assert code_of(log_in(client)) == (401, "second_factor_required")
    assert code_of(log_in(client, code="000000")) == (401, "second_factor_required")
    assert log_in(client, code=totp.at(NOW)).status_code == 200
    assert code_of(log_in(client, code=totp.at(NOW))) == (401, "second_factor_required")
    assert log_in(client, code=codes[0]).status_code == 200
    assert client.get(PATH, headers=jane.headers).json()["recovery_codes_left"] == 9
    assert code_of(client.post(PATH, json={"password": PASSWORD}, headers=jane.headers)) == (409, "conflict")


def test_codes_are_renewed_and_the_factor_goes_by_a_code(client: Client, jane: Person) -> None:
    nothing = client.request("DELETE", PATH, json={"code": "123456"}, headers=jane.headers)
    assert code_of(nothing) == (409, "conflict")
    totp, codes = set_up(client, jane)
    wrong = client.post(f"{PATH}/recovery-codes", json={"code": "000000"}, headers=jane.headers)
    assert code_of(wrong) == (422, "invalid_request")
    renewed = client.post(f"{PATH}/recovery-codes", json={"code": totp.at(NOW)}, headers=jane.headers)
    assert set(renewed.json()["recovery_codes"]).isdisjoint(codes)
    assert client.request("DELETE", PATH, json={"code": codes[0]}, headers=jane.headers).status_code == 422
    gone = client.request("DELETE", PATH, json={"code": totp.at(NOW + STEP)}, headers=jane.headers)
    assert (gone.status_code, gone.json()["enabled"]) == (200, False)
    assert log_in(client).status_code == 200
    assert client.post("/api/v1/auth/refresh", json={"refresh_token": jane.refresh_token}).status_code == 401


def test_nobody_guesses_codes_without_end(client: Client, jane: Person) -> None:
    set_up(client, jane)
    answers = [
        client.request("DELETE", PATH, json={"code": f"{number:06}"}, headers=jane.headers).status_code
        for number in range(8)
    ]
    assert answers[0] == 422
    assert answers[-1] == 429


def test_an_invitation_is_accepted_with_the_code_too(client: Client, db: ControlDb, jane: Person, green: Shop) -> None:
    from tests.unit.resources.people.parts import mails

    totp, _ = set_up(client, jane)
    client.post("/api/v1/invites", json={"email": jane.email, "role": "viewer"}, headers=green.headers)
    (mail,) = (mail for mail in mails(db, jane.email) if mail.template == "invited")
    token = (mail.body or "").partition("/invite/")[2].split()[0]
    path = f"/api/v1/invites/token/{token}/accept"
    assert code_of(client.post(path, json={"password": PASSWORD})) == (401, "second_factor_required")
    assert client.post(path, json={"password": PASSWORD, "code": totp.at(NOW)}).status_code == 200


def test_the_office_does_nothing_without_one_where_it_is_demanded(
    settings: Settings, db: ControlDb, lake: Lake
) -> None:
    boss = person(db, "boss@example.com", now=NOW, office="super_admin", password=PASSWORD)
    strict = settings.model_copy(update={"office_second_factor": "required"})
    app: FastAPI = create_app(strict, db, lake, lambda: NOW)
    with client_of(app) as client:
        assert code_of(client.get("/api/v1/admin/people", headers=boss.headers)) == (403, "second_factor_missing")
        assert client.get(PATH, headers=boss.headers).json()["required"] is True
        set_up(client, boss)
    again = create_app(strict, db, lake, lambda: NOW)
    with client_of(again) as client:  # a worker that has not seen the token yet
        assert client.get("/api/v1/admin/people", headers=boss.headers).status_code == 200
        reset = client.request("DELETE", f"/api/v1/admin/people/{boss.id}/second-factor", headers=boss.headers)
        assert reset.json()["second_factor"] is False
    for each in (app, again):
        each.state.services.decisions.close()
