"""What goes wrong with an object store is said in words, and never looks like an empty lake."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from resources.base.errors import ConfigurationError, LakeUnavailable
from resources.storage.disk import work_folder
from resources.storage.lake import (
    Lake,
    parts,
    put_file,
    read_bytes,
    read_json,
    scan_parquet,
    write_bytes,
    write_parquet,
)
from resources.storage.listing import list_files, remove_folder, stored_file
from tests.s3.server import S3Server

ACTIONS: dict[str, Callable[[Lake], Any]] = {
    "read": lambda lake: read_json(lake.root / "x"),
    "write": lambda lake: write_bytes(lake.root / "x", b""),
    "put": lambda lake: put_file(Path(__file__), lake.root / "x"),
    "list": lambda lake: list(list_files(lake.root)),
    "parts": lambda lake: parts(lake.root / "x"),
    "look": lambda lake: stored_file(lake.root / "x"),
    "exists": lambda lake: (lake.root / "x").exists(),
    "is_dir": lambda lake: (lake.root / "x").is_dir(),
}


@pytest.fixture
def fresh_connections() -> Iterator[None]:
    """Connections keep the credentials they were made with."""
    from resources.storage.object_store import ObjectStore

    ObjectStore.clear_instance_cache()
    yield
    ObjectStore.clear_instance_cache()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_store_that_does_not_answer(s3_server: S3Server, tmp_path: Path, action: str) -> None:
    lake = Lake.open("s3://lake/x", scratch=tmp_path, s3_endpoint="http://127.0.0.1:1")
    with pytest.raises(LakeUnavailable, match=r"does not answer.*RECSAAS_S3_ENDPOINT"):
        ACTIONS[action](lake)


@pytest.mark.parametrize("action", ["read", "list", "parts", "look"])
def test_a_bucket_that_does_not_exist_is_not_an_empty_lake(s3_server: S3Server, tmp_path: Path, action: str) -> None:
    lake = Lake.open("s3://no-such-bucket/x", scratch=tmp_path, s3_endpoint=s3_server.endpoint)
    with pytest.raises(ConfigurationError, match="bucket of RECSAAS_LAKE does not exist"):
        ACTIONS[action](lake)


@pytest.mark.usefixtures("fresh_connections")
@pytest.mark.parametrize("action", ACTIONS)
def test_wrong_credentials(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    lake = Lake.open("s3://lake/x", scratch=tmp_path, s3_endpoint=s3_server.endpoint)
    with pytest.raises(ConfigurationError, match=r"refuses the credentials.*AWS_SECRET_ACCESS_KEY"):
        ACTIONS[action](lake)


@pytest.mark.usefixtures("fresh_connections")
def test_no_credentials(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    lake = Lake.open("s3://lake/x", scratch=tmp_path, s3_endpoint=s3_server.endpoint)
    with pytest.raises(ConfigurationError, match=r"No credentials.*AWS_ACCESS_KEY_ID"):
        ACTIONS["read"](lake)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="names no bucket"):
        Lake.open(url, scratch=tmp_path)


def test_a_missing_client_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "resources.storage.object_store", raising=False)
    monkeypatch.delattr("resources.storage.object_store", raising=False)
    with pytest.raises(ConfigurationError, match=r"needs the package s3fs\. Install recsaas\[pipeline\]"):
        Lake.open("s3://lake/x", scratch=tmp_path)


def test_another_process_s_files_are_seen_at_once(s3_lake: Lake, tmp_path: Path) -> None:
    other = Lake.open(str(s3_lake.root), scratch=tmp_path / "other", s3_endpoint=s3_lake.root.fs.endpoint_url)
    for number in range(3):
        assert len(parts(s3_lake.root / "rows")) == number
        write_parquet(other.root / "rows" / f"part-{number:06}.parquet", pl.DataFrame({"a": [number]}))
    assert scan_parquet(parts(s3_lake.root / "rows")).collect()["a"].to_list() == [0, 1, 2]


def test_a_listing_and_a_removal_of_many_pages(s3_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.storage.object_files._PAGE", 2)
    monkeypatch.setattr("resources.storage.object_files._DELETED_AT_ONCE", 3)
    for number in range(7):
        write_bytes(s3_lake.root / "rows" / str(number), b"x")
    assert sorted(file.name for file in list_files(s3_lake.root)) == [f"rows/{number}" for number in range(7)]
    remove_folder(s3_lake.root / "rows")
    assert list(list_files(s3_lake.root)) == []


def test_threads_share_one_connection(s3_lake: Lake) -> None:
    write_bytes(s3_lake.root / "x", b"x")
    seen: list[tuple[bytes, int]] = []
    threads = [
        threading.Thread(target=lambda: seen.append((read_bytes(s3_lake.root / "x"), id((s3_lake.root / "x").fs))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(b"x", id(s3_lake.root.fs))}


def test_scratch_folders_of_killed_processes_go(tmp_path: Path) -> None:
    for name, age in ((".work-old", 25 * 3600), (".work-new", 60), (".other-old", 25 * 3600)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, (tmp_path / name).stat().st_mtime - age))
    with work_folder(tmp_path, "work") as folder:
        assert folder.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other-old", ".work-new"]


def test_a_person_sees_one_line(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    assert CliRunner().invoke(cli, ["tenant", "create", "blue"]).exit_code == 0
    monkeypatch.setenv("RECSAAS_LAKE", "s3://lake/x")
    monkeypatch.setenv("RECSAAS_S3_ENDPOINT", "http://127.0.0.1:1")
    done = CliRunner().invoke(cli, ["releases", "list", "blue"])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), "not a traceback"
