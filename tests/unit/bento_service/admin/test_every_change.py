"""Every route that changes something adds one entry to the audit log, and none that changes nothing does.

A table over all routes with unsafe methods: a route without a row fails the first test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.storage.lake import write_json
from tests.unit.bento_service.admin.elsewhere import IN_TESTS_OF_THEIR_OWN
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import Person, person
from tests.unit.bento_service.shop import NOW, Shop

UNSAFE = frozenset({"post", "put", "patch", "delete"})
CSV = "item_id,title\nb9,Nine\n"
RULE = {"kind": "hide", "target": {"brand": "Acme"}}
HOOK = {"url": "https://shop.example.com/hook"}
INVITE = {"email": "guest@example.com", "role": "viewer"}
WHY = "The shop asks why an item is missing"


@dataclass
class World:
    """A shop, an owner of it and somebody of the office, and what the requests need that change something."""

    client: Client
    shop: Shop
    owner: Person
    office: Person
    operator: dict[str, str]

    def send(self, method: str, url: str, who: dict[str, str] | None = None, **options: Any) -> Any:
        headers = {**(self.shop.headers if who is None else who), **options.pop("headers", {})}
        answer = self.client.request(method, url, headers=headers, **options)
        assert answer.status_code < 400, (method, url, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def made(self, url: str, body: dict[str, Any]) -> Any:
        return self.send("POST", url, json=body)


Step = Callable[[World], tuple[str, str, dict[str, Any]]]
"""Makes what a request needs, and returns its method, its address and its options."""


def of_rule(method: str, **options: Any) -> Step:
    return lambda w: (method, f"/api/v1/rules/{w.made('/api/v1/rules', RULE)['id']}", options)


def of_hook(method: str, tail: str = "", **options: Any) -> Step:
    return lambda w: (method, f"/api/v1/webhooks/{w.made('/api/v1/webhooks', HOOK)['id']}{tail}", options)


def plain(method: str, url: str, **options: Any) -> Step:
    return lambda w: (method, url, dict(options))


def a_file(url: str) -> Step:
    return plain("POST", url, files={"file": ("items.csv", CSV)})


def withdrawn(w: World) -> tuple[str, str, dict[str, Any]]:
    sent = w.send("POST", "/api/v1/upload/items", files={"file": ("items.csv", CSV)})
    return "DELETE", f"/api/v1/uploads/{sent['upload_id']}", {}


def revoked(w: World) -> tuple[str, str, dict[str, Any]]:
    made = w.made("/api/v1/api-keys", {"name": "web", "scopes": ["recommendations:read"]})
    return "DELETE", f"/api/v1/api-keys/{made['id']}", {}


def of_key(method: str, tail: str = "", **options: Any) -> Step:
    def step(w: World) -> tuple[str, str, dict[str, Any]]:
        made = w.made("/api/v1/api-keys", {"name": "web", "scopes": ["recommendations:read"]})
        return method, f"/api/v1/api-keys/{made['id']}{tail}", options

    return step


def of_invite(method: str, tail: str = "") -> Step:
    def step(w: World) -> tuple[str, str, dict[str, Any]]:
        made = w.send("POST", "/api/v1/invites", w.owner.headers, json=INVITE)
        return method, f"/api/v1/invites/{made['id']}{tail}", {"who": w.owner.headers}

    return step


def cancelled(w: World) -> tuple[str, str, dict[str, Any]]:
    return "DELETE", f"/api/v1/training/{w.made('/api/v1/train', {})['job_id']}", {}


def reindexed(url: str) -> Step:
    def step(w: World) -> tuple[str, str, dict[str, Any]]:
        write_json(w.shop.lake.tenant(w.shop.tenant).trained_model, {})
        return "POST", url, {}

    return step


def export_removed(w: World) -> tuple[str, str, dict[str, Any]]:
    made = w.made("/api/v1/recommendations/exports", {"count": 1, "format": "csv"})
    return "DELETE", f"/api/v1/recommendations/exports/{made['export_id']}", {}


def delivered_again(w: World) -> tuple[str, str, dict[str, Any]]:
    _, url, _ = of_hook("POST")(w)
    return "POST", f"{url}/deliveries/{w.send('POST', f'{url}/test')['id']}/retry", {}


def mapping_cleared(w: World) -> tuple[str, str, dict[str, Any]]:
    w.send("PUT", "/api/v1/mappings/items", json={"columns": {"Name": "title"}})
    return "DELETE", "/api/v1/mappings/items", {}


def suspended(w: World) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/api/v1/admin/tenants/blue/suspend", {}


def resumed(w: World) -> tuple[str, str, dict[str, Any]]:
    w.send("POST", "/api/v1/admin/tenants/blue/suspend", w.operator)
    return "POST", "/api/v1/admin/tenants/blue/resume", {"who": w.operator}


def acted(url: str) -> Step:
    return lambda w: ("POST", url, {"who": w.office.headers, "json": {"tenant_id": "blue", "reason": WHY}})


def stopped_acting(url: str) -> Step:
    def step(w: World) -> tuple[str, str, dict[str, Any]]:
        w.send("POST", url, w.office.headers, json={"tenant_id": "blue", "reason": WHY})
        return "DELETE", url, {"who": w.office.headers}

    return step


def as_owner(method: str, url: str, **options: Any) -> Step:
    return lambda w: (method, url, {"who": w.owner.headers, **options})


def ended(w: World) -> tuple[str, str, dict[str, Any]]:
    (mine,) = w.send("GET", "/api/v1/me/sessions", w.owner.headers)["sessions"]
    return "DELETE", f"/api/v1/me/sessions/{mine['id']}", {"who": w.owner.headers}


def logged_out(w: World) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/api/v1/auth/logout", {"json": {"refresh_token": w.owner.refresh_token}}


CHANGES: dict[str, tuple[str, Step]] = {
    "POST /api/v1/items": ("items.change", plain("POST", "/api/v1/items", json={"item_id": "b7", "title": "Seven"})),
    "PATCH /api/v1/items/{item_id}": ("items.change", plain("PATCH", "/api/v1/items/b1", json={"price": 3})),
    "DELETE /api/v1/items/{item_id}": ("items.change", plain("DELETE", "/api/v1/items/b1")),
    "POST /api/v1/rules": ("rule.add", plain("POST", "/api/v1/rules", json=RULE)),
    "PATCH /api/v1/rules/{rule_id}": ("rule.change", of_rule("PATCH", json={"note": "ends soon"})),
    "DELETE /api/v1/rules/{rule_id}": ("rule.remove", of_rule("DELETE")),
    "POST /api/v1/upload/{kind}": ("upload.store", a_file("/api/v1/upload/items")),
    "DELETE /api/v1/uploads/{upload_id}": ("upload.withdraw", withdrawn),
    "PUT /api/v1/mappings/{kind}": (
        "settings.change",
        plain("PUT", "/api/v1/mappings/items", json={"columns": {"Name": "title"}}),
    ),
    "DELETE /api/v1/mappings/{kind}": ("settings.change", mapping_cleared),
    "POST /api/v1/train": ("training.ask", plain("POST", "/api/v1/train")),
    "POST /admin/train": ("training.ask", plain("POST", "/admin/train")),
    "POST /api/v1/reindex": ("training.ask", reindexed("/api/v1/reindex")),
    "POST /admin/reindex": ("training.ask", reindexed("/admin/reindex")),
    "DELETE /api/v1/training/{job_id}": ("training.cancel", cancelled),
    "POST /api/v1/recommendations/exports": (
        "recommendation_export.ask",
        plain("POST", "/api/v1/recommendations/exports", json={"count": 1, "format": "csv"}),
    ),
    "DELETE /api/v1/recommendations/exports/{export_id}": ("recommendation_export.cancel", export_removed),
    "POST /api/v1/api-keys": (
        "key.create",
        plain("POST", "/api/v1/api-keys", json={"name": "web", "scopes": ["recommendations:read"]}),
    ),
    "DELETE /api/v1/api-keys/{key_id}": ("key.revoke", revoked),
    "POST /api/v1/admin/tenants/{tenant_id}/suspend": ("tenant.suspend", suspended),
    "POST /api/v1/admin/tenants/{tenant_id}/resume": ("tenant.resume", resumed),
    "POST /api/v1/webhooks": ("webhook.add", plain("POST", "/api/v1/webhooks", json=HOOK)),
    "PATCH /api/v1/webhooks/{webhook_id}": ("webhook.change", of_hook("PATCH", json={"enabled": False})),
    "DELETE /api/v1/webhooks/{webhook_id}": ("webhook.remove", of_hook("DELETE")),
    "POST /api/v1/webhooks/{webhook_id}/rotate-secret": ("webhook.rotate", of_hook("POST", "/rotate-secret")),
    "POST /api/v1/admin/audit/verify": (
        "audit.verify",
        lambda w: ("POST", "/api/v1/admin/audit/verify", {"who": w.operator, "json": {"tenant_id": "blue"}}),
    ),
    "POST /api/v1/admin/impersonate": ("acting.begin", acted("/api/v1/admin/impersonate")),
    "POST /api/v1/admin/act": ("acting.begin", acted("/api/v1/admin/act")),
    "DELETE /api/v1/admin/impersonate": ("acting.end", stopped_acting("/api/v1/admin/impersonate")),
    "DELETE /api/v1/admin/act": ("acting.end", stopped_acting("/api/v1/admin/act")),
    "PATCH /api/v1/api-keys/{key_id}": ("key.change", of_key("PATCH", json={"name": "web 2"})),
    "POST /api/v1/api-keys/{key_id}/rotate": ("key.rotate", of_key("POST", "/rotate", json={"overlap_seconds": 3600})),
    "POST /api/v1/invites": ("invite.create", as_owner("POST", "/api/v1/invites", json=INVITE)),
    "DELETE /api/v1/invites/{invite_id}": ("invite.revoke", of_invite("DELETE")),
    "POST /api/v1/invites/{invite_id}/resend": ("invite.resend", of_invite("POST", "/resend")),
    "PATCH /api/v1/me": ("member.rename", as_owner("PATCH", "/api/v1/me", json={"name": "Jane"})),
    "DELETE /api/v1/me/sessions/{session_id}": ("session.end", ended),
    "POST /api/v1/auth/logout": ("session.end", logged_out),
}
"""Of each route that changes something: the action, and the way to a request that succeeds."""
SEVERAL: dict[str, tuple[set[str], Step]] = {
    "DELETE /api/v1/users/{user_id}": ({"erasure.ask", "erasure.done"}, plain("DELETE", "/api/v1/users/u1")),
}
"""Routes whose one request is several changes, which others could make one by one."""
NOTHING: dict[str, tuple[str, Step]] = {
    "POST /api/v1/recommendations": (
        "reads; what was shown is in the decision log",
        plain("POST", "/api/v1/recommendations", json={"user_id": "u1"}),
    ),
    "POST /api/v1/recommendations/batch": (
        "as above",
        plain("POST", "/api/v1/recommendations/batch", json={"requests": [{"user_id": "u1"}]}),
    ),
    "POST /api/v1/recommendations/similar": (
        "as above",
        plain("POST", "/api/v1/recommendations/similar", json={"item_id": "b1"}),
    ),
    "POST /api/v1/recommendations/bundle": (
        "as above",
        plain("POST", "/api/v1/recommendations/bundle", json={"item_ids": ["b1"]}),
    ),
    "POST /api/v1/interactions": (
        "events are a log of their own",
        plain("POST", "/api/v1/interactions", json={"user_id": "u1", "item_id": "b1", "interaction_type": "view"}),
    ),
    "POST /events": (
        "as above",
        plain("POST", "/events", json={"user_id": "u1", "item_id": "b1", "interaction_type": "view"}),
    ),
    "POST /api/v1/mappings/{kind}/propose": ("stores nothing", a_file("/api/v1/mappings/items/propose")),
    "POST /api/v1/webhooks/{webhook_id}/test": ("a message is in the list of deliveries", of_hook("POST", "/test")),
    "POST /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry": ("as above", delivered_again),
}
"""Routes with an unsafe method that change nothing that the audit log is about, with the reason."""


@pytest.fixture
def world(client: Client, blue: Shop, db: ControlDb) -> World:
    blue_catalogue = {"items": [{"item_id": f"b{n}", "title": f"Title {n}"} for n in range(1, 7)]}
    made = World(
        client,
        blue,
        person(db, "owner@example.com", now=NOW, tenant=blue.tenant),
        person(db, "support@example.com", now=NOW, office="super_admin"),
        blue.key_with("platform"),
    )
    made.send("POST", "/api/v1/items", json=blue_catalogue)
    return made


def entries(db: ControlDb, after: int) -> list[AuditRow]:
    with db.read() as session:
        return list(session.scalars(select(AuditRow).where(AuditRow.seq > after).order_by(AuditRow.seq)))


def newest(db: ControlDb) -> int:
    with db.read() as session:
        return session.scalar(select(func.max(AuditRow.seq))) or 0


def sent(world: World, step: Step) -> list[AuditRow]:
    """The entries that a request adds, without those of what it needs."""
    method, url, options = step(world)
    before = newest(world.shop.db)
    world.send(method, url, options.pop("who", None), **{**options, "headers": {"X-Request-ID": "walk-4711"}})
    return entries(world.shop.db, before)


def test_every_route_with_an_unsafe_method_has_a_row(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    unsafe = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if method in UNSAFE}
    rows = [*CHANGES, *SEVERAL, *NOTHING, *IN_TESTS_OF_THEIR_OWN]
    assert len(rows) == len(set(rows))
    assert unsafe == set(rows)


@pytest.mark.parametrize("place", sorted(set(IN_TESTS_OF_THEIR_OWN.values())))
def test_the_tests_of_the_others_exist(place: str) -> None:
    assert (Path(__file__).parents[4] / place).exists()


@pytest.mark.parametrize("route", CHANGES)
def test_a_change_is_one_entry_with_who_and_which_request(world: World, route: str) -> None:
    action, step = CHANGES[route]
    (entry,) = sent(world, step)
    assert entry.action == action
    assert (entry.source, entry.request_id, bool(entry.actor_id), entry.address) == (
        "api",
        "walk-4711",
        True,
        "127.0.0.1",
    )
    assert entry.actor_kind in ("key", "member", "office")


@pytest.mark.parametrize("route", SEVERAL)
def test_several_changes_are_an_entry_each(world: World, route: str) -> None:
    actions, step = SEVERAL[route]
    assert {entry.action for entry in sent(world, step)} == actions


@pytest.mark.parametrize("route", NOTHING)
def test_what_changes_nothing_adds_no_entry(world: World, route: str) -> None:
    assert sent(world, NOTHING[route][1]) == []


@pytest.mark.parametrize("url", ["/api/v1/upload/items", "/api/v1/items"])
def test_a_file_that_is_only_checked_adds_no_entry(world: World, url: str) -> None:
    assert sent(world, a_file(f"{url}?validate_only=true")) == []


def test_the_same_request_again_is_no_second_change(world: World) -> None:
    key = {"headers": {"Idempotency-Key": "k1"}}
    body = {"json": {"item_id": "b8", "title": "Eight"}}
    world.send("POST", "/api/v1/items", **key, **body)
    before = newest(world.shop.db)
    world.send("POST", "/api/v1/items", **key, **body)
    upload = {"files": {"file": ("users.csv", "user_id\nu1\n")}}
    world.send("POST", "/api/v1/upload/users", **upload)
    world.send("POST", "/api/v1/upload/users", **upload)
    assert [entry.action for entry in entries(world.shop.db, before)] == ["upload.store"]


def test_what_is_refused_is_no_change(world: World, empty: Shop) -> None:
    before = newest(world.shop.db)
    for method, url, body in (
        ("POST", "/api/v1/rules", {"kind": "nonsense"}),
        ("DELETE", "/api/v1/rules/none", None),
        ("DELETE", "/api/v1/api-keys/none", None),
        ("POST", "/api/v1/reindex", None),
        ("POST", "/api/v1/items", {"item_id": "x", "price": "dear"}),
    ):
        answer = world.client.request(method, url, headers=empty.headers, json=body)
        assert answer.status_code >= 400, (method, url, answer.text)
    assert entries(world.shop.db, before) == []


def test_an_erased_user_is_not_in_the_log(world: World) -> None:
    world.client.post(
        "/events",
        json={"user_id": "zoe@example.com", "item_id": "b1", "interaction_type": "view"},
        headers=world.shop.headers,
    )
    world.send("GET", "/api/v1/users/zoe@example.com/export")
    world.send("DELETE", "/api/v1/users/zoe@example.com")
    with world.shop.db.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.object_kind == "user")).all()
    assert [row.action for row in rows] == ["user.read", "erasure.ask"]
    assert rows[0].object_id == rows[1].object_id
    assert "zoe" not in repr([vars(row) for row in rows])
    found = world.send("GET", "/api/v1/audit?user_id=zoe@example.com")["entries"]
    assert [entry["action"] for entry in found] == ["erasure.ask", "user.read"]
