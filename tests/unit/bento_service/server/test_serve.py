"""What the parent of the workers prepares for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bento_service import serve
from resources.base.settings import Settings

_IN_MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no folder in memory")
def test_metrics_are_shared_in_memory(tmp_path: Path) -> None:
    """A mapped file on a disk that is full ends whoever writes to it, by SIGBUS."""
    with serve.metrics_folder(Settings(home=tmp_path)) as folder:
        assert folder.is_dir()
        assert folder.parent == _IN_MEMORY
    assert not folder.exists()


def test_folders_of_parents_that_were_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_IN_MEMORY", tmp_path)
    one, other = Settings(home=tmp_path / "one"), Settings(home=tmp_path / "other")
    with serve.metrics_folder(one) as mine, serve.metrics_folder(other) as theirs:
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}", "-4194305"))  # no process has such a high number
        of_another_home = theirs.with_name(theirs.name.replace(f"-{os.getpid()}", "-4194305"))
        dead.mkdir()
        of_another_home.mkdir()
    with serve.metrics_folder(one):
        assert not dead.exists()
        assert of_another_home.exists()
