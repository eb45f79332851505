"""`recsaas upload`: what a person and a script are told."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from recsaas_assets.commands.data import upload
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant


@pytest.fixture
def home(tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RECSAAS_LAKE", "RECSAAS_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, TenantId("blue"), name="Blue", now=now)
    db.close()
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(upload.upload, ["blue", "items", *arguments])


def test_a_person_reads_figures_quality_and_that_a_file_is_there_already(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_PROGRESS_FROM_BYTES", 0)
    file = home / "a [b].csv"
    file.write_text("item_id,title,price\n1,Lamp,[/b]\n,Rug,5\n")
    first = run(str(file))
    assert (first.exit_code, first.exception) == (0, None)
    assert "Uploaded a [b].csv: 2 rows, 1 accepted, 1 rejected, 0 duplicate (partial)." in first.output
    assert "[/b]" in first.output
    assert "Quality: 50.0% valid, 100.0% new" in first.output
    assert "a [b].csv is stored already" in run(str(file)).output


def test_a_script_reads_the_whole_report(home: Path) -> None:
    file = home / "items.csv"
    file.write_text("item_id,title\n1,Lamp\n")
    report = json.loads(run(str(file), "--json").stdout)
    assert (report["status"], report["already_stored"], report["quality"]["validity"]) == ("success", False, 1.0)
    assert json.loads(run(str(file), "--json", "--validate-only").stdout)["already_stored"] is True


def test_a_file_of_bad_rows_ends_with_1(home: Path) -> None:
    file = home / "items.csv"
    file.write_text("item_id,title\n,Lamp\n")
    assert run(str(file)).exit_code == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"item_id,price\ni,1\n", "missing_column"),
        ("item_id,title".encode("utf-32"), "not_utf8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not_csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, code: str
) -> None:
    monkeypatch.setattr("sys.argv", ["recsaas", "--json"])  # where the console looks how to print an error
    file = home / "items.csv"
    file.write_bytes(content)
    refused = CliRunner().invoke(cli, ["upload", "blue", "items", str(file), "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == code
    assert "Traceback" not in refused.stderr
