"""The installation that commands work on, and their output for people and for scripts."""

from __future__ import annotations

import getpass
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from resources.access.actor import Actor
from resources.base.errors import RecsaasError
from resources.base.ids import checked_id
from resources.base.settings import Settings, load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.decisions.store import DecisionStore, open_decisions
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore

# Progress and tables go to stderr when a script reads stdout; results go to stdout.
# A pipe has no width; 80 columns would cut versions and ids in two.
notes = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, width=None if sys.stdout.isatty() else 160)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@dataclass(frozen=True)
class Installation:
    """Settings, lake and control DB, each opened when first used."""

    home: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings of this installation."""
        return load_settings(self.home)

    @cached_property
    def lake(self) -> Lake:
        """The lake."""
        return Lake.open(self.settings.lake_url, scratch=self.settings.scratch, s3_endpoint=self.settings.s3_endpoint)

    @cached_property
    def db(self) -> ControlDb:
        """The control DB."""
        return open_control_db(self.settings.database_url)

    def store(self, tenant: TenantId) -> TenantStore:
        """The stored data of one tenant."""
        return TenantStore(self.lake, self.db, tenant)

    @cached_property
    def decisions(self) -> DecisionStore:
        """The decision log."""
        return open_decisions(self.settings.decisions_url)


class TenantParameter(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A tenant id on the command line."""

    name = "tenant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TenantId:
        """Parse; a value that is not a tenant id is a usage error."""
        if isinstance(value, TenantId):
            return value
        try:
            return TenantId.parse(str(value))
        except RecsaasError as error:
            self.fail(error.message, param, ctx)


TENANT = TenantParameter()


class ShopIdParameter(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """An id of a user or an item, in the one form in which it is stored."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Normalise the text."""
        try:
            return checked_id(str(value))
        except ValueError as error:
            self.fail(f"{str(value)[:80]!r} {error}.", param, ctx)


SHOP_ID = ShopIdParameter()


class RecsaasGroup(click.Group):
    """Prints an expected error as one line (or one JSON object with `--json`) and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RecsaasError as error:
            details = [{"field": d.field, "message": d.message} for d in error.details]
            _say(getattr(error, "reason", error.code), error.message, details)
        except BrokenPipeError:
            raise
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _say("io_error", f"{place}{error.strerror or error}. Check the path and your rights to it.", [])
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            _say("database_error", f"The control DB cannot be used: {reason} Check RECSAAS_DATABASE.", [])
        ctx.exit(1)


def command_actor() -> Actor:
    """Whoever has called this command, by the name that the system knows them by."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have
        user = f"uid-{os.getuid()}"
    return Actor(kind="command", id=user, name=user, source="command")


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _say(code: str, message: str, details: list[dict[str, str]]) -> None:
    if "--json" in sys.argv:
        print_json({"error": {"code": code, "message": message, "details": details}})
    else:
        notes.print(f"[bold red]Error:[/] {_escape(message)}")


def _escape(text: str) -> str:
    return text.replace("[", "\\[")
