"""`recsaas tune`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake, TenantLake
from resources.tenants.settings import TenantSettings, TrainingSettings
from tests.unit.recsaas_assets.recommender.communities import shop
from tests.unit.resources.erasure.world import NOW

SMALL = {"dim": 4, "steps": 6, "negatives": 8}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TenantLake:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    monkeypatch.setenv("RECSAAS_TRAINING_THREADS", "1")
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    settings = TenantSettings(training=TrainingSettings.model_validate({"hyperparameters": SMALL}))
    create_tenant(db, TenantId("blue"), name="Blue", now=NOW, settings=settings)
    db.close()
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch").tenant(TenantId("blue"))


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_tune_goes_on_where_it_was_and_can_be_forgotten(lake: TenantLake) -> None:
    refused = recsaas("tune", "blue")
    assert refused.exit_code == 1 and "split.json is missing; run the tenant's pipeline" in refused.stderr
    shop().save(lake.training)
    first = recsaas("tune", "blue", "--trials", "2", "--json")
    assert first.exit_code == 0, first.output
    answer = json.loads(first.stdout)
    assert (answer["tenant"], answer["trials"], answer["fixed"]) == ("blue", 2, SMALL)
    assert [trial["number"] for trial in answer["all_trials"]] == [0, 1]
    second = recsaas("tune", "blue", "--trials", "3")
    assert second.exit_code == 0, second.output
    assert "trial 2 " in second.stderr and "trial 1 " not in second.stderr
    assert "as the search started" in second.stdout
    dead_end = shop(rows=3)
    dead_end.save(lake.training)
    nothing = recsaas("tune", "blue")
    assert nothing.exit_code == 1 and "Tenant blue: There is nothing to search on" in nothing.stderr
    assert [recsaas("tune", "blue", "--forget").stdout for _ in range(2)] == [
        "Forgotten. Runs start from the defaults again.\n",
        "Nothing was stored.\n",
    ]
