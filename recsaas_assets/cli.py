"""`recsaas`: every command a person needs, thin over the functions that do the work."""

from __future__ import annotations

import atexit
import os
import sys
import warnings

import click

from recsaas_assets.commands.lazy_group import LazyGroup
from resources.processes.process import begin_process

_COMMANDS = {
    "demo": "recsaas_assets.commands.platform.demo:demo",
    "up": "recsaas_assets.commands.platform.up:up",
    "sample": "recsaas_assets.commands.data.sample:sample",
    "tenant": "recsaas_assets.commands.tenants.tenant:tenant",
    "webhook": "recsaas_assets.commands.tenants.webhook:webhook",
    "usage": "recsaas_assets.commands.tenants.usage:usage",
    "plan": "recsaas_assets.commands.tenants.plan:plan",
    "member": "recsaas_assets.commands.tenants.member:member",
    "office": "recsaas_assets.commands.tenants.office:office",
    "upload": "recsaas_assets.commands.data.upload:upload",
    "uploads": "recsaas_assets.commands.data.uploads:uploads",
    "rejected": "recsaas_assets.commands.data.upload:rejected",
    "landing": "recsaas_assets.commands.data.landing:landing",
    "user": "recsaas_assets.commands.tenants.user:user",
    "events": "recsaas_assets.commands.data.events:events",
    "jobs": "recsaas_assets.commands.platform.jobs:jobs",
    "rules": "recsaas_assets.commands.serving.rules:rules",
    "quality": "recsaas_assets.commands.data.quality:quality",
    "run": "recsaas_assets.commands.models.run:run",
    "backfill": "recsaas_assets.commands.models.run:backfill",
    "tune": "recsaas_assets.commands.models.tune:tune",
    "evaluate": "recsaas_assets.commands.models.evaluate:evaluate",
    "recommend": "recsaas_assets.commands.serving.recommend:recommend",
    "similar": "recsaas_assets.commands.serving.recommend:similar",
    "bundle": "recsaas_assets.commands.serving.recommend:bundle",
    "recommendations": "recsaas_assets.commands.serving.recommendations:recommendations",
    "decisions": "recsaas_assets.commands.serving.decisions:decisions",
    "releases": "recsaas_assets.commands.serving.releases:releases",
    "package": "recsaas_assets.commands.serving.package:package",
    "features": "recsaas_assets.commands.data.features:features",
    "docs": "recsaas_assets.commands.platform.docs:docs",
    "audit": "recsaas_assets.commands.platform.audit:audit",
    "settings": "recsaas_assets.commands.platform.settings:settings",
    "migrate": "recsaas_assets.commands.platform.migrate:migrate",
    "doctor": "recsaas_assets.commands.platform.doctor:doctor",
    "bench": "recsaas_assets.commands.bench:bench",
}


@click.command(name="recsaas", cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recsaas")
def cli() -> None:
    """Recommendations for shops: upload CSV files, run the pipeline, ask what is next."""


def main() -> None:
    """Entry of the `recsaas` script."""
    begin_process()
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
