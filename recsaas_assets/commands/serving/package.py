"""`recsaas package`: the service and the live releases in one folder that runs by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from recsaas_assets.commands.console import TENANT, Installation, json_option, notes, print_json, results
from resources.base.tenant import TenantId


@click.command()
@click.option("--tenant", "tenants", type=TENANT, multiple=True, help="A tenant to pack; again for more. All, if none.")
@click.option(
    "--to", type=click.Path(path_type=Path), help="A new folder for the Bento. Left out: recsaas-<time> in this one."
)
@click.option("--without-keys", is_flag=True, help="Leave out the hashes of the tenants' API keys.")
@json_option
def package(tenants: tuple[TenantId, ...], to: Path | None, without_keys: bool, as_json: bool) -> None:
    """Build a Bento with the service and the live releases of the tenants."""
    from recsaas_assets.release.packaging import build_bento

    now = datetime.now(UTC)
    folder = (to or Path(f"recsaas-{now:%Y%m%dT%H%M%SZ}")).absolute()
    site = Installation()
    notes.print("Packing the releases, and building …")
    built = build_bento(site.lake, site.db, tenants, to=folder, keys=not without_keys, now=now)
    if as_json:
        print_json({"tag": built.tag, "folder": str(built.folder), "releases": built.releases})
        return
    results.print(f"Built {built.tag} in {built.folder} with", soft_wrap=True, markup=False)
    for tenant, version in built.releases.items():
        results.print(f"  {tenant}  {version}", soft_wrap=True, markup=False)
    serve = f"cd {built.folder}/src && RECSAAS_HOME=… python -m bento_service.serve"
    results.print(f"Serve it: {serve}", soft_wrap=True, markup=False)
