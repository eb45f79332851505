"""`recsaas tenant settings`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from resources.tenant_settings import TenantSettings


@pytest.fixture(autouse=True)
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    recsaas("tenant", "create", "blue")


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_settings_are_shown_changed_and_set_back() -> None:
    shown = recsaas("tenant", "settings", "blue").stdout
    assert "training.model_type" in shown and '"lightgcn"' in shown
    changes = ("--set", "training.model_type=two_tower", "--set", "training.hyperparameters.dim=32")
    answer = json.loads(recsaas("tenant", "settings", "blue", *changes, "--json").stdout)
    assert answer["settings"]["training"]["hyperparameters"] == {"dim": 32}
    unset = ("--unset", "training.model_type", "--unset", "training.hyperparameters")
    answer = json.loads(recsaas("tenant", "settings", "blue", *unset, "--json").stdout)
    assert answer["settings"]["training"]["model_type"] == "lightgcn"
    assert answer["settings"]["training"]["hyperparameters"] == {}


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.model_type", "is not NAME=VALUE"),
        ("training.tolerance=null", "use --unset"),
        ("training.tolerance=2", "training.tolerance"),
        ("colour=red", "colour"),
        ("training.hyperparameters.dims=8", "training.hyperparameters.dims: not one of lightgcn, which has"),
        ("training.hyperparameters.dim=1", "training.hyperparameters.dim: Input should be greater than"),
    ],
)
def test_what_does_not_fit_is_refused(assignment: str, said: str) -> None:
    refused = recsaas("tenant", "settings", "blue", "--set", assignment)
    assert refused.exit_code != 0
    assert said in refused.output or said in str(refused.exception)
    shown = json.loads(recsaas("tenant", "settings", "blue", "--json").stdout)
    assert shown["settings"] == TenantSettings().model_dump(mode="json")


def test_a_model_type_that_lacks_a_hyperparameter_of_the_tenant_is_refused() -> None:
    recsaas("tenant", "settings", "blue", "--set", "training.hyperparameters.edge_weight=log")
    refused = recsaas("tenant", "settings", "blue", "--set", "training.model_type=two_tower")
    assert refused.exit_code == 1 and "edge_weight: not one of two_tower" in refused.stderr
    both = ("--set", "training.model_type=two_tower", "--unset", "training.hyperparameters.edge_weight")
    assert recsaas("tenant", "settings", "blue", *both).exit_code == 0
