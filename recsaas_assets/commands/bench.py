"""`recsaas bench`: the figures in the docs, each by one command, each beside a yardstick of the same run."""

from __future__ import annotations

import click

from recsaas_assets.commands.lazy_group import LazyGroup

_BENCHMARKS = {
    "ingest": "recsaas_assets.benchmarks.pipeline.ingest:ingest",
    "e2e": "recsaas_assets.benchmarks.pipeline.e2e:e2e",
    "tenants": "recsaas_assets.benchmarks.pipeline.tenants:tenants",
    "features": "recsaas_assets.benchmarks.pipeline.features:features",
    "negatives": "recsaas_assets.benchmarks.training.negatives:negatives",
    "parallel": "recsaas_assets.benchmarks.training.parallel:parallel",
    "models": "recsaas_assets.benchmarks.matrix.command:models",
    "gowalla": "recsaas_assets.benchmarks.training.gowalla:gowalla",
    "bundles": "recsaas_assets.benchmarks.models.bundles:bundles",
    "second-stage": "recsaas_assets.benchmarks.models.second_stage:second_stage",
    "repeats": "recsaas_assets.benchmarks.models.repeats:repeats",
    "cold": "recsaas_assets.benchmarks.models.cold:cold",
    "warm": "recsaas_assets.benchmarks.models.warm:warm",
    "serve": "recsaas_assets.benchmarks.serving.serve:serve",
    "soak": "recsaas_assets.benchmarks.serving.soak:soak",
    "neighbours": "recsaas_assets.benchmarks.serving.neighbours:neighbours",
    "accounts": "recsaas_assets.benchmarks.accounts.costs:accounts",
    "live-reads": "recsaas_assets.benchmarks.databases.live_reads:live_reads",
    "ann": "recsaas_assets.benchmarks.serving.ann:ann",
    "training-cost": "recsaas_assets.benchmarks.pipeline.training_cost:training_cost",
    "returning": "recsaas_assets.benchmarks.models.returning:returning",
}


@click.command(name="bench", cls=LazyGroup, lazy=_BENCHMARKS)
def bench() -> None:
    """Measure this installation on this machine. Every benchmark works in a folder of its own and removes it."""
