"""`recsaas sample`: write the files of an invented electronics shop, ours or as a system in use exports them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from recsaas_assets.commands.console import json_option, print_json, results

_SHAPES = ("shopify", "woocommerce", "ga4", "rees46", "retailrocket", "movielens")


@click.command()
@click.option("--users", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--items", default=5_000, show_default=True, type=click.IntRange(min=1))
@click.option("--interactions", default=100_000, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=7, show_default=True, help="The same seed writes the same files.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the history; today when left out.")
@click.option(
    "--dirty-rows",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Faulty rows to add.",
)
@click.option("--shape", type=click.Choice(_SHAPES), help="Files as this system exports them, instead of ours.")
@click.option(
    "--rows", default=5_000, show_default=True, type=click.IntRange(min=1), help="Interactions, with --shape."
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write into.")
@json_option
def sample(
    users: int,
    items: int,
    interactions: int,
    seed: int,
    end: datetime | None,
    dirty_rows: int,
    shape: str | None,
    rows: int,
    out: Path,
    as_json: bool,
) -> None:
    """Write items.csv, users.csv and interactions.csv of an invented electronics shop.

    With --shape, the shop's catalogue and interactions are written as that system exports them.
    """
    from recsaas_assets.sample.shop import generate_shop
    from recsaas_assets.sample.writer import write_shop

    last = end.replace(tzinfo=UTC) if end else datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if shape is not None:
        _write_shape(shape, out, rows=rows, end=last, seed=seed, as_json=as_json)
        return
    shop = generate_shop(
        users=users, items=items, interactions=interactions, seed=seed, end=last, dirty_rows=dirty_rows
    )
    write_shop(shop, out)
    counts = {"items": shop.items.height, "users": shop.users.height, "interactions": shop.interactions.height}
    if as_json:
        print_json({"out": str(out), "rows": counts})
    else:
        results.print(f"Wrote {', '.join(f'{n:,} {kind}' for kind, n in counts.items())} to {out}.")


def _write_shape(shape: str, out: Path, *, rows: int, end: datetime, seed: int, as_json: bool) -> None:
    from recsaas_assets.sample.shapes import write_shape

    files = write_shape(shape, out, rows=rows, end=end, seed=seed)
    if as_json:
        print_json({"out": str(out), "files": [{"kind": file.kind, "file": str(file.path)} for file in files]})
    else:
        for file in files:
            results.print(f"Wrote {file.path}; send it with: recsaas upload TENANT {file.kind} {file.path}")
