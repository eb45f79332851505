"""The rules of the architecture hold here, and each of them can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.made_up import write
from tests.architecture.rules import (
    ENVIRONMENT_PASSED_ON,
    ENVIRONMENT_READERS,
    LAST_RESORT,
    LAYERS,
    MAX_LINES,
    violations,
)

ROOT = Path(__file__).parents[2]

_LOADED = """
import json, sys
import bento_service.service
import bento_service.app
sys.stdout.write(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_this_project_keeps_every_rule() -> None:
    assert violations(ROOT) == []


def test_every_exception_is_for_a_file_that_exists() -> None:
    named = {*ENVIRONMENT_READERS, *ENVIRONMENT_PASSED_ON, *LAST_RESORT}
    named |= {name for layer in LAYERS for name in (layer.folder, *layer.except_for)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


GOOD = {
    "resources/__init__.py": "",
    "resources/storage/lake.py": "import polars\nfrom resources.base.errors import X\n",
    "resources/base/settings.py": "import os\nhome = os.environ.get('RECSAAS_HOME')\n",
    "resources/dagster_resources.py": "from dagster import ConfigurableResource\n",
    "resources/processes/supervisor.py": "import os\nchild = {**os.environ, 'A': 'b'}\n",
    "resources/processes/fork_server.py": "import os\nos.environ.clear()\nos.environ.update({})\n",
    "recsaas_assets/defs/data/raw.py": "from dagster import asset\nimport torch\n",
    "recsaas_assets/recommender/lightgcn/trainer.py": "import torch\nfrom resources.storage.lake import y\n",
    "bento_service/middleware.py": "try:\n    pass\nexcept Exception:\n    raise\n",
    "bento_service/app.py": "import faiss, bentoml\nfrom resources.storage.lake import y\n",
    "bento_service/http/errors.py": "try:\n    pass\nexcept (OSError, ValueError):\n    pass\n",
    "tests/test_x.py": "import os\nfrom recsaas_assets import x\nfrom bento_service import y\nprint(os.environ)\n",
    "docs/adr/0001.md": "",
    "var/anything.py": "import anything\n",
}


def test_a_project_that_keeps_the_rules(tmp_path: Path) -> None:
    assert violations(write(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("resources/x.py", "import recsaas_assets.cli", "imports recsaas_assets"),
        ("resources/x.py", "from bento_service import app", "imports bento_service"),
        ("resources/x.py", "import dagster", "imports dagster"),
        ("resources/deep/dagster_resources.py", "import dagster", "imports dagster"),
        ("resources/x.py", "import bentoml", "imports bentoml"),
        ("resources/x.py", "import torch.nn as nn", "imports torch"),
        ("resources/x.py", "from dbt.cli import main", "imports dbt"),
        ("resources/x.py", "from fastapi import FastAPI", "imports fastapi"),
        ("resources/x.py", "from tests.unit.conftest import db", "imports tests"),
        ("resources/dagster_resources.py", "import torch", "imports torch"),
        ("recsaas_assets/x.py", "def f():\n    import bento_service", "imports bento_service"),
        (
            "recsaas_assets/x.py",
            "import importlib\nimportlib.import_module('bento_service.app')",
            "imports bento_service",
        ),
        ("bento_service/api/x.py", "from recsaas_assets import y", "imports recsaas_assets"),
        ("bento_service/x.py", "if TYPE_CHECKING:\n    import torch", "imports torch"),
        ("bento_service/x.py", "import dagster", "imports dagster"),
        ("bento_service/x.py", "import dbt", "imports dbt"),
        ("recsaas_assets/recommender/x.py", "from dagster import asset", "imports dagster"),
        ("recsaas_assets/x.py", "from .y import z", "relative import"),
        ("recsaas_assets/x.py", "import os\nos.environ['A'] = 'b'", "reads the environment"),
        ("recsaas_assets/x.py", "import os\nos.getenv('A')", "reads the environment"),
        ("recsaas_assets/x.py", "import os\nchild = {**os.environ}", "reads the environment"),
        ("bento_service/x.py", "from os import environ", "reads the environment"),
        ("bento_service/x.py", "import os as system\nsystem.environ.get('A')", "reads the environment"),
        ("resources/processes/supervisor.py", "import os\nos.environ.get('A')", "reads the environment"),
        ("recsaas_assets/x.py", "import os\nos.environ.update({})", "reads the environment"),
        ("resources/processes/fork_server.py", "import os\nos.environ.setdefault('A', 'b')", "reads the environment"),
        ("tests/__init__.py", "'''Tests.'''", "is not empty"),
        ("recsaas_assets/x.py", "print('hello')", "prints"),
        ("recsaas_assets/x.py", "try:\n    pass\nexcept Exception as error:\n    raise", "broad except"),
        ("recsaas_assets/x.py", "try:\n    pass\nexcept:\n    raise", "broad except"),
        ("recsaas_assets/x.py", "try:\n    pass\nexcept (OSError, BaseException):\n    raise", "broad except"),
        ("bento_service/http/errors.py", "try:\n    pass\nexcept Exception:\n    raise", "broad except"),
        ("tests/test_x.py", "x = 1\n" * (MAX_LINES + 1), f"has {MAX_LINES + 1} lines"),
        ("scripts/x.py", "", "scripts/: is not one of our top-level folders"),
        ("utils/readme.txt", "", "utils/: is not one of our top-level folders"),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, name: str, text: str, problem: str) -> None:
    found = violations(write(tmp_path, {**GOOD, name: text}))
    assert len(found) == 1, found
    assert problem in found[0]
    assert found[0].startswith(name.split("/")[0])


@pytest.mark.e2e
def test_the_service_loads_nothing_of_the_pipeline(tmp_path: Path) -> None:
    environment = {**os.environ, "RECSAAS_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")}
    environment |= {"BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "bento_service" in loaded
    assert loaded & {"torch", "dagster", "dagster_dbt", "dbt", "recsaas_assets", "duckdb"} == set()
