"""The platform's operators make, change, count, erase and export tenants; a shop exports itself."""

from __future__ import annotations

import io
import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from resources.access.scopes import PLATFORM
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import InviteRow
from resources.control_db.tenants import get_tenant
from resources.tenancy.erasing import TenantEraser, tenant_erasure_runner
from resources.tenants.stored_settings import read_settings
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop

TENANTS = "/api/v1/admin/tenants"
NEW = {
    "slug": "red-shop",
    "name": " Red Shop ",
    "currency": "eur",
    "timezone": "Europe/Berlin",
    "settings": {"training.model_type": "two_tower"},
    "owner_email": "Owner@example.com",
}


@pytest.fixture
def operator(blue: Shop) -> dict[str, str]:
    return blue.key_with(PLATFORM)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def actions(db: ControlDb, tenant: str) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(AuditRow.action).where(AuditRow.chain == tenant).order_by(AuditRow.number)))


def forget(app: FastAPI) -> None:
    app.state.services.keys._keys.clear()


def test_a_tenant_is_made_once_however_often_it_is_asked_for(
    client: Client, operator: dict[str, str], green: Shop
) -> None:
    first = client.post(TENANTS, json=NEW, headers=operator)
    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["id"], made["name"], made["currency"], made["timezone"]) == (
        "red-shop",
        "Red Shop",
        "EUR",
        "Europe/Berlin",
    )
    assert made["settings"]["training"]["model_type"] == "two_tower"
    for _ in range(2):
        again = client.post(TENANTS, json=NEW, headers=operator)
        assert (again.status_code, again.json()) == (201, made)
    landing = Path(str(green.lake.landing(TenantId("red-shop"), "items")))
    landing.rmdir()
    client.post(TENANTS, json=NEW, headers=operator)
    assert landing.is_dir()  # whatever is missing is made
    assert actions(green.db, "red-shop").count("tenant.create") == 1
    with green.db.read() as session:
        invites = session.scalars(select(InviteRow)).all()
    assert [(each.tenant_id, each.email, each.role) for each in invites] == [("red-shop", "owner@example.com", "owner")]
    other = client.post(TENANTS, json={**NEW, "name": "Another"}, headers=operator)
    assert code_of(other) == (409, "conflict")
    stranger = client.post(TENANTS, json=NEW, headers=green.key_with(PLATFORM))
    assert code_of(stranger) == (409, "conflict")
    assert "red-shop-shop, red-shop-store, red-shop-eu" in stranger.json()["error"]["message"]


