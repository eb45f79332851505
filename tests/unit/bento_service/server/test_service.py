"""What the service does around its app."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
def test_every_module_that_workers_share_is_there(tmp_path: Path) -> None:
    """A name that is gone keeps every worker from starting. In a process of its own, as BentoML's imports warn."""
    done = subprocess.run(
        [sys.executable, "-c", "from bento_service.service import import_parts; import_parts()"],
        cwd=Path(__file__).parents[4],
        env=os.environ | {"RECSAAS_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
