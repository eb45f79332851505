"""An installation in `tmp_path` has its control DB before its first command, as migrating takes longer than that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _migrated_home(tmp_path: Path, migrated: Path) -> None:
    shutil.copy(migrated, tmp_path / "control.db")
