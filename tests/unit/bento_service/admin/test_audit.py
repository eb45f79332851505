"""The routes of the audit log: read, exported, verified, by a tenant and by the office."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from resources.access.scopes import PLATFORM
from resources.audit.entries import Change, record
from resources.audit.keeping.daily import heads_folder
from resources.audit.keeping.heads import write_heads
from resources.audit.reading import chains_of
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop
from tests.unit.resources.audit.chains import JANE, tamper, write_chain

pytestmark = pytest.mark.databases
RULE = {"kind": "hide", "target": {"brand": "Acme"}}


def read(client: Client, shop: Shop, query: str = "", path: str = "/api/v1/audit") -> Any:
    answer = client.get(f"{path}{query}", headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_tenant_reads_its_own_entries_and_no_others(client: Client, blue: Shop, green: Shop) -> None:
    rule = client.post("/api/v1/rules", json=RULE, headers=blue.headers).json()
    client.post("/api/v1/rules", json=RULE, headers=green.headers)
    page = read(client, blue)
    assert {entry["tenant_id"] for entry in page["entries"]} == {"blue"}
    looked, added, *_ = page["entries"]
    assert (looked["action"], added["action"], added["object_id"]) == ("audit.read", "rule.add", rule["id"])
    assert added["after"]["kind"] == "hide" and added["actor_kind"] == "key" and added["actor_name"] == "all"
    assert looked["previous"] == added["hash"]
    assert "green" not in json.dumps(page)


def test_looking_is_an_entry_once_an_hour(client: Client, blue: Shop) -> None:
    for _ in range(3):
        page = read(client, blue)
    assert [entry["action"] for entry in page["entries"]].count("audit.read") == 1
    client.get("/api/v1/audit", headers=blue.key_with("admin"))
    assert [entry["action"] for entry in read(client, blue)["entries"]].count("audit.read") == 2


def test_pages_have_every_entry_once(client: Client, blue: Shop, db: ControlDb) -> None:
    read(client, blue)
    write_chain(db, blue.tenant, 7, NOW)
    numbers: list[int] = []
    cursor = ""
    while True:
        page = read(client, blue, f"?limit=3{cursor}")
        numbers += [entry["number"] for entry in page["entries"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert numbers == list(range(numbers[0], 0, -1)) and len(numbers) >= 8


@pytest.mark.parametrize(
    "query, found",
    [
        ("actor=jane@example.com", 3),
        ("actor=member-1&object=rule-2", 1),
        ("action=rule.add", 3),
        ("action=rule", 3),
        ("action=rul", 0),
        ("q=JANE", 3),
        ("q=rule-3", 1),
        ("q=%25", 0),
        ("request_id=request-1", 3),
        ("action=rule&from=2024-06-01T12:01:00Z", 2),
        ("action=rule&to=2024-06-01T14:01:00%2B02:00", 1),
    ],
)
def test_filters(client: Client, blue: Shop, db: ControlDb, query: str, found: int) -> None:
    write_chain(db, blue.tenant, 3, NOW)
    entries = read(client, blue, f"?{query}")["entries"]
    assert len([entry for entry in entries if entry["actor_kind"] == "member"]) == found


def test_a_wrong_filter_is_refused(client: Client, blue: Shop) -> None:
    for query in ("from=yesterday", "from=2024-06-01T12:00:00", "limit=0", "cursor=abc", "colour=red", "format=xml"):
        assert client.get(f"/api/v1/audit?{query}", headers=blue.headers).status_code in (400, 422), query
    assert client.get("/api/v1/audit/export?format=xml", headers=blue.headers).status_code == 422


def test_the_export_has_what_a_stranger_needs_to_verify_it(client: Client, blue: Shop, db: ControlDb) -> None:
    write_chain(db, blue.tenant, 3, NOW)
    answer = client.get("/api/v1/audit/export", headers=blue.headers)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) >= 3
    import hashlib

    for line, before in zip(lines, [{"hash": "0" * 64}, *lines], strict=False):
        hashed = {name: value for name, value in line.items() if name != "hash"}
        text = json.dumps(hashed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == line["hash"]
        assert line["previous"] == before["hash"]
    assert read(client, blue)["entries"][1]["action"] == "audit.export"


def test_a_spreadsheet_runs_nothing_of_the_export(client: Client, blue: Shop, db: ControlDb) -> None:
    evil = Change(action="rule.add", object_kind="rule", object_id="=HYPERLINK(1)", after={"a": 1})
    with db.write() as session:
        record(session, JANE, evil, tenant=blue.tenant, now=NOW)
    answer = client.get("/api/v1/audit/export?format=csv&actor=member-1", headers=blue.headers)
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["object_id"], row["after"], row["actor_name"]) == ("'=HYPERLINK(1)", '{"a": 1}', "jane@example.com")
    assert "attachment" in answer.headers["content-disposition"]


def test_a_broken_chain_is_named(client: Client, blue: Shop, db: ControlDb) -> None:
    write_chain(db, blue.tenant, 3, NOW)
    whole = read(client, blue, path="/api/v1/audit/verify")
    assert (whole["unbroken"], whole["after"], whole["broken"]) == (True, None, None)
    tamper(db, "UPDATE audit_log SET actor_name = 'x' WHERE chain = 'blue' AND object_id = 'rule-2'")
    found = read(client, blue, path="/api/v1/audit/verify")
    assert (found["unbroken"], found["broken"]["damage"]) == (False, "changed")
    assert found["broken"]["expected"] != found["broken"]["found"]
    noted = read(client, blue, "?action=audit.verify")["entries"]
    assert [entry["after"]["unbroken"] for entry in noted] == [False, True]


def test_an_exported_head_shows_what_the_chain_cannot(
    client: Client, blue: Shop, db: ControlDb, lake: Lake, settings: Settings
) -> None:
    write_chain(db, blue.tenant, 3, NOW)
    write_heads(db, heads_folder(settings, lake), now=NOW)
    assert read(client, blue, path="/api/v1/audit/verify")["heads_compared"] == 1
    tamper(db, "DELETE FROM audit_log WHERE chain = 'blue'", "DELETE FROM audit_heads WHERE chain = 'blue'")
    assert read(client, blue, path="/api/v1/audit/verify")["broken"]["damage"] in ("cut off", "changed")


def test_the_office_reads_and_verifies_every_chain(client: Client, blue: Shop, green: Shop, db: ControlDb) -> None:
    super_admin = person(db, "root@example.com", now=NOW, office="super_admin").headers
    client.post("/api/v1/rules", json=RULE, headers=green.headers)
    seen = client.get("/api/v1/admin/audit?limit=200", headers=super_admin).json()["entries"]
    assert {"blue", "green", None} <= {entry["tenant_id"] for entry in seen}
    of_green = client.get("/api/v1/admin/audit?tenant_id=green", headers=super_admin).json()["entries"]
    assert [entry["action"] for entry in of_green][:2] == ["audit.read", "rule.add"]
    assert of_green[0]["actor_kind"] == "office"
    of_platform = client.get("/api/v1/admin/audit?platform=true", headers=super_admin).json()["entries"]
    assert {entry["tenant_id"] for entry in of_platform} == {None}
    for body, chain in (({"tenant_id": "green"}, "green"), ({}, None)):
        found = client.post("/api/v1/admin/audit/verify", json=body, headers=super_admin).json()
        assert (found["unbroken"], found["tenant_id"]) == (True, chain)
    with db.read() as session:
        before = chains_of(session)
    for who in (super_admin, blue.key_with(PLATFORM)):
        unknown = client.post("/api/v1/admin/audit/verify", json={"tenant_id": "none"}, headers=who)
        assert code_of(unknown) == (404, "tenant_not_found")
        assert code_of(client.get("/api/v1/admin/audit?tenant_id=none", headers=who)) == (404, "tenant_not_found")
    with db.read() as session:
        assert chains_of(session) == before  # nobody begins a chain by looking for it


def test_who_may_not_read_it(client: Client, blue: Shop, db: ControlDb) -> None:
    editor = person(db, "editor@example.com", now=NOW, tenant=blue.tenant, role="editor").headers
    support = person(db, "support@example.com", now=NOW, office="support_agent").headers
    for path in ("/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/verify"):
        assert client.get(path).status_code == 401
        for who in (editor, blue.key_with("items:write", "analytics:read")):
            assert code_of(client.get(path, headers=who)) == (403, "forbidden")
    for who in (editor, support, blue.headers):
        assert code_of(client.get("/api/v1/admin/audit", headers=who)) == (403, "forbidden")
        assert client.post("/api/v1/admin/audit/verify", json={}, headers=who).status_code == 403


def test_an_hour_later_looking_is_an_entry_again(client: Client, blue: Shop, db: ControlDb) -> None:
    from resources.audit.reading import note_reading

    with db.write() as session:
        first = note_reading(session, JANE, tenant=blue.tenant, now=NOW)
        again = note_reading(session, JANE, tenant=blue.tenant, now=NOW + timedelta(minutes=59))
        later = note_reading(session, JANE, tenant=blue.tenant, now=NOW + timedelta(minutes=61))
    assert (first, again, later) == (True, False, True)
