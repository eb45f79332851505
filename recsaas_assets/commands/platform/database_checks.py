"""What `recsaas doctor` says of the databases: that they answer, are up to date, and fit for work on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from recsaas_assets.commands.console import Installation
from recsaas_assets.commands.platform.checks import CheckResult, try_check
from resources.base.errors import RecsaasError
from resources.control_db.engine import revision_of
from resources.control_db.tenants import list_tenants
from resources.databases.health import look_at_server
from resources.databases.opening import is_postgresql

_ADVICE = "Check {setting}, and that the server runs and lets its user in; on SQLite the folder's rights."


def database_checks(site: Installation) -> Iterator[CheckResult]:
    """Look at the control DB and at the decision log; the first result is whether the control DB answers."""
    control = try_check("control DB", lambda: _tenants(site), _ADVICE.format(setting="RECSAAS_DATABASE"))
    yield control
    if control.ok and is_postgresql(site.db.engine):
        yield from _server("control DB server", site.db.engine)
    decisions = try_check("decision log", lambda: _log(site), _ADVICE.format(setting="RECSAAS_DECISIONS"))
    yield decisions
    if decisions.ok and is_postgresql(site.decisions.engine):
        yield from _server("decision log server", site.decisions.engine)


def _tenants(site: Installation) -> str:
    count = len(list_tenants(site.db))
    revision, _ = revision_of(site.db.engine)
    return f"{count} tenants, schema {revision}, on {_kind(site.db.engine)}"


def _log(site: Installation) -> str:
    with site.decisions.engine.connect():
        return f"answers, on {_kind(site.decisions.engine)}"


def _kind(engine: Engine) -> str:
    return "PostgreSQL" if is_postgresql(engine) else "SQLite"


def _server(name: str, engine: Engine) -> Iterator[CheckResult]:
    try:
        health = look_at_server(engine)
    except (RecsaasError, SQLAlchemyError) as error:
        yield CheckResult(name, False, str(error), "Check that its user may read pg_database and pg_stat_activity.")
        return
    problems = health.problems()
    for problem in problems:
        yield CheckResult(name, False, problem.what, problem.advice)
    if not problems:
        yield CheckResult(name, True, health.describe())
