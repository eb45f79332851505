"""Reading the environment."""

from pathlib import Path

import pytest

from resources.base.errors import ConfigurationError
from resources.base.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RECSAAS_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_everything_has_a_default_below_the_home(tmp_path: Path) -> None:
    settings = load_settings()
    home = tmp_path / "var"
    assert settings.home == home
    assert settings.lake_url == str(home / "lake")
    assert settings.database_url == f"sqlite:///{home}/control.db"
    assert settings.dagster_home == home / "dagster"
    assert settings.dbt_target == home / "dbt"
    assert (settings.host, settings.service_port, settings.dagster_port) == ("127.0.0.1", 8000, 3000)
    assert not home.exists()


def test_variables_are_read_and_the_argument_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECSAAS_HOME", "/somewhere/else")
    monkeypatch.setenv("RECSAAS_SERVICE_PORT", "0")
    monkeypatch.setenv("RECSAAS_LOG_LEVEL", "DEBUG")
    settings = load_settings(tmp_path / "mine")
    assert settings.home == tmp_path / "mine"
    assert (settings.service_port, settings.log_level) == (0, "DEBUG")


def test_relative_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes that work in other folders must mean the same files."""
    monkeypatch.setenv("RECSAAS_HOME", "state")
    monkeypatch.setenv("RECSAAS_LAKE", "lake")
    monkeypatch.setenv("RECSAAS_DATABASE", "sqlite:///ünï.db")
    settings = load_settings()
    assert settings.home == tmp_path / "state"
    assert settings.lake_url == str(tmp_path / "lake")
    assert settings.database_url == f"sqlite:///{tmp_path}/ünï.db"


@pytest.mark.parametrize(
    ("lake", "database"),
    [("s3://bucket/lake", "postgresql+psycopg://u@h/db"), ("/lake", "sqlite:////data/c.db"), ("/lake", "sqlite://")],
)
def test_addresses_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, lake: str, database: str) -> None:
    monkeypatch.setenv("RECSAAS_LAKE", lake)
    monkeypatch.setenv("RECSAAS_DATABASE", database)
    settings = load_settings()
    assert (settings.lake_url, settings.database_url) == (lake, database)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RECSAAS_SERVICE_PORT", "http"),
        ("RECSAAS_SERVICE_PORT", "65536"),
        ("RECSAAS_SERVICE_WORKERS", "0"),
        ("RECSAAS_MAX_UPLOAD_BYTES", ""),
        ("RECSAAS_LOG_LEVEL", "debug"),
        ("RECSAAS_TRAINING_THREADS", "-1"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        load_settings()
    assert [problem.field for problem in caught.value.details] == [variable]
    assert "docs/settings.md" in caught.value.message


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_SERVICE_PORT", "x")
    monkeypatch.setenv("RECSAAS_DAGSTER_PORT", "y")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert {problem.field for problem in caught.value.details} == {"RECSAAS_SERVICE_PORT", "RECSAAS_DAGSTER_PORT"}
