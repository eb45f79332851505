"""`recsaas settings`: every setting as it is in force, and where it comes from."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import Installation, json_option, print_json, results
from resources.base.masking import masked
from resources.base.settings import Settings, source_of


@click.command()
@click.option("--set", "only_set", is_flag=True, help="Only those that are not left at their default.")
@json_option
def settings(only_set: bool, as_json: bool) -> None:
    """Print every setting with where it comes from: the environment, a file, or its default. Passwords are masked."""
    found = Installation().settings
    rows = [_row(found, name) for name in Settings.model_fields if not only_set or source_of(name) != "default"]
    if as_json:
        print_json({"settings": rows})
        return
    table = Table("setting", "value", "from")
    for row in rows:
        table.add_row(str(row["name"]), escape(str(row["value"])), str(row["source"]))
    results.print(table)


def _row(found: Settings, name: str) -> dict[str, object]:
    resolved = {"lake": "lake_url", "database": "database_url", "decisions": "decisions_url"}
    value = getattr(found, resolved.get(name, name))
    shown = masked(name, str(value) if isinstance(value, Path) else value)
    return {"name": f"RECSAAS_{name.upper()}", "value": shown, "source": source_of(name)}
