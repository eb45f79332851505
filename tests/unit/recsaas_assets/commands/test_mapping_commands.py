"""`recsaas tenant mapping` and the mapping options of `recsaas upload`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.commands.data import upload
from recsaas_assets.commands.tenants.tenant_mapping import mapping
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant

ORDERS = "Ref,Kunde,Wann\na,ann,2024-05-01T00:00:00Z\n"
MAPS = ("--map", "Ref=item_id", "--map", "Kunde=user_id", "--map", "Wann=timestamp", "--default-type", "purchase")


@pytest.fixture
def orders(tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RECSAAS_LAKE", "RECSAAS_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, TenantId("blue"), name="Blue", now=now)
    db.close()
    file = tmp_path / "orders.csv"
    file.write_text(ORDERS)
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(mapping, arguments)


def read(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def send(file: Path, *options: str) -> Result:
    return CliRunner().invoke(upload.upload, ["blue", "interactions", str(file), *options])


def test_a_mapping_is_set_shown_used_and_cleared(orders: Path) -> None:
    assert send(orders).exit_code != 0
    stored = read("set", "blue", "interactions", *MAPS, "--type", "bought=purchase")["mapping"]
    assert stored["columns"] == {"Ref": "item_id", "Kunde": "user_id", "Wann": "timestamp"}
    assert stored["interaction_types"] == {"bought": "purchase"}
    assert read("show", "blue", "interactions")["mapping"] == stored
    assert "Kunde" in run("show", "blue", "interactions").output
    assert json.loads(send(orders, "--json").stdout)["rows_accepted"] == 1
    assert read("clear", "blue", "interactions")["mapping"]["columns"] == {}


def test_a_mapping_may_come_with_a_file_or_from_one(orders: Path, tmp_path: Path) -> None:
    checked = send(orders, *MAPS, "--validate-only")
    assert checked.exit_code == 0, checked.output
    assert "ann" in checked.output
    given = tmp_path / "mapping.json"
    given.write_text(
        json.dumps({"columns": {"Ref": "item_id", "Kunde": "user_id"}, "default_interaction_type": "view"})
    )
    report = json.loads(send(orders, "--mapping", str(given), "--map", "Wann=timestamp", "--json").stdout)
    assert report["statistics"]["interaction_types"] == {"view": 1}


def test_what_leads_nowhere_is_refused(orders: Path) -> None:
    assert "no column of interactions" in str(send(orders, "--map", "Ref=colour").exception)
    assert "no column of interactions" in str(run("set", "blue", "interactions", "--map", "Ref=colour").exception)
    assert run("set", "blue", "interactions").exit_code == 2
    assert run("set", "blue", "interactions", "--map", "Ref").exit_code == 2


def test_a_proposal_names_the_command_that_sets_it(orders: Path) -> None:
    found = read("propose", "blue", "interactions", str(orders))
    assert found["mapping"]["columns"] == {"Wann": "timestamp", "Kunde": "user_id", "Ref": "item_id"}
    assert found["missing"] == ["interaction_type"]
    shown = run("propose", "blue", "interactions", str(orders)).output
    assert "recsaas tenant mapping set blue interactions --map 'Wann=timestamp'" in shown
