"""What of an installation others can reach."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from recsaas_assets.platform.exposure import Door, open_doors, readable_by_others
from recsaas_assets.platform.processes import LOCK
from resources.base.settings import Settings
from resources.storage.file_lock import try_lock


def folder(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("mode", "found"), [(0o700, False), (0o750, True), (0o755, True), (0o711, True)])
def test_the_home_is_for_one_user(tmp_path: Path, mode: int, found: bool) -> None:
    home = folder(tmp_path / "home", mode)
    assert readable_by_others(Settings(home=home)) == ([home] if found else [])


@pytest.mark.parametrize(
    ("above", "mode", "found"), [(0o755, 0o755, True), (0o755, 0o770, False), (0o700, 0o755, False)]
)
def test_a_lake_elsewhere_may_be_shared_with_a_group(tmp_path: Path, above: int, mode: int, found: bool) -> None:
    for each in (tmp_path, *tmp_path.parents):
        if each == tmp_path or each.name.startswith(("pytest-", "popen-")):  # what pytest and xdist make is closed
            each.chmod(0o755)
    home = folder(tmp_path / "home", 0o700)
    lake = folder(folder(tmp_path / "shared", above) / "lake", mode)
    database = tmp_path / "shared" / "control.db"
    database.touch()
    database.chmod(0o600)
    settings = Settings(
        home=home, lake=str(lake), database=f"sqlite:///{database}", decisions="postgresql://db/decisions"
    )
    assert readable_by_others(settings) == ([lake] if found else [])


def test_nothing_exists_yet(tmp_path: Path) -> None:
    assert readable_by_others(Settings(home=tmp_path / "home")) == []
    assert open_doors(Settings(home=tmp_path / "home")) == []


def test_the_ports_of_a_platform_that_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / LOCK).write_text(str(os.getpid()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert open_doors(settings) == []  # nobody holds the lock
        with open(tmp_path / LOCK) as lock:
            assert try_lock(lock)
            door = Door("127.0.0.1", listening.getsockname()[1])
            assert door in open_doors(settings)
