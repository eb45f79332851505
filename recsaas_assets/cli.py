"""`recsaas`: every command a person needs, thin over the functions that do the work."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import warnings

import click

from recsaas_assets.commands.console import RecsaasGroup

# Commands are imported when they are called: `recsaas --help` must not wait for dagster and torch.
_COMMANDS = {
    "demo": "recsaas_assets.commands.demo:demo",
    "up": "recsaas_assets.commands.up:up",
    "sample": "recsaas_assets.commands.sample:sample",
    "tenant": "recsaas_assets.commands.tenant:tenant",
    "upload": "recsaas_assets.commands.upload:upload",
    "run": "recsaas_assets.commands.run:run",
    "backfill": "recsaas_assets.commands.run:backfill",
    "evaluate": "recsaas_assets.commands.evaluate:evaluate",
    "recommend": "recsaas_assets.commands.recommend:recommend",
    "similar": "recsaas_assets.commands.recommend:similar",
    "releases": "recsaas_assets.commands.releases:releases",
    "docs": "recsaas_assets.commands.docs:docs",
    "doctor": "recsaas_assets.commands.doctor:doctor",
}


class LazyGroup(RecsaasGroup):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first line; importing them for that is fine, they are light."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(90)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(name="recsaas", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recsaas")
def cli() -> None:
    """Recommendations for shops: upload CSV files, run the pipeline, ask what is next."""


def main() -> None:
    """Entry of the `recsaas` script."""
    # The pinned Dagster marks partitioned checks as a preview; a person at a terminal cannot act on that.
    warnings.simplefilter("ignore")
    code: int | str | None = 0
    try:
        cli()
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        click.echo(code, err=True)
    # DuckDB's and other native modules print pages about leaked objects when the interpreter is torn down.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
