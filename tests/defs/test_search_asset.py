"""The search as an asset: off unless the tenant asks, kept while the data is much the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, materialize

from recsaas_assets.defs.common.partitions import tenants_partitions
from recsaas_assets.defs.models.search import hyperparameter_search
from recsaas_assets.recommender.search.search_result import SearchResult, best_file
from resources.base.tenant import TenantId
from resources.control_db.tenants import change_settings, create_tenant
from resources.dagster_resources import PlatformResource, TenantRunResource
from tests.defs.site import Site, recsaas_home
from tests.unit.recsaas_assets.recommender.communities import shop


@pytest.fixture
def bare_site(tmp_path: Path) -> Site:
    """An installation without dbt's parse, which this asset has no need for."""
    return Site(tmp_path)


def run(site: Site) -> dict[str, object]:
    with recsaas_home(site.home), DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(tenants_partitions.name), ["blue"])
        result = materialize(
            [hyperparameter_search],
            partition_key="blue",
            instance=instance,
            resources={"tenant_run": TenantRunResource(platform=PlatformResource())},
        )
        (done,) = result.asset_materializations_for_node("hyperparameter_search")
        assert done.asset_key == AssetKey("hyperparameter_search")
        return {name: value.value for name, value in done.metadata.items()}


def test_off_then_searched_then_kept_then_mended_then_skipped(bare_site: Site) -> None:
    tenant = TenantId("blue")
    create_tenant(bare_site.db, tenant, name="Blue", now=datetime.now(UTC))
    lake = bare_site.lake("blue")
    assert run(bare_site) == {
        "status": "off; switch it on with: recsaas tenant settings blue --set training.search=true"
    }
    small = {"dim": 4, "steps": 6, "negatives": 8}
    wanted = {f"training.hyperparameters.{name}": value for name, value in small.items()}
    change_settings(
        bare_site.db, tenant, {**wanted, "training.search": True, "training.search_trials": 3}, now=datetime.now(UTC)
    )
    shop().save(lake.training)
    searched = run(bare_site)
    assert searched["status"] == "searched until the trials of the budget were used up"
    assert searched["trial_count"] == 3
    assert "as the search started" in str(searched["trials"]) and "data:image/png" in str(searched["plot"])
    assert SearchResult.load(lake.search, "lightgcn") is not None
    assert "kept: found on" in str(run(bare_site)["status"])
    (lake.search / best_file("lightgcn")).write_text("{")
    mended = run(bare_site)
    assert mended["trial_count"] == 3 and "not used" in str(mended["earlier_result"])
    (lake.search / best_file("lightgcn")).unlink()
    shop(rows=2).save(lake.training)
    assert "skipped: There is nothing to search on" in str(run(bare_site)["status"])
    bare_site.db.close()
