"""A model has changed: rebuilding it for one tenant touches no other tenant's files, from the CLI and from the UI."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from dagster import AssetKey, Definitions

from recsaas_assets.cli import cli
from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from recsaas_assets.features.dbt_runner import run_dbt
from recsaas_assets.instance.home import dagster_instance
from resources.storage.lake import read_parquet
from tests.defs.site import Site, open_shop, recsaas_home

APPLE, BERRY = "apple", "berry"
MODEL = "popular_items"


def build(site: Site, definitions: Definitions, tenant: str, *models: str) -> None:
    """What the UI launches: the assets of a selection, for one partition."""
    with recsaas_home(site.home), dagster_instance(site.settings) as instance:
        instance.add_dynamic_partitions("tenants", [tenant])
        job = definitions.resolve_implicit_global_asset_job_def()
        chosen = job.get_subset(asset_selection={AssetKey(model) for model in models})
        assert chosen.execute_in_process(instance=instance, partition_key=tenant).success


def files(site: Site, tenant: str) -> dict[str, tuple[str, int]]:
    """Content and time of every file of a tenant."""
    root = Path(str(site.lake(tenant).root))
    return {
        str(path.relative_to(root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def shops(site: Site, definitions: Definitions) -> Site:
    """Two tenants with their raw tables and features."""
    site.create(APPLE, BERRY)
    for tenant, prefix in ((APPLE, "a-"), (BERRY, "b-")):
        open_shop(site, tenant, prefix)
        raw = ("tracked_events", "raw_items", "raw_users", "raw_interactions", "raw_uploads")
        build(site, definitions, tenant, *raw, "stg_items", "stg_users", "stg_interactions", "int_interaction_signals",
              "interaction_weights", "user_features", "item_features", MODEL, "stg_rejected",
              "int_kept_lines", "data_quality")  # fmt: skip
    return site


@pytest.fixture
def changed_project(tmp_path: Path) -> Path:
    """The project, with lists of three popular items."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT_DIR, project)
    model = project / "models" / "marts" / f"{MODEL}.sql"
    text = model.read_text()
    model.write_text(text.replace("popularity_rank <= {{ var('popular_items_per_list') }}", "popularity_rank <= 3"))
    assert model.read_text() != text
    return project


def test_a_changed_model_is_rebuilt_for_one_tenant_only(
    shops: Site, definitions: Definitions, changed_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsaas_assets.defs.data import features

    before = {tenant: files(shops, tenant) for tenant in (APPLE, BERRY)}
    assert read_parquet(shops.lake(APPLE).dbt / f"{MODEL}.parquet").height > 9

    old = json.loads((shops.settings.dbt_target / "manifest.json").read_text())
    new = json.loads(parse_manifest(changed_project, shops.settings.dbt_target).read_text())
    translator = features.TenantTranslator()
    models = [name for name, node in new["nodes"].items() if node["resource_type"] == "model"]
    stale = [n for n in models if len({translator.get_code_version(m["nodes"][n]) for m in (old, new)}) == 2]
    assert stale == [f"model.recsaas.{MODEL}"]

    monkeypatch.setattr(features, "run_dbt", partial(run_dbt, project_dir=changed_project))
    build(shops, definitions, APPLE, MODEL)
    assert read_parquet(shops.lake(APPLE).dbt / f"{MODEL}.parquet").height == 9  # three lists of three
    after = files(shops, APPLE)
    assert {name for name in after if after[name] != before[APPLE][name]} == {f"dbt/{MODEL}.parquet", "dbt/build.json"}
    assert files(shops, BERRY) == before[BERRY]

    with recsaas_home(shops.home):
        done = CliRunner().invoke(cli, ["backfill", BERRY, "--from", "features", "--json"])
    assert done.exit_code == 0, done.output
    assert read_parquet(shops.lake(BERRY).dbt / f"{MODEL}.parquet").height == 9
    assert files(shops, APPLE) == after