def test_with_a_key_the_same_request_is_answered_as_before_also_after_a_change(
    client: Client, operator: dict[str, str]
) -> None:
    headers = {**operator, "Idempotency-Key": "k1"}
    body = {"slug": "red-shop", "name": "Red"}
    assert client.post(TENANTS, json=body, headers=headers).status_code == 201
    assert (
        client.request("PATCH", f"{TENANTS}/red-shop", json={"name": "Redder"}, headers=operator).json()["name"]
        == "Redder"
    )
    assert client.post(TENANTS, json=body, headers=headers).json()["name"] == "Redder"
    assert code_of(client.post(TENANTS, json={**body, "name": "X"}, headers=headers)) == (409, "conflict")
    assert code_of(client.post(TENANTS, json=body, headers=operator)) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "Red Shop"}, ""),
        ({"slug": "admin"}, "slug"),
        ({"slug": "www"}, "slug"),
        ({"slug": "-red"}, ""),
        ({"slug": "x" * 64}, "slug"),
        ({"name": "  "}, ""),
        ({"name": "a\0b"}, "name"),
        ({"currency": "XXQ"}, "currency"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"plan": "no-such-plan"}, "plan"),
        ({"settings": {"training.no_such": 1}}, "training.no_such"),
        ({"owner_email": "nobody"}, "email"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_does_not_fit_is_refused_and_makes_nothing(
    client: Client, operator: dict[str, str], green: Shop, change: dict[str, Any], field: str
) -> None:
    answer = client.post(TENANTS, json={**NEW, **change}, headers=operator)
    assert code_of(answer) == (422, "invalid_request")
    assert not field or any(field in each["field"] for each in answer.json()["error"]["details"]), answer.text
    assert {each["id"] for each in client.get(TENANTS, headers=operator).json()["tenants"]} == {"blue", "green"}


def test_tenants_are_listed_in_pages_shown_and_changed(
    client: Client, operator: dict[str, str], green: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-1", "c-3", "b-2"):
        client.post(TENANTS, json={"slug": name, "name": name}, headers=operator)
    ids, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{TENANTS}?limit=2{cursor and f'&cursor={cursor}'}", headers=operator).json()
        ids += [each["id"] for each in page["tenants"]]
        cursor = page["next_cursor"]
    assert ids == ["a-1", "b-2", "blue", "c-3", "green"]
    read: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "resources.control_db.tenants.read_settings", lambda each: read.append(each) or read_settings(each)
        )
        client.get(f"{TENANTS}?limit=2", headers=operator)
    assert len(read) == 3  # one more than shown: whether there is another page
    change = {"currency": "CHF", "settings": {"training.search": True}}
    changed = client.request("PATCH", f"{TENANTS}/b-2", json=change, headers=operator).json()
    assert (changed["currency"], changed["settings"]["training"]["search"]) == ("CHF", True)
    assert client.get(f"{TENANTS}/b-2", headers=operator).json() == changed
    assert (
        client.request("PATCH", f"{TENANTS}/b-2", json={"currency": None}, headers=operator).json()["currency"] is None
    )
    with green.db.read() as session:
        entry = session.scalars(
            select(AuditRow).where(AuditRow.chain == "b-2", AuditRow.action == "tenant.edit").order_by(AuditRow.number)
        ).first()
    assert entry is not None and (entry.before, entry.after) == (
        {"currency": None, "settings": {**entry.before["settings"]}},
        {"currency": "CHF", "settings": {**entry.after["settings"]}},
    )
    assert code_of(client.request("PATCH", f"{TENANTS}/b-2", json={}, headers=operator)) == (422, "invalid_request")
    assert code_of(client.get(f"{TENANTS}/nobody", headers=operator)) == (404, "tenant_not_found")


def test_a_plan_is_one_that_there_is(client: Client, operator: dict[str, str], green: Shop) -> None:
    assert (
        client.request("PATCH", f"{TENANTS}/green", json={"plan": "unlimited"}, headers=operator).json()["plan"]
        == "unlimited"
    )
    assert "tenant.plan" in actions(green.db, "green")
    assert code_of(client.request("PATCH", f"{TENANTS}/green", json={"plan": "x"}, headers=operator)) == (
        422,
        "invalid_request",
    )
    assert client.request("PATCH", f"{TENANTS}/green", json={"plan": None}, headers=operator).json()["plan"] is None


def test_what_a_tenant_has_is_counted_to_a_limit(
    client: Client, operator: dict[str, str], green: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.tenancy.summary.MOST", 3)
    for number in range(5):
        event = {"user_id": f"u{number}", "item_id": "g1", "interaction_type": "view"}
        assert client.post("/events", json=event, headers=green.headers).status_code == 200
    counted = client.get(f"{TENANTS}/green/summary", headers=operator).json()
    assert counted["events"] == {"count": 3, "capped": True}
    assert counted["releases"] == {"count": 1, "capped": False} and counted["live_release"] == green.versions[0]
    assert counted["files"] == {"count": 3, "capped": True} and counted["bytes"] > 0
    assert counted["members"] == {"count": 0, "capped": False}


def test_a_suspended_shop_is_told_why(client: Client, app: FastAPI, operator: dict[str, str], green: Shop) -> None:
    why = {"reason": "The invoice of May is open."}
    stopped = client.post(f"{TENANTS}/green/suspend", json=why, headers=operator).json()
    assert (stopped["status"], stopped["suspended_reason"]) == ("suspended", why["reason"])
    forget(app)
    for method, path in (("GET", "/recommend/u1"), ("GET", "/api/v1/uploads"), ("GET", "/api/v1/api-keys")):
        answer = client.request(method, path, headers=green.headers)
        assert code_of(answer) == (403, "forbidden")
        assert "Tenant green is suspended: The invoice of May is open." in answer.json()["error"]["message"]
    assert client.post(f"{TENANTS}/green/resume", headers=operator).json()["suspended_reason"] is None
    assert actions(green.db, "green")[-2:] == ["tenant.suspend", "tenant.resume"]


def test_a_tenant_is_erased_after_its_time_of_grace_and_not_before(
    client: Client, app: FastAPI, operator: dict[str, str], green: Shop, tmp_path: Path
) -> None:
    assert code_of(client.request("DELETE", f"{TENANTS}/green?now=true", headers=operator)) == (409, "conflict")
    asked = client.request("DELETE", f"{TENANTS}/green", json={"reason": "They left."}, headers=operator)
    assert asked.status_code == 202 and asked.json()["status"] == "suspended"
    until = datetime.fromisoformat(asked.json()["erase_after"])
    assert until == NOW + timedelta(days=7)
    again = client.request("DELETE", f"{TENANTS}/green", headers=operator).json()
    assert again["erase_after"] == asked.json()["erase_after"]
    assert code_of(client.get(f"{TENANTS}/green/certificate", headers=operator)) == (404, "erasure_not_found")
    services = app.state.services
    for now, ended in ((until - timedelta(seconds=1), False), (until + timedelta(seconds=1), True)):
        eraser = TenantEraser(services.lake, services.db, services.decisions.store, lambda at=now: at, tmp_path)
        runner = tenant_erasure_runner(eraser)
        job = runner.claim()
        assert (job is not None) == ended
        if job is not None:
            assert runner.run(job) is not None
    certificate = client.get(f"{TENANTS}/green/certificate", headers=operator).json()
    assert all(place["left"] == 0 for place in certificate["places"]) and len(certificate["sha256"]) == 64
    left = client.get(f"{TENANTS}/green", headers=operator).json()
    assert (left["name"], left["status"]) == ("", "retired") and left["erased_at"] is not None
    assert [each["id"] for each in client.get(TENANTS, headers=operator).json()["tenants"]] == ["blue"]
    taken = client.post(TENANTS, json={"slug": "green", "name": "Green again"}, headers=operator)
    assert code_of(taken) == (409, "conflict")
    forget(app)
    assert client.get("/recommend/u1", headers=green.headers).status_code == 401


def test_a_shop_exports_itself(client: Client, app: FastAPI, green: Shop, blue: Shop) -> None:
    asked = client.post("/api/v1/shop/exports", headers=green.headers)
    assert asked.status_code == 202
    place = asked.headers["location"]
    assert code_of(client.post("/api/v1/shop/exports", headers=green.headers)) == (409, "conflict")
    assert code_of(client.get(f"{place}/file", headers=green.headers)) == (409, "conflict")
    while app.state.services.job_worker.run_next():
        pass
    done = client.get(place, headers=green.headers).json()
    assert (done["status"], done["progress"], done["releases"]) == ("completed", 1.0, 1)
    file = client.get(done["download_url"], headers=green.headers)
    assert len(file.content) == done["bytes"] == int(file.headers["content-length"])
    assert actions(green.db, "green").count("tenant.export_read") == 1
    with tarfile.open(fileobj=io.BytesIO(file.content)) as tar:
        assert f"releases/{green.versions[0]}/manifest.json" in tar.getnames()
    for path in (place, f"{place}/file"):
        assert code_of(client.get(path, headers=blue.headers)) == (404, "export_not_found")
    assert [
        each["export_id"] for each in client.get("/api/v1/shop/exports", headers=green.headers).json()["exports"]
    ] == [done["export_id"]]
    assert actions(green.db, "green").count("tenant.export") == 1
    assert actions(green.db, "green").count("tenant.export_read") == 1  # by whom there was a file for


def test_an_archive_goes_when_a_user_in_it_is_erased(client: Client, app: FastAPI, green: Shop) -> None:
    place = client.post("/api/v1/shop/exports", headers=green.headers).headers["location"]
    while app.state.services.job_worker.run_next():
        pass
    assert client.request("DELETE", "/api/v1/users/u1", headers=green.headers).status_code == 200
    gone = client.get(place, headers=green.headers).json()
    assert (gone["download_url"], gone["error"]) == (None, "user_erased")
    assert code_of(client.get(f"{place}/file", headers=green.headers)) == (404, "export_not_found")


def test_an_operator_exports_a_tenant_also_while_it_is_suspended(
    client: Client, app: FastAPI, operator: dict[str, str], green: Shop
) -> None:
    client.post(f"{TENANTS}/green/suspend", headers=operator)
    place = client.post(f"{TENANTS}/green/exports", headers=operator).headers["location"]
    assert place.startswith(f"{TENANTS}/green/exports/archive-")
    while app.state.services.job_worker.run_next():
        pass
    done = client.get(place, headers=operator).json()
    assert done["status"] == "completed"
    assert client.get(done["download_url"], headers=operator).status_code == 200
    assert actions(green.db, "green").count("tenant.export_read") == 1
    assert code_of(client.post(f"{TENANTS}/nobody/exports", headers=operator)) == (404, "tenant_not_found")


def test_an_owner_closes_the_shop_and_opens_it_again(client: Client, app: FastAPI, green: Shop, blue: Shop) -> None:
    owner = person(green.db, "owner@example.com", now=NOW, tenant=green.tenant)
    admin = person(green.db, "admin@example.com", now=NOW, tenant=green.tenant, role="admin")
    for headers in (green.headers, admin.headers):
        assert code_of(client.request("DELETE", "/api/v1/shop", headers=headers)) == (403, "forbidden")
        assert code_of(client.post("/api/v1/shop/reopen", headers=headers)) == (403, "forbidden")
    assert get_tenant(green.db, green.tenant).status == "active"
    closed = client.request("DELETE", "/api/v1/shop", headers=owner.headers)
    until = (NOW + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert (closed.status_code, closed.json()) == (202, {"id": "green", "status": "suspended", "erase_after": until})
    forget(app)
    refused = client.get("/recommend/u1", headers=green.headers)
    assert code_of(refused) == (403, "forbidden") and "Closed by its owner" in refused.text
    assert code_of(client.post("/api/v1/shop/reopen", headers=admin.headers)) == (403, "forbidden")
    opened = client.post("/api/v1/shop/reopen", headers=owner.headers)
    assert (opened.status_code, opened.json()) == (200, {"id": "green", "status": "active", "erase_after": None})
    forget(app)
    assert client.get("/recommend/u1", headers=green.headers).status_code == 200
    client.post(f"{TENANTS}/green/suspend", headers=blue.key_with(PLATFORM))
    assert code_of(client.post("/api/v1/shop/reopen", headers=owner.headers)) == (409, "conflict")
    assert actions(green.db, "green")[-3:] == ["tenant.erase_request", "tenant.resume", "tenant.suspend"]


def test_people_of_a_suspended_shop_read_and_write_nothing(client: Client, app: FastAPI, green: Shop) -> None:
    owner = person(green.db, "owner@example.com", now=NOW, tenant=green.tenant)
    client.post("/api/v1/admin/tenants/green/suspend", headers=green.headers)
    app.state.services.members._tokens.clear()
    for path in ("/api/v1/uploads", "/api/v1/items", "/api/v1/api-keys", "/api/v1/shop/exports", "/api/v1/me"):
        assert client.get(path, headers=owner.headers).status_code == 200, path
    event = {"user_id": "u1", "item_id": "g1", "interaction_type": "view"}
    for method, path, body in (
        ("POST", "/events", event),
        ("POST", "/api/v1/rules", {"kind": "hide", "target": {"category": "Audio"}}),
        ("POST", "/api/v1/train", {}),
        ("GET", "/recommend/u1", None),
        ("POST", "/api/v1/recommendations", {"user_id": "u1"}),
    ):
        answer = client.request(method, path, json=body, headers=owner.headers)
        assert code_of(answer) == (403, "forbidden"), path


@pytest.mark.parametrize(
    ("role", "may"), [("super_admin", "all"), ("developer", "read"), ("support_agent", "read"), (None, "nothing")]
)
def test_roles_of_the_platform_do_what_they_may(client: Client, green: Shop, role: Any, may: str) -> None:
    headers = person(green.db, "office@example.com", now=NOW, office=role, tenant=None).headers
    for method, path, body, reads in (
        ("GET", TENANTS, None, True),
        ("GET", f"{TENANTS}/green", None, True),
        ("GET", f"{TENANTS}/green/summary", None, True),
        ("POST", TENANTS, {"slug": "red-shop", "name": "Red"}, False),
        ("PATCH", f"{TENANTS}/green", {"name": "Greener"}, False),
        ("POST", f"{TENANTS}/green/suspend", {"reason": "x"}, False),
        ("POST", f"{TENANTS}/green/resume", None, False),
        ("POST", f"{TENANTS}/green/exports", None, False),
        ("DELETE", f"{TENANTS}/green", {}, False),
    ):
        answer = client.request(method, path, headers=headers, **({} if body is None else {"json": body}))
        allowed = may == "all" or (may == "read" and reads)
        assert (answer.status_code < 300) == allowed, (method, path, answer.text)
        assert allowed or answer.status_code == 403
