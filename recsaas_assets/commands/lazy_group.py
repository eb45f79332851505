"""A group of commands that are imported when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from recsaas_assets.commands.console import RecsaasGroup


class LazyGroup(RecsaasGroup):
    """A group that imports a command when it is needed: `recsaas --help` must not wait for dagster and torch."""

    def __init__(self, *args: Any, lazy: dict[str, str], **kwargs: Any) -> None:
        """`lazy` names the place of each command as `module:attribute`."""
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order they were given: that in which a newcomer needs them."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first line; importing them for that is fine, they are light."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(90)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
