"""Paths of a tenant, and writes that are whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from resources.base.errors import ConfigurationError, CorruptArtifact
from resources.base.tenant import TenantId
from resources.storage.lake import Lake, read_json, read_parquet, write_bytes, write_json, write_parquet

BLUE, GREEN = TenantId("blue"), TenantId("green")

_DIES_BEFORE_THE_RENAME = """
import os, signal, sys
from upath import UPath
from resources.storage import disk, lake
disk.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
lake.write_bytes(UPath(sys.argv[1]), b"new " * 1000)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path)


def test_open_makes_the_folder_and_takes_file_addresses(tmp_path: Path) -> None:
    assert Lake.open(str(tmp_path / "deep" / "lake")).root.is_dir()
    assert Lake.open(f"file://{tmp_path}/other").root.is_dir()
    assert (tmp_path / "other").is_dir()


def test_an_address_that_is_not_supported_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="'gs' is not supported"):
        Lake.open("gs://bucket/lake")


def test_every_path_of_a_tenant_lies_in_its_folder(lake: Lake) -> None:
    blue = lake.tenant(BLUE)
    paths = [blue.upload("items-1"), blue.raw("items"), blue.dbt, blue.training, blue.model, blue.evaluation]
    paths += [blue.index, blue.releases]
    assert {path.relative_to(lake.root).parts[:2] for path in paths} == {("tenants", "blue")}
    assert len(set(paths)) == len(paths)
    assert lake.landing(BLUE, "items").relative_to(lake.root).parts == ("landing", "blue", "items")
    assert lake.tenant(GREEN).root != blue.root


@pytest.mark.parametrize("text", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0b", ".hidden"])
def test_a_segment_that_could_leave_its_folder_is_refused(lake: Lake, text: str) -> None:
    for path in (lake.tenant(BLUE).upload, lake.tenant(BLUE).raw, lambda kind: lake.landing(BLUE, kind)):
        with pytest.raises(ValueError, match="not a path segment"):
            path(text)


def test_a_write_makes_folders_replaces_and_leaves_nothing_beside(lake: Lake) -> None:
    path = lake.root / "a" / "ünï.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["ünï.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_beside(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = lake.root / "file"
    write_bytes(path, b"old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, no_space)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in lake.root.iterdir()] == ["file"]


def test_a_process_killed_in_the_middle_leaves_the_old_file(lake: Lake) -> None:
    path = lake.root / "file"
    write_bytes(path, b"old")
    killed = subprocess.run([sys.executable, "-c", _DIES_BEFORE_THE_RENAME, str(path)], check=False)
    assert killed.returncode == -9
    assert path.read_bytes() == b"old"
    # Nobody can tidy up after SIGKILL, but what is left is hidden from everybody who lists files.
    assert [entry.name for entry in lake.root.iterdir() if not entry.name.startswith(".")] == ["file"]
    write_bytes(path, b"again")
    assert path.read_bytes() == b"again"


def test_json_round_trip_and_no_nan(lake: Lake) -> None:
    path = lake.root / "x.json"
    write_json(path, {"größe": [1, None, "日本"]})
    assert read_json(path) == {"größe": [1, None, "日本"]}
    assert "größe" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path) == {"größe": [1, None, "日本"]}


@pytest.mark.parametrize("frame", [pl.DataFrame({"a": ["ü", None]}), pl.DataFrame(schema={"a": pl.Int64()})])
def test_parquet_round_trip(lake: Lake, frame: pl.DataFrame) -> None:
    write_parquet(lake.root / "x.parquet", frame)
    assert read_parquet(lake.root / "x.parquet").equals(frame)
    assert read_parquet(lake.root / "x.parquet").schema == frame.schema


def test_a_missing_file_names_the_next_step(lake: Lake) -> None:
    for read in (read_json, read_parquet):
        with pytest.raises(CorruptArtifact, match=r"x\.file is missing; run the tenant's pipeline again"):
            read(lake.root / "x.file")


@pytest.mark.parametrize("keep", [0, 1, 5, 60, -1])
def test_a_damaged_file_is_never_an_empty_table(lake: Lake, keep: int) -> None:
    path: UPath = lake.root / "x.parquet"
    write_parquet(path, pl.DataFrame({"a": list(range(100))}))
    write_bytes(path, path.read_bytes()[:keep])
    with pytest.raises(CorruptArtifact, match="not readable"):
        read_parquet(path)
    with pytest.raises(CorruptArtifact, match="not readable"):
        read_json(path)
