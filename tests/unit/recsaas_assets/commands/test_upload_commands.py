"""`recsaas upload` and `recsaas rejected`: from the file to the rows to mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_rejected_rows_are_named_written_mended_and_sent_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    recsaas("tenant", "create", "blue")
    assert (tmp_path / "home" / "lake" / "landing" / "blue" / "users").is_dir()
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\na,Lamp\nb,\n")
    said = recsaas("upload", "blue", "items", str(file)).stdout
    upload_id = json.loads(recsaas("upload", "blue", "items", str(file), "--json").stdout)["upload_id"]
    assert f"recsaas rejected blue {upload_id}" in said

    mend = tmp_path / "mend.csv"
    assert recsaas("rejected", "blue", upload_id, "--out", str(mend)).stdout.startswith("1 rejected rows")
    assert "title is empty" in recsaas("rejected", "blue", upload_id).stdout
    text = mend.read_text(encoding="utf-8-sig")
    mend.write_text(text.replace("b,", "b,Chair"), encoding="utf-8")
    report = json.loads(recsaas("upload", "blue", "items", str(mend), "--json").stdout)
    assert (report["rows_accepted"], report["rows_rejected"]) == (1, 0)

    file.write_text("item_id,title\na,Lamp\nc,\n")
    mixed = recsaas("upload", "blue", "items", str(file), "--json")
    assert (mixed.exit_code, json.loads(mixed.stdout)["status"]) == (0, "partial"), "one row was right, and known"
    unknown = recsaas("rejected", "blue", "items-0000000000000000")
    assert (unknown.exit_code, "has no upload" in unknown.output) == (1, True)
    assert recsaas("rejected", "blue", upload_id, "--json").exit_code == 2


def test_uploads_are_listed_and_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path / "home"))
    recsaas("tenant", "create", "blue")
    assert "has no uploads" in recsaas("uploads", "list", "blue").stdout
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\na,Lamp\n")
    upload_id = json.loads(recsaas("upload", "blue", "items", str(file), "--json").stdout)["upload_id"]
    asked = CliRunner().invoke(cli, ["uploads", "withdraw", "blue", upload_id], input="n\n")
    assert (asked.exit_code, "Withdraw" in asked.stderr) == (1, True)
    done = json.loads(recsaas("uploads", "withdraw", "blue", upload_id, "--yes", "--json").stdout)
    assert (done["upload"]["upload_id"], done["send_again"]) == (upload_id, [])
    (listed,) = json.loads(recsaas("uploads", "list", "blue", "--json").stdout)["uploads"]
    assert listed["withdrawn_at"] == done["upload"]["withdrawn_at"] is not None
    assert "withdrawn" in recsaas("uploads", "list", "blue").stdout
    assert json.loads(recsaas("upload", "blue", "items", str(file), "--json").stdout)["rows_accepted"] == 1
    unknown = recsaas("uploads", "withdraw", "blue", "items-0000000000000000", "--yes")
    assert (unknown.exit_code, "has no upload" in unknown.output) == (1, True)
