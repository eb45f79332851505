"""`recsaas recommendations`: the lists of all users in one file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.progress import Progress

from recsaas_assets.commands.console import TENANT, Installation, json_option, notes, print_json, results
from recsaas_assets.commands.serving.recommend import ranker_of
from resources.base.tenant import TenantId
from resources.recommendations.batch import RECOMMENDATION_SCHEMA, ListsOfAll, recommend_all, users_of
from resources.storage.table_file import check_table_file, write_table


@click.group()
def recommendations() -> None:
    """Recommend items to all users at once."""


@recommendations.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("-k", "--k", default=20, show_default=True, type=click.IntRange(1, 1000), help="Items for each user.")
@click.option("--to", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A .parquet or .csv file.")
@click.option("--scenario", help="Apply the rules of this scenario, too.")
@json_option
def export(tenant_id: TenantId, k: int, to: Path, scenario: str | None, as_json: bool) -> None:
    """Write the list of every user to a file: what the service would answer each of them now."""
    check_table_file(to)
    site = Installation()
    ranker = ranker_of(site, tenant_id)
    users = len(users_of(site.db, tenant_id, ranker)[0])
    with Progress(console=notes, transient=True) as progress:
        task = progress.add_task("users", total=users)
        rows = write_table(
            to,
            recommend_all(
                site.db,
                tenant_id,
                ranker,
                ListsOfAll(k, scenario),
                now=datetime.now(UTC),
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            ),
            RECOMMENDATION_SCHEMA,
        )
    version = ranker.release.version
    if as_json:
        print_json({"tenant": str(tenant_id), "release": version, "users": users, "rows": rows, "file": str(to)})
    else:
        results.print(f"Wrote {rows:,} rows for {users:,} users of tenant {tenant_id} to {to}, from release {version}.")
