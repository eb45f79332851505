"""The service in an environment of its own: neither dagster nor dbt nor torch is there, and it answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import httpx
import pytest

from recsaas_assets.platform.ports import free_port
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import open_shop

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
PROBE = """
import importlib.util
there = [n for n in ("dagster", "dbt", "torch", "dagster_dbt", "duckdb") if importlib.util.find_spec(n)]
assert not there, there
import bento_service.service, resources.ranker.ranker
print("alone")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the serving pins and this project, nothing else."""
    folder = tmp_path_factory.mktemp("serving") / "venv"
    venv.create(folder, with_pip=False)
    interpreter = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    sources = sources_of_wheel(tmp_path_factory.mktemp("sources"))
    for arguments in (["-r", str(ROOT / "requirements-serving.txt")], ["--no-deps", str(sources)]):
        command = [str(uv), "pip", "install", "--quiet", "--python", str(interpreter), *arguments]
        subprocess.run(command, check=True)
    return interpreter


def sources_of_wheel(folder: Path) -> Path:
    """Copy what a wheel is built from: building leaves folders beside the sources."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("bento_service", "dbt_project", "recsaas_assets", "resources"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_serving_extra_brings_no_pipeline_and_the_service_answers(python: Path, tmp_path: Path) -> None:
    environment = os.environ | {"RECSAAS_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")}
    probe = subprocess.run([python, "-c", PROBE], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert probe.stdout.strip() == "alone", probe.stderr
    settings = Settings(home=tmp_path)
    db = open_control_db(settings.database_url)
    shop = open_shop("blue", lake=Lake.open(settings.lake_url, scratch=settings.scratch), db=db, prefix="b")
    shop.release()
    port = free_port("127.0.0.1", 0)
    serve = ["-m", "bentoml", "serve", "bento_service.service:RecsaasService", "--host", "127.0.0.1"]
    log = tmp_path / "service.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, *serve, "--port", str(port)], cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        answer = ask_until_answered(f"http://127.0.0.1:{port}/recommend/u1?k=1", shop.headers, process, log)
        assert len(answer["recommendations"]) == 1
    finally:
        process.terminate()
        process.wait(timeout=120)
        db.close()


def ask_until_answered(url: str, headers: dict[str, str], process: subprocess.Popen[bytes], log: Path) -> dict:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            response = httpx.get(url, headers=headers, timeout=30)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        assert response.status_code == 200, response.text
        body: dict = response.json()
        return body
    raise AssertionError(log.read_text())
