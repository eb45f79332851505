"""`recsaas bench`: the figures in the docs, each by one command, each beside a yardstick of the same run."""

from __future__ import annotations

import click

from recsaas_assets.commands.lazy_group import LazyGroup

_BENCHMARKS = {
    "ingest": "recsaas_assets.benchmarks.ingest:ingest",
    "e2e": "recsaas_assets.benchmarks.e2e:e2e",
    "tenants": "recsaas_assets.benchmarks.tenants:tenants",
    "features": "recsaas_assets.benchmarks.features:features",
    "negatives": "recsaas_assets.benchmarks.negatives:negatives",
    "parallel": "recsaas_assets.benchmarks.parallel:parallel",
    "models": "recsaas_assets.benchmarks.models:models",
    "gowalla": "recsaas_assets.benchmarks.gowalla:gowalla",
    "second-stage": "recsaas_assets.benchmarks.second_stage:second_stage",
    "cold": "recsaas_assets.benchmarks.cold:cold",
    "warm": "recsaas_assets.benchmarks.warm:warm",
    "serve": "recsaas_assets.benchmarks.serve:serve",
    "soak": "recsaas_assets.benchmarks.soak:soak",
    "neighbours": "recsaas_assets.benchmarks.neighbours:neighbours",
    "ann": "recsaas_assets.benchmarks.ann:ann",
    "returning": "recsaas_assets.benchmarks.returning:returning",
}


@click.command(name="bench", cls=LazyGroup, lazy=_BENCHMARKS)
def bench() -> None:
    """Measure this installation on this machine. Every benchmark works in a folder of its own and removes it."""
