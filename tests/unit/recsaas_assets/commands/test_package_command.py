"""What `recsaas package` refuses before it builds; what it builds is tested in tests/e2e/test_bento.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import open_shop


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with the shop `blue`, which has a release, and `empty`, which has none."""
    settings = Settings(home=tmp_path / "home")
    monkeypatch.setenv("RECSAAS_HOME", str(settings.home))
    monkeypatch.setattr("sys.argv", ["recsaas", "--json"])  # where the console looks how to print an error
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    open_shop("blue", lake=lake, db=db, prefix="b").release()
    open_shop("empty", lake=lake, db=db, prefix="e")
    db.close()
    return tmp_path


@pytest.mark.parametrize(
    ("tenants", "code", "message"),
    [
        (["nobody"], "invalid_request", "There is no tenant nobody"),
        (["blue", "empty"], "no_release", "Tenant empty has no live release"),
    ],
)
def test_a_tenant_that_cannot_be_packed_is_named(home: Path, tenants: list[str], code: str, message: str) -> None:
    chosen = [option for tenant in tenants for option in ("--tenant", tenant)]
    done = CliRunner().invoke(cli, ["package", *chosen, "--to", str(home / "bento"), "--json"])
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code and message in error["message"]
    assert not (home / "bento").exists()


def test_what_is_there_is_not_overwritten(home: Path) -> None:
    (home / "bento").mkdir()
    (home / "bento" / "notes.txt").write_text("mine")
    done = CliRunner().invoke(cli, ["package", "--to", str(home / "bento"), "--json"])
    assert json.loads(done.stdout)["error"]["code"] == "conflict"
    assert (home / "bento" / "notes.txt").read_text() == "mine"


def test_a_damaged_release_is_named_and_nothing_is_built(home: Path) -> None:
    (vectors,) = (home / "home" / "lake").glob("tenants/blue/releases/*/item_vectors.npy")
    vectors.write_bytes(b"damaged")
    done = CliRunner().invoke(cli, ["package", "--to", str(home / "bento"), "--json"])
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "corrupt_release" and "item_vectors.npy" in error["message"]
    assert not (home / "bento").exists()
