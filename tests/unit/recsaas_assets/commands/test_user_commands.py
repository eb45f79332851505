"""`recsaas user …` and `recsaas events …`, as a person or a script calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake
from tests.unit.resources.erasure.world import NOW, ZOE, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, TenantId("blue"), name="Blue", now=NOW)
    return World(tmp_path, Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db, TenantId("blue"))


def recsaas(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=answer)


def test_export_then_erase(world: World, tmp_path: Path) -> None:
    world.fill(ZOE)
    assert json.loads(recsaas("user", "export", "blue", ZOE, "--json").stdout)["seen_items"] == ["b1"]
    assert f"User {ZOE} of tenant blue" in recsaas("user", "export", "blue", ZOE).stdout
    recsaas("user", "export", "blue", ZOE, "--out", str(tmp_path / "zoe.json"))
    assert len(json.loads((tmp_path / "zoe.json").read_text(encoding="utf-8"))["events"]) == 2

    refused = recsaas("user", "erase", "blue", ZOE, answer="n\n")
    assert refused.exit_code == 1
    assert json.loads(recsaas("user", "erasures", "blue", "--json").stdout)["erasures"] == []
    done = recsaas("user", "erase", "blue", ZOE, answer="y\n")
    assert done.exit_code == 0, done.output
    assert "is done." in done.stdout and ZOE not in done.stdout
    assert world.places_with(ZOE) == []
    (listed,) = json.loads(recsaas("user", "erasures", "blue", "--json").stdout)["erasures"]
    assert (listed["status"], listed["retrained_run"]) == ("completed", None)
    assert "due" in recsaas("user", "erasures", "blue").stdout
    again = recsaas("user", "erase", "blue", ZOE, "--yes", "--json")
    assert again.exit_code != 0
    assert "nothing was erased" in again.output and not again.stdout
    (_, last) = json.loads(recsaas("user", "erasures", "blue", "--json").stdout)["erasures"]
    assert (listed["found"], last["found"]) == (True, False)
    assert "nothing found" in recsaas("user", "erasures", "blue").stdout


@pytest.mark.parametrize("form", ["zoe\u0301", " zoé\u00a0", "z\u200boé"])
def test_a_user_is_one_in_every_form(world: World, form: str) -> None:
    world.fill("zoé")
    assert json.loads(recsaas("user", "export", "blue", form, "--json").stdout)["user_id"] == "zoé"
    done = recsaas("user", "erase", "blue", form, "--yes")
    assert done.exit_code == 0, (done.output, done.exception)
    assert world.places_with("zoé") == []


def test_what_is_no_id_is_a_wrong_call(world: World) -> None:
    refused = recsaas("user", "erase", "blue", "\u200b", "--yes")
    assert (refused.exit_code, "must not be blank" in refused.output) == (2, True)


def test_events_are_exported_now_and_again(world: World) -> None:
    world.track("ann", "bob")
    assert json.loads(recsaas("events", "export", "blue", "--json").stdout)["events"] == 2
    for piece in Path(world.folder.events).iterdir():
        piece.write_bytes(b"damaged")
    answer = json.loads(recsaas("events", "export", "blue", "--again", "--json").stdout)
    assert (answer["events"], answer["exported_again"]) == (2, 1)
    assert "2 events of tenant blue are in the lake" in recsaas("events", "export", "blue").stdout


@pytest.mark.parametrize("arguments", [("user", "export"), ("user", "erase", "--yes")])
def test_a_tenant_that_does_not_exist(world: World, arguments: tuple[str, ...]) -> None:
    result = recsaas(*arguments, "nobody", "u")
    assert result.exit_code == 1
    assert not isinstance(result.exception, KeyError)
