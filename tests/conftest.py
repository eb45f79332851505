"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the public data sets; a test that needs it is skipped where there is none."""
    folder = Path(os.environ.get("RECSAAS_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set RECSAAS_BENCH_DATA to the folder that holds them")
    return folder
