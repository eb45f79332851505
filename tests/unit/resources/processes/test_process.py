"""What every process of ours does first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.processes.process import NO_TELEMETRY, private_folder

ROOT = Path(__file__).parents[4]

# A process that begins, and what three libraries then think of reporting their use. Each asks as it does by itself.
_ASKED = """
import json, os, sys
from pathlib import Path
{begin}
Path("made").touch()
answers = {{"mode": oct(Path("made").stat().st_mode & 0o777)}}
from bentoml._internal.utils.analytics.usage_stats import do_not_track
answers["bentoml"] = do_not_track()
from dagster._core.telemetry_upload import is_running_in_test
answers["dagster"] = is_running_in_test()
answers["dbt"] = os.environ.get("DO_NOT_TRACK") == "1"
print(json.dumps(answers))
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    "begin",
    [
        "from resources.processes.process import begin_process; begin_process()",
        "import bento_service.service",
        "import recsaas_assets.definitions",
        # `bentoml serve` looks before it imports us, and remembers what it saw.
        "from bentoml._internal.utils.analytics.usage_stats import do_not_track; assert not do_not_track()\n"
        "import bento_service.service",
    ],
)
def test_files_are_private_and_nothing_is_reported_whoever_starts(begin: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NO_TELEMETRY}
    environment |= {"PYTHONPATH": str(ROOT), "RECSAAS_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ASKED.format(begin=begin)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "mode": "0o600",
        "bentoml": True,
        "dagster": True,
        "dbt": True,
    }


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    assert not private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o2755)
    assert private_folder(folder)
    assert folder.stat().st_mode & 0o7777 == 0o2700
    assert not private_folder(folder)
