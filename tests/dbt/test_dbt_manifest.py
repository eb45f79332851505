"""The project without a tenant: parsed once, parsed again when it changed, documented offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recsaas_assets.dbt_invocation import PROJECT_DIR
from recsaas_assets.dbt_manifest import generate_docs, parse_manifest, project_hash
from recsaas_assets.dbt_runner import run_dbt
from resources.errors import ConfigurationError


def test_an_unchanged_project_is_not_parsed_again(target_dir: Path) -> None:
    manifest = target_dir / "manifest.json"
    before = manifest.stat().st_mtime_ns
    assert parse_manifest(PROJECT_DIR, target_dir) == manifest
    assert manifest.stat().st_mtime_ns == before


def test_a_changed_project_is_parsed_again_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT_DIR, project)
    assert project_hash(project) == project_hash(PROJECT_DIR)
    parse_manifest(project, tmp_path / "target")
    model = project / "models" / "marts" / "extra.sql"
    model.write_text("{{ config(contract={'enforced': false}) }} select 1 as one")
    manifest = parse_manifest(project, tmp_path / "target")
    assert "model.recsaas.extra" in json.loads(manifest.read_text())["nodes"]
    model.write_text("select * from {{ ref('nowhere') }}")
    with pytest.raises(ConfigurationError, match="nowhere"):
        parse_manifest(project, tmp_path / "target")


def test_one_parse_serves_every_tenant(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    """`--vars` or a variable in profiles.yml would make dbt parse everything again for each tenant."""
    for name in ("blue", "red"):
        run_dbt(["run", "--select", "stg_items"], tenant_lake=make_tenant(tmp_path, name), target_dir=target_dir)
        log = (target_dir / "logs" / name / "dbt.log").read_text()
        assert "Unable to do partial parsing" not in log
        assert "Found 10 models" in log


def test_nothing_is_written_into_the_project(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    run_dbt(["run", "--select", "stg_items"], tenant_lake=make_tenant(tmp_path), target_dir=target_dir)
    assert {path.suffix for path in PROJECT_DIR.rglob("*") if path.is_file()} == {".sql", ".yml"}
    assert list((target_dir / "work").iterdir()) == []


def test_every_column_is_described_and_every_model_has_a_grain_and_a_tested_key(target_dir: Path) -> None:
    manifest = json.loads((target_dir / "manifest.json").read_text())
    keys = {
        test["attached_node"]
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test" and test["test_metadata"]["name"] in {"unique", "unique_key"}
    }
    for model in manifest["nodes"].values():
        if model["resource_type"] == "model":
            assert "Grain:" in model["description"], model["name"]
            assert model["unique_id"] in keys, model["name"]
            assert all(c["description"] and c["data_type"] for c in model["columns"].values()), model["name"]


def test_documentation_is_one_page_that_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "dbt.html"
    generate_docs(page)
    text = page.read_text()
    assert "Sum of the pair" in text
    assert str(PROJECT_DIR.parent) not in text
