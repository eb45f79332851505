"""`recsaas migrate sqlite-to-postgres`: an installation that has lived on SQLite goes on, on PostgreSQL, as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recsaas_assets.cli import cli
from recsaas_assets.platform.processes import only_one
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.events.log import Event, EventLog
from tests.defs.site import recsaas_home
from tests.postgresql.server import PostgresServer
from tests.recorded.filling import served
from tests.recorded.installation import Recorded, asked, unpack
from tests.recorded.questions import differences

pytestmark = [pytest.mark.postgresql, pytest.mark.e2e]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return unpack(tmp_path)


@pytest.fixture
def home(
    tmp_path: Path, recorded: Recorded, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    names = [postgres_server.database(), postgres_server.database()]
    monkeypatch.setenv("RECSAAS_DATABASE", postgres_server.url(names[0]))
    monkeypatch.setenv("RECSAAS_DECISIONS", postgres_server.url(names[1]))
    with recsaas_home(tmp_path / "home"):
        yield tmp_path / "home"
    for name in names:
        postgres_server.drop(name)


def move(*options: str) -> Result:
    return CliRunner().invoke(cli, ["migrate", "sqlite-to-postgres", *options])


def rows_of(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def answers_on_sqlite(home: Path, recorded: Recorded, copy: Path) -> list[str]:
    shutil.copytree(home, copy)
    with pytest.MonkeyPatch.context() as environment:
        for name in ("RECSAAS_DATABASE", "RECSAAS_DECISIONS"):
            environment.delenv(name)
        open_control_db(f"sqlite:///{copy}/control.db").close()
        with served(copy, recorded.now) as service:
            return list(asked(service.client, list(recorded.answers)).values())


def test_it_answers_as_before_and_counts_on(home: Path, recorded: Recorded, tmp_path: Path) -> None:
    before = answers_on_sqlite(home, recorded, tmp_path / "copy")
    moved = move("--yes", "--json")
    assert moved.exit_code == 0, moved.output
    databases = json.loads(moved.stdout)["databases"]
    rows = {each["table"]: each["rows"] for tables in databases.values() for each in tables}
    assert rows["events"] == rows_of(home / "control.db", "events") > 0
    assert rows["jobs"] == len(recorded.jobs) and rows["decisions"] == rows_of(home / "decisions.db", "decisions") > 0
    assert "events, " in moved.stderr

    again = move("--yes")
    assert again.exit_code == 1 and "has rows in" in again.stderr

    with closing(sqlite3.connect(home / "control.db")) as old:
        newest = {name: seq for name, seq in old.execute("SELECT name, seq FROM sqlite_sequence")}
    for file in (*home.glob("control.db*"), *home.glob("decisions.db*")):
        file.unlink()  # nothing is read from there any more
    with served(home, recorded.now) as service:
        answers = asked(service.client, list(recorded.answers))
        questions = [{"ask": request} for request in answers]
        assert list(differences(questions, before, list(answers.values()))) == []
        event = Event(event_id="n", user_id="u", item_id="i", interaction_type="view", timestamp=recorded.now)
        with closing(open_control_db(service.app.state.services.settings.database_url)) as db:
            (added,) = EventLog(db).append(TenantId("alma"), [event], now=recorded.now)
        assert added.seq == newest["events"] + 1
    assert not list(home.glob("*.db"))


def test_what_postgresql_cannot_hold_is_named_and_nothing_is_copied(
    home: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_control_db(f"sqlite:///{home}/control.db").close()
    with closing(sqlite3.connect(home / "control.db")) as connection, connection:
        connection.execute("UPDATE tenants SET name = 'a' || char(0) || 'b' WHERE id = 'alma'")
        connection.execute("UPDATE events SET interaction_type = ? WHERE seq = 1", ("x" * 33,))
    refused = move("--yes")
    assert refused.exit_code == 1
    assert "tenants.name of id='alma': a NUL character" in refused.stderr
    assert "events.interaction_type of seq='1': 33 characters, 32 are allowed" in refused.stderr
    with closing(sqlite3.connect(home / "control.db")) as connection, connection:
        connection.execute("UPDATE tenants SET name = 'ab' WHERE id = 'alma'")
        connection.execute("UPDATE events SET interaction_type = 'view' WHERE seq = 1")
    assert move("--yes").exit_code == 0


def test_it_is_refused_while_the_platform_runs(home: Path) -> None:
    with only_one(home):
        refused = move("--yes")
    assert refused.exit_code == 1 and "Stop it" in refused.stderr


def test_without_a_target_it_says_what_to_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RECSAAS_DATABASE", "RECSAAS_DECISIONS"):
        monkeypatch.delenv(name)
    refused = move("--yes")
    assert refused.exit_code == 1 and "Set RECSAAS_DATABASE" in refused.stderr


def test_a_person_is_asked_and_may_say_no(home: Path) -> None:
    asked_first = CliRunner().invoke(cli, ["migrate", "sqlite-to-postgres"], input="n\n")
    assert asked_first.exit_code == 1 and "Go on?" in asked_first.output
    with closing(sqlite3.connect(home / "control.db")) as connection:
        assert connection.execute("SELECT count(*) FROM tenants").fetchone()[0] > 0
