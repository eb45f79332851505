"""`recsaas docs`: the dbt documentation as one page."""

from __future__ import annotations

from pathlib import Path

import click

from recsaas_assets.commands.console import Installation, json_option, notes, print_json, results


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; when left out, <home>/dbt/docs/index.html, which the service shows at /data-docs.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@json_option
def docs(out: Path | None, show: bool, as_json: bool) -> None:
    """Write the dbt documentation (models, columns, lineage) as one static page."""
    from recsaas_assets.features.dbt_manifest import docs_are_current, generate_docs

    target = out or Installation().settings.data_docs
    if not docs_are_current(target):
        notes.print("Reading the models …")
        generate_docs(target)
    if as_json:
        print_json({"file": str(target), "bytes": target.stat().st_size})
    else:
        results.print(f"The documentation is {target}.")
    if show:
        click.launch(str(target))
