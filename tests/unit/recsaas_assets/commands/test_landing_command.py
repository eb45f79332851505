"""`recsaas landing`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from recsaas_assets.ingestion.landing import take_landed_files
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant, get_tenant
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy

BLUE = TenantId("blue")
NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop with a file that was refused, one that waits, and a link in the place of a folder."""
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    settings = load_settings()
    db = open_control_db(settings.database_url)
    create_tenant(db, BLUE, name="Blue", now=NOW)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    folder = Path(str(lake.landing(BLUE, "items")))
    folder.mkdir(parents=True)
    (folder / "[bad].csv").write_text("<html></html>")
    policy = UploadPolicy(get_tenant(db, BLUE).settings, 1000)
    take_landed_files(TenantStore(lake, db, BLUE), Kind.ITEMS, policy, now=NOW)
    (folder / "good.csv").write_text("item_id\na\n")
    (folder.parent / "users").symlink_to("items")
    db.close()
    return tmp_path


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["landing", "blue", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_it_says_what_waits_what_was_refused_and_why() -> None:
    told = json.loads(invoke("--json"))
    assert [each["file"] for each in told["waiting"]] == ["items/good.csv"]
    (refused,) = told["refused"]
    assert (refused["file"], refused["code"]) == ("items/[bad].csv", "not_csv")
    assert told["links"] == ["blue/users"]
    shown = invoke()
    assert "1 dropped files wait for a run, 1 were refused." in shown
    for text in ("items/good.csv", "items/[bad].csv", refused["id"], "landing/blue/users is a link"):
        assert text in shown


def test_a_refused_file_can_be_forgotten(home: Path) -> None:
    (refused,) = json.loads(invoke("--json"))["refused"]
    assert json.loads(invoke("--forget", refused["id"], "--json"))["refused"] == []
    folder = home / "lake" / "tenants" / "blue" / "landing" / "refused"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    again = CliRunner().invoke(cli, ["landing", "blue", "--forget", refused["id"]])
    assert again.exit_code == 2
    assert "no refused file has the id" in again.output
