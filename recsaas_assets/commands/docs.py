"""`recsaas docs`: the dbt documentation as one page."""

from __future__ import annotations

from pathlib import Path

import click

from recsaas_assets.commands.console import Installation, json_option, notes, print_json, results


@click.command()
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; <home>/docs/dbt.html when left out."
)
@json_option
def docs(out: Path | None, as_json: bool) -> None:
    """Write the dbt documentation (models, columns, lineage) as one static page."""
    from recsaas_assets.dbt_manifest import generate_docs

    settings = Installation().settings
    target = out or settings.home / "docs" / "dbt.html"
    notes.print("Reading the models …")
    generate_docs(target)
    if as_json:
        print_json({"file": str(target), "bytes": target.stat().st_size})
    else:
        results.print(f"Wrote {target}. Open it in a browser.")
