"""`recsaas migrate`: an installation from one kind of database to another."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
from rich.table import Table
from sqlalchemy import make_url

from recsaas_assets.commands.console import Installation, json_option, notes, print_json, results
from recsaas_assets.platform.processes import only_one
from resources.base.errors import ConfigurationError, NotFound
from resources.base.settings import Settings
from resources.control_db.copies import copy_control_db
from resources.control_db.engine import open_control_db
from resources.databases.copying import CopyProgress, TableCopy
from resources.databases.opening import POSTGRESQL, kind_of
from resources.decisions.store import copy_decisions, open_decisions

_SECONDS_BETWEEN_LINES = 2.0


@click.group()
def migrate() -> None:
    """Move the installation to another kind of database."""


@migrate.command(name="sqlite-to-postgres")
@click.option("--control-db", "control_file", type=click.Path(path_type=Path), help="Default: control.db in the home.")
@click.option(
    "--decisions", "decisions_file", type=click.Path(path_type=Path), help="Default: decisions.db in the home."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def sqlite_to_postgres(control_file: Path | None, decisions_file: Path | None, yes: bool, as_json: bool) -> None:
    """Copy the SQLite databases to the PostgreSQL databases of RECSAAS_DATABASE and RECSAAS_DECISIONS.

    The platform has to be stopped. Rows are counted and compared; the files stay as they are.
    """
    settings = Installation().settings
    moves = _moves(settings, control_file, decisions_file)
    if not yes:
        listed = "\n".join(f"  {file} → {_shown(url)}" for _, file, url, _ in moves)
        click.confirm(f"Every row is copied:\n{listed}\nGo on?", abort=True)
    copied: dict[str, tuple[TableCopy, ...]] = {}
    with only_one(settings.home):
        for name, file, url, move in moves:
            copied[name] = move(f"sqlite:///{file}", url, _told(name))
    if as_json:
        databases = {
            name: [{"table": each.table, "rows": each.rows, "checksum": each.checksum} for each in tables]
            for name, tables in copied.items()
        }
        print_json({"databases": databases, "left": [str(file) for _, file, _, _ in moves]})
        return
    table = Table("database", "table", "rows", "checksum")
    for name, tables in copied.items():
        for each in tables:
            table.add_row(name, each.table, f"{each.rows:,}", each.checksum[:12])
    results.print(table)
    results.print("Both sides hold the same rows. Start the platform with the same settings: recsaas up")


Move = Callable[[str, str, CopyProgress], tuple[TableCopy, ...]]


def _moves(settings: Settings, control: Path | None, decisions: Path | None) -> list[tuple[str, Path, str, Move]]:
    """What is moved: name, file, URL of the target and how.

    Raises:
        ConfigurationError: no PostgreSQL database is set, or a file was named for a log that goes to none.
        NotFound: there is no such file.
    """
    wanted: list[tuple[str, Path, str, Move]] = [
        ("control DB", control or settings.home / "control.db", settings.database_url, _move_control_db),
        ("decision log", decisions or settings.home / "decisions.db", settings.decisions_url, _move_decisions),
    ]
    moves = [each for each in wanted if kind_of(make_url(each[2])) == POSTGRESQL]
    if not moves:
        raise ConfigurationError(
            "Set RECSAAS_DATABASE, RECSAAS_DECISIONS or both to the PostgreSQL database to move to, for example "
            "postgresql://recsaas:password@host/recsaas. The files that are in use now are found in the home."
        )
    for name, file, _, _ in moves:
        if not file.is_file():
            raise NotFound(f"There is no {name} at {file}. Name the file, or move the other database alone.")
    return moves


def _move_control_db(source: str, target: str, on_progress: CopyProgress) -> tuple[TableCopy, ...]:
    with closing(open_control_db(source)) as old, closing(open_control_db(target)) as new:
        return copy_control_db(old, new, on_progress=on_progress)


def _move_decisions(source: str, target: str, on_progress: CopyProgress) -> tuple[TableCopy, ...]:
    with closing(open_decisions(source)) as old, closing(open_decisions(target)) as new:
        return copy_decisions(old, new, on_progress=on_progress)


def _told(name: str) -> CopyProgress:
    last = -_SECONDS_BETWEEN_LINES

    def tell(table: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            notes.print(f"{name}: {table}, {done:,} of {total:,} rows")

    return tell


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
