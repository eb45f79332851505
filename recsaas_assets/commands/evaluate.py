"""`recsaas evaluate`: how good the live release measured."""

from __future__ import annotations

import click
from rich.markdown import Markdown

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.control_db.tenants import get_tenant
from resources.lake import read_json
from resources.release.contents import EVALUATION_JSON, EVALUATION_MARKDOWN
from resources.release.store import ReleaseStore
from resources.tenant import TenantId


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--release", "version", help="Version of the release; the live one when left out.")
@json_option
def evaluate(tenant_id: TenantId, version: str | None, as_json: bool) -> None:
    """Show the evaluation that belongs to a release: model against baselines on the newest interactions."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    store = ReleaseStore(site.lake.tenant(tenant_id))
    directory = store.directory(version or live_version(store, tenant_id))
    if as_json:
        print_json({"tenant": str(tenant_id), "release": directory.name, **read_json(directory / EVALUATION_JSON)})
    else:
        results.print(Markdown((directory / EVALUATION_MARKDOWN).read_text(encoding="utf-8")))


def live_version(store: ReleaseStore, tenant: TenantId) -> str:
    """The live release's version.

    Raises:
        NoRelease: nothing is live yet.
    """
    from resources.errors import NoRelease

    version = store.current()
    if version is None:
        raise NoRelease(f"Tenant {tenant} has no release yet. Make one: recsaas run {tenant}")
    return version
