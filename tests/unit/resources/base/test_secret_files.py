"""Settings that are secrets: in files, and masked where people see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from resources.base.errors import ConfigurationError
from resources.base.masking import MASK, masked
from resources.base.settings import SECRET_SETTINGS, Settings, load_settings, source_of

PASSWORDS = {
    "database": "postgresql://app:hunter2@db.example.com/recsaas?sslmode=require",
    "decisions": "postgresql://app:hunter2@db.example.com/decisions",
    "redis_url": "rediss://:hunter2@cache.example.com:6379/0",
    "smtp_url": "smtp://mail:hunter2@mail.example.com:587/?from=shop@example.com",
    "oidc_client_secret": "hunter2",
    "billing_webhook_secret": "whsec_hunter2",
}


def test_whatever_is_a_secret_by_its_name_may_stand_in_a_file_and_is_not_printed() -> None:
    named = {name for name in Settings.model_fields if masked(name, "hunter2") == MASK}
    assert len(named) > 1 and named <= set(SECRET_SETTINGS)
    assert "hunter2" not in repr(Settings(**{name: value for name, value in PASSWORDS.items()}))  # type: ignore[arg-type]


def test_a_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(PASSWORDS) == set(SECRET_SETTINGS)
    for name, value in PASSWORDS.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        monkeypatch.setenv(f"RECSAAS_{name.upper()}_FILE", str(tmp_path / name))
    settings = load_settings(tmp_path)
    assert {name: getattr(settings, name) for name in PASSWORDS} == PASSWORDS
    assert {source_of(name) for name in PASSWORDS} == {"file"}
    assert source_of("host") == "default"


def test_both_at_once_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("redis://a", encoding="utf-8")
    monkeypatch.setenv("RECSAAS_REDIS_URL_FILE", str(tmp_path / "x"))
    monkeypatch.setenv("RECSAAS_REDIS_URL", "redis://b")
    with pytest.raises(ConfigurationError, match="RECSAAS_REDIS_URL and RECSAAS_REDIS_URL_FILE are both set"):
        load_settings(tmp_path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    monkeypatch.setenv("RECSAAS_DATABASE_FILE", str(tmp_path / "x"))
    with pytest.raises(ConfigurationError, match=r"RECSAAS_DATABASE_FILE: .*x cannot be read"):
        load_settings(tmp_path)


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_file_is_no_setting_that_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "x").write_text(content, encoding="utf-8")
    monkeypatch.setenv("RECSAAS_DATABASE_FILE", str(tmp_path / "x"))
    with pytest.raises(ConfigurationError, match=r"RECSAAS_DATABASE_FILE: .*x is empty"):
        load_settings(tmp_path)


def test_a_file_that_is_too_long_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_OIDC_CLIENT_SECRET_FILE", str(tmp_path / "x"))
    (tmp_path / "x").write_text("a" * 65_536, encoding="utf-8")
    assert len(load_settings(tmp_path).oidc_client_secret) == 65_536
    (tmp_path / "x").write_text("a" * 65_537, encoding="utf-8")
    with pytest.raises(
        ConfigurationError, match=r"RECSAAS_OIDC_CLIENT_SECRET_FILE: .*x has more than 65,536"
    ) as caught:
        load_settings(tmp_path)
    assert "aaa" not in caught.value.message


def test_what_is_in_a_file_is_checked_as_any_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("http://no-redis", encoding="utf-8")
    monkeypatch.setenv("RECSAAS_REDIS_URL_FILE", str(tmp_path / "x"))
    with pytest.raises(ConfigurationError, match="RECSAAS_REDIS_URL") as caught:
        load_settings(tmp_path)
    assert "no-redis" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("database", "postgresql://app:p@ss@db/x", "postgresql://app:***@db/x"),
        (
            "database",
            "postgresql://app:hunter2@db/x?sslpassword=y&z=1",
            "postgresql://app:***@db/x?sslpassword=***&z=1",
        ),
        ("database", "postgresql://db/x?user=app&password=hunter2", "postgresql://db/x?user=app&password=***"),
        ("redis_url", "redis://:hunter2@cache:6379", "redis://:***@cache:6379"),
        ("redis_url", "redis://cache:6379", "redis://cache:6379"),
        ("oidc_client_secret", "hunter2", "***"),
        ("oidc_client_secret", "", ""),
        ("service_workers", 2, 2),
    ],
)
def test_passwords_are_masked(name: str, value: object, shown: object) -> None:
    assert masked(name, value) == shown


def test_the_command_shows_every_setting_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(f"RECSAAS_{name.upper()}", value)
    for arguments in (["settings", "--json"], ["settings"], ["settings", "--set", "--json"]):
        shown = CliRunner().invoke(cli, arguments)
        assert shown.exit_code == 0, shown.output
        assert "hunter2" not in shown.output
        assert "RECSAAS_OIDC_CLIENT_SECRET" in shown.output
    rows = {row["name"]: row for row in json.loads(shown.stdout)["settings"]}
    assert rows["RECSAAS_DATABASE"] == {
        "name": "RECSAAS_DATABASE",
        "value": "postgresql://app:***@db.example.com/recsaas?sslmode=require",
        "source": "environment",
    }
    assert "RECSAAS_HOST" not in rows
