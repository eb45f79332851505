"""`recsaas tenant settings`, `key`, `suspend` and `resume`, as a person or a script calls them, and what `up` sells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from recsaas_assets.commands.console import Installation
from recsaas_assets.commands.platform.up import with_sample_shop
from resources.base.tenant import TenantId
from resources.control_db.api_keys import authenticate, list_api_keys
from resources.control_db.engine import open_control_db
from resources.tenants.settings import TenantSettings


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


def test_a_key_may_do_what_its_scopes_say(tmp_path: Path) -> None:
    scopes = ("--scope", "recommendations:read", "--scope", "interactions:write")
    made = json.loads(recsaas("tenant", "key", "blue", "--name", "web", *scopes, "--json").stdout)
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    known = authenticate(db, made["api_key"])
    db.close()
    assert known is not None
    assert (known.tenant.value, known.name, known.id) == ("blue", "web", made["id"])
    assert known.scopes == {"recommendations:read", "interactions:write"}
    assert made["api_key"] not in recsaas("tenant", "key", "blue", "--name", "web", *scopes).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "--name", "web", "--scope", "admin"), "recsaas tenant list"),
        (("blue", "--name", "web"), "Missing option '--scope'"),
        (("blue", "--name", "web", "--scope", "all"), "'all' is not one of"),
    ],
)
def test_a_key_without_a_tenant_or_scope_is_refused(arguments: tuple[str, ...], said: str) -> None:
    refused = recsaas("tenant", "key", *arguments)
    assert refused.exit_code != 0
    assert said in refused.stderr


def test_the_keys_of_a_tenant_are_made_listed_and_revoked(tmp_path: Path) -> None:
    scope = ("--scope", "recommendations:read")
    made = json.loads(recsaas("tenant", "key", "create", "blue", "--name", "web", *scope, "--json").stdout)
    shown = recsaas("tenant", "key", "list", "blue").stdout
    assert "web" in shown and made["id"] in shown and made["api_key"] not in shown
    revoked = json.loads(recsaas("tenant", "key", "revoke", "blue", made["id"], "--yes", "--json").stdout)
    assert (revoked["id"], revoked["status"]) == (made["id"], "revoked")
    listed = json.loads(recsaas("tenant", "key", "list", "blue", "--json").stdout)["keys"]
    assert [(key["name"], key["status"]) for key in listed] == [("first key", "active"), ("web", "revoked")]
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    assert authenticate(db, made["api_key"]) is None
    db.close()


def test_a_stop_asks_first_and_the_last_admin_key_may_go(tmp_path: Path) -> None:
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    (first,) = list_api_keys(db, TenantId("blue"))
    asked = CliRunner().invoke(cli, ["tenant", "key", "revoke", "blue", first.id], input="n\n")
    assert asked.exit_code == 1 and "first key" in asked.stderr
    asked = CliRunner().invoke(cli, ["tenant", "suspend", "blue"], input="n\n")
    assert asked.exit_code == 1
    assert list_api_keys(db, TenantId("blue")) == (first,)
    done = recsaas("tenant", "key", "revoke", "blue", first.id, "--yes")
    assert done.exit_code == 0 and "no key with the scope admin" in done.stderr
    missing = recsaas("tenant", "key", "revoke", "blue", "nothing", "--yes")
    assert missing.exit_code == 1 and "has no API key 'nothing'" in missing.stderr
    db.close()


def test_a_suspended_tenant_is_not_run_until_it_is_resumed() -> None:
    assert json.loads(recsaas("tenant", "suspend", "blue", "--yes", "--json").stdout)["status"] == "suspended"
    assert "suspended" in recsaas("tenant", "list").stdout
    for command in (("run", "blue"), ("backfill", "blue")):
        refused = recsaas(*command)
        assert refused.exit_code == 1 and "recsaas tenant resume blue" in refused.stderr
    assert "is active" in recsaas("tenant", "resume", "blue", "--yes").stdout
    for command in ("suspend", "resume"):
        missing = recsaas("tenant", command, "nobody", "--yes")
        assert missing.exit_code == 1 and "no tenant nobody" in missing.stderr


def test_a_key_of_the_platform_is_made_by_command(tmp_path: Path) -> None:
    made = json.loads(
        recsaas("tenant", "key", "create", "blue", "--name", "ops", "--scope", "platform", "--json").stdout
    )
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    known = authenticate(db, made["api_key"])
    first = next(key for key in list_api_keys(db, TenantId("blue")) if key.name == "first key")
    db.close()
    assert known is not None and known.scopes == {"platform"}
    assert "platform" not in first.scopes  # a tenant's own key with everything has not this one


def test_up_opens_the_demo_shop_only_for_the_tenant_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert with_sample_shop(Installation()).demo_tenant == ""
    recsaas("tenant", "create", "sample")
    assert with_sample_shop(Installation()).demo_tenant == ""  # a real shop may have that name
    (tmp_path / "sample").mkdir()
    assert with_sample_shop(Installation()).demo_tenant == "sample"
    monkeypatch.setenv("RECSAAS_DEMO_TENANT", "blue")
    assert with_sample_shop(Installation()).demo_tenant == "blue"
