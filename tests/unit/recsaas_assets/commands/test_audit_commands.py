"""`recsaas audit …`, as an operator or a script calls them, and that commands have entries of their own."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.audit.keeping.heads import write_heads
from resources.audit.reading import chains_of
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.conftest import BLUE, GREEN
from tests.unit.resources.audit.chains import tamper, write_chain


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shops: object) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recsaas("audit", "list", *arguments, "--json").stdout)["entries"]
    return found


def test_a_command_is_an_entry_with_the_name_of_the_user(db: ControlDb) -> None:
    made = recsaas("tenant", "key", "create", "blue", "--name", "web", "--scope", "items:write", "--json")
    assert made.exit_code == 0, made.output
    assert recsaas("tenant", "settings", "blue", "--set", "rating_max=7").exit_code == 0
    changed, key = [each for each in listed("blue") if each["actor_kind"] == "command"][1:]
    assert (changed["action"], changed["before"], changed["after"]) == (
        "settings.change",
        {"rating_max": 10},
        {"rating_max": 7},
    )
    assert (key["action"], key["object_id"]) == ("key.create", json.loads(made.stdout)["id"])
    assert {(each["actor_name"], each["source"]) for each in (changed, key)} == {(getpass.getuser(), "command")}
    assert json.loads(made.stdout)["api_key"] not in json.dumps(listed())


def test_entries_are_chosen(db: ControlDb, now: datetime) -> None:
    write_chain(db, BLUE, 5, now)
    write_chain(db, GREEN, 2, now)
    assert len(listed("--actor", "jane@example.com")) == 7
    assert [each["object_id"] for each in listed("blue", "--action", "rule", "--limit", "2")] == ["rule-5", "rule-4"]
    assert len(listed("blue", "--text", "RULE-3")) == 1
    assert len(listed("blue", "--action", "rule", "--since", "2025-06-01 12:03:00")) == 2
    assert {each["chain"] for each in listed("--platform")} <= {"_platform"}
    table = recsaas("audit", "list", "green").stdout
    assert "jane@example.com" in table and "rule-2" in table


@pytest.mark.parametrize("command", ["list", "verify", "export"])
def test_a_tenant_that_does_not_exist_gets_no_chain(db: ControlDb, now: datetime, command: str) -> None:
    write_chain(db, BLUE, 1, now)
    with db.read() as session:
        before = chains_of(session)
    result = recsaas("audit", command, "nobody")
    assert result.exit_code != 0 and "There is no tenant nobody" in result.output + str(result.exception)
    with db.read() as session:
        assert chains_of(session) == before


def test_the_head_of_a_tenant_that_is_gone_begins_no_chain(db: ControlDb, now: datetime, tmp_path: Path) -> None:
    write_chain(db, TenantId("gone"), 2, now)
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    write_heads(db, lake.root / "audit", now=now)
    tamper(db, "DELETE FROM audit_log WHERE chain = 'gone'", "DELETE FROM audit_heads WHERE chain = 'gone'")
    assert recsaas("audit", "verify", "--json").exit_code == 1
    assert [each["object_id"] for each in listed("--platform", "--action", "audit.verify")].count("gone") == 1
    with db.read() as session:
        assert "gone" not in chains_of(session)


def test_verifying_tells_by_its_status_whether_all_is_unbroken(db: ControlDb, now: datetime, tmp_path: Path) -> None:
    write_chain(db, BLUE, 5, now)
    write_chain(db, GREEN, 2, now)
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    write_heads(db, lake.root / "audit", now=now)
    good = recsaas("audit", "verify", "--json")
    assert good.exit_code == 0 and json.loads(good.stdout)["unbroken"]
    assert "1 exported heads agree" in recsaas("audit", "verify", "blue").stdout
    tamper(db, "UPDATE audit_log SET actor_name = 'mallory' WHERE chain = 'blue' AND object_id = 'rule-3'")
    bad = recsaas("audit", "verify", "--json")
    assert bad.exit_code == 1
    broken = [each for each in json.loads(bad.stdout)["chains"] if not each["unbroken"]]
    assert [(each["chain"], each["broken"]["damage"]) for each in broken] == [("blue", "changed")]
    text = recsaas("audit", "verify", "blue")
    assert text.exit_code == 1 and broken[0]["broken"]["expected"] in text.stdout
    assert recsaas("audit", "verify", "green").exit_code == 0


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_the_log_is_exported(db: ControlDb, now: datetime, tmp_path: Path, format: str) -> None:
    write_chain(db, BLUE, 3, now)
    out = tmp_path / "audit"
    told = recsaas("audit", "export", "blue", "--format", format, "--out", str(out), "--json")
    assert told.exit_code == 0, told.output
    count = json.loads(told.stdout)["entries"]
    assert len(out.read_text().splitlines()) == count + (format == "csv") and count >= 3
    assert recsaas("audit", "export", "blue", "--json").exit_code == 2
    assert "rule-3" in recsaas("audit", "export", "blue", "--format", format).stdout
