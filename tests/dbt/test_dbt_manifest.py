"""The project without a tenant: parsed once, parsed again when it changed, documented offline."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import docs_are_current, generate_docs, parse_manifest, project_hash
from recsaas_assets.features.dbt_runner import run_dbt
from resources.base.errors import ConfigurationError


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
        assert "Found 12 models" in log


def test_nothing_is_written_into_the_project(tmp_path: Path, target_dir: Path, make_tenant: Any) -> None:
    run_dbt(["run", "--select", "stg_items"], tenant_lake=make_tenant(tmp_path), target_dir=target_dir)
    assert {path.suffix for path in PROJECT_DIR.rglob("*") if path.is_file()} == {".sql", ".yml", ".md"}
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
    page = tmp_path / "docs" / "index.html"
    assert not docs_are_current(page)
    generate_docs(page)
    assert docs_are_current(page)
    text = page.read_text()
    assert "Sum of the pair" in text
    for folder in (PROJECT_DIR.parent, Path(tempfile.gettempdir()), Path.home(), tmp_path):
        assert f"{folder}/" not in text
    changed = tmp_path / "project"
    shutil.copytree(PROJECT_DIR, changed)
    (changed / "models" / "groups.yml").write_text("version: 2\n\n" + (changed / "models" / "groups.yml").read_text())
    assert not docs_are_current(page, project_dir=changed)


def test_every_mart_has_an_exposure(target_dir: Path) -> None:
    manifest = json.loads((target_dir / "manifest.json").read_text())
    exposed = {node for exposure in manifest["exposures"].values() for node in exposure["depends_on"]["nodes"]}
    marts = {
        n["unique_id"]
        for n in manifest["nodes"].values()
        if n.get("fqn", [])[1:2] == ["marts"] and n["resource_type"] == "model"
    }
    assert len(marts) == 5
    assert marts - exposed == set()


def test_the_features_are_those_of_the_data_contract(target_dir: Path) -> None:
    nodes = json.loads((target_dir / "manifest.json").read_text())["nodes"]
    assert list(nodes["model.recsaas.user_features"]["columns"])[1:] == [
        "interaction_count", "view_count", "click_count", "add_to_cart_count", "purchase_count", "rating_count",
        "distinct_items", "distinct_categories", "avg_rating", "avg_duration_seconds", "total_spend",
        "avg_purchase_price", "purchase_rate", "active_days", "tenure_days", "days_since_last_interaction",
        "favourite_category",
    ]  # fmt: skip
    assert list(nodes["model.recsaas.item_features"]["columns"])[1:] == [
        "interaction_count", "view_count", "click_count", "add_to_cart_count", "purchase_count", "distinct_users",
        "rating_count", "avg_rating", "cart_rate", "conversion_rate", "revenue", "popularity_score", "trending_score",
        "days_since_last_interaction", "price_percentile_in_category",
    ]  # fmt: skip
