"""What `recsaas doctor` says of databases on a server, and the figures of the bench on both kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from recsaas_assets.commands.console import Installation
from recsaas_assets.commands.platform.database_checks import database_checks
from resources.control_db.engine import open_control_db
from resources.databases.health import look_at_server
from tests.postgresql.server import PostgresServer

pytestmark = pytest.mark.postgresql


@pytest.fixture
def site(tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    names = [postgres_server.database(), postgres_server.database()]
    monkeypatch.setenv("RECSAAS_DATABASE", postgres_server.url(names[0]) + "?connections=8")
    monkeypatch.setenv("RECSAAS_DECISIONS", postgres_server.url(names[1]))
    site = Installation(tmp_path)
    yield site
    if "db" in site.__dict__:
        site.db.close()
    if "decisions" in site.__dict__:
        site.decisions.close()
    for name in names:
        postgres_server.drop(name)


def test_a_server_is_described(site: Installation) -> None:
    found = {each.check: each for each in database_checks(site)}
    assert [*found] == ["control DB", "control DB server", "decision log", "decision log server"]
    assert "on PostgreSQL" in found["control DB"].found and found["decision log"].ok
    # The server of the tests does not wait for its disk, and nothing else is unusual about it.
    assert found["control DB server"].found == "fsync is off"
    with closing(site.db):
        health = look_at_server(site.db.engine)
    described = replace(health, fsync=True)
    assert described.problems() == ()
    assert (
        f"PostgreSQL {health.version}, UTF8" in described.describe()
        and "up to 8 of this process" in described.describe()
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 130_000, "version": "13.1"}, "version 13.1 is too old"),
        ({"encoding": "LATIN1"}, "its encoding is LATIN1"),
        ({"collation": "de_DE.UTF-8"}, "in the order of de_DE.UTF-8"),
        ({"may_create": False}, "may not make tables"),
        ({"read_only": True}, "a replica"),
        ({"connections": 95, "most_connections": 100}, "95 of 100 connections are taken"),
        ({"skew": -40.0}, "differs from this machine's by -40 s"),
        ({"latency": 0.05}, "takes 50 ms"),
    ],
)
def test_what_is_wrong_with_a_server_is_named_with_what_to_do(
    site: Installation, change: dict[str, object], said: str
) -> None:
    with closing(site.db):
        health = replace(look_at_server(site.db.engine), fsync=True, latency=0.001)
    (problem,) = replace(health, **change).problems()  # type: ignore[arg-type]
    assert said in problem.what and problem.advice.endswith((".", "each."))


def test_a_server_that_is_away_is_named(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    first = next(iter(database_checks(Installation(site.home))))
    assert not first.ok and "RECSAAS_DATABASE" in first.advice


def test_the_bench_measures_both_and_leaves_nothing(postgres_server: PostgresServer) -> None:
    before = postgres_server.execute("SELECT count(*) FROM pg_database")
    url = postgres_server.url("postgres")
    arguments = ["bench", "live-reads", "--postgresql", url, "--events", "1000", "--calls", "100", "--json"]
    measured = CliRunner().invoke(cli, arguments)
    assert measured.exit_code == 0, measured.output
    figures = json.loads(measured.stdout)["figures"]
    assert [*figures] == ["sqlite", "postgresql"]
    assert figures["postgresql"]["read of a user"]["p50_us"] > 0
    assert postgres_server.execute("SELECT count(*) FROM pg_database") == before


def test_a_wrong_password_does_not_show_it(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.url("nosuch").replace("recsaas@", "recsaas:hunter2@")
    with pytest.raises(Exception, match="nosuch") as refused:
        open_control_db(url)
    assert "hunter2" not in str(refused.value)
