"""`recsaas rules …`, as a person or a script calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.rules import list_rules
from resources.control_db.tenants import create_tenant
from resources.merchandising.rules import Rule
from tests.unit.bento_service.shop import NOW


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    for name in ("blue", "green"):
        create_tenant(db, TenantId(name), name=name, now=NOW)
    db.close()
    yield


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ("rules", *arguments))


def stored(tmp_path: Path) -> tuple[Rule, ...]:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    found = list_rules(db, TenantId("blue"))
    db.close()
    return found


def test_rules_are_added_listed_and_removed(tmp_path: Path) -> None:
    assert "has no rules" in recsaas("list", "blue").stdout
    pinned = recsaas("add", "blue", "pin", "--item", "b1", "--item", "b[2]", "--scenario", "home", "--position", "1")
    assert "pin b1, b[2] in home" in pinned.stdout
    window = ("--from", "2020-01-01", "--until", "2020-02-01T00:00:00Z", "--note", "old")
    added = json.loads(
        recsaas("add", "blue", "boost", "--category", "Audio", "--factor", "3", *window, "--json").stdout
    )
    assert (added["rule"]["factor"], added["rule"]["active"]) == (3.0, False)
    first, second = stored(tmp_path)
    assert (first.target.item_ids, first.scenario, first.position) == (("b1", "b[2]"), "home", 1)
    shown = recsaas("list", "blue").stdout
    assert "boost × 3" in shown and "ended" in shown and "b[2]" in shown
    listed = json.loads(recsaas("list", "blue", "--json").stdout)["rules"]
    assert [each["id"] for each in listed] == [first.id, second.id]
    assert recsaas("remove", "green", first.id).exit_code == 1
    assert json.loads(recsaas("remove", "blue", first.id, "--json").stdout)["removed"] == first.id
    assert stored(tmp_path) == (second,)


def test_what_is_no_rule_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = recsaas("add", "blue", "hide")
    assert refused.exit_code == 1
    assert "must name one of item_ids, category, brand and tag" in refused.stderr
    assert recsaas("add", "nobody", "hide", "--tag", "x").exit_code == 1
    assert stored(tmp_path) == ()
