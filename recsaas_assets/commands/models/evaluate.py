"""`recsaas evaluate`: how good the live release measured."""

from __future__ import annotations

import click
from rich.markdown import Markdown

from recsaas_assets.commands.console import TENANT, Installation, json_option, print_json, results
from resources.base.errors import NotFound
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.release.contents import EVALUATION_JSON, EVALUATION_MARKDOWN
from resources.release.store import ReleaseStore
from resources.storage.lake import TenantLake, read_json


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--release", "version", help="Version of the release; the live one when left out.")
@click.option("--baselines", is_flag=True, help="Measure the newest run's model again, against ALS and BPR too.")
@json_option
def evaluate(tenant_id: TenantId, version: str | None, baselines: bool, as_json: bool) -> None:
    """Show the evaluation that belongs to a release: model against baselines on the newest interactions."""
    site = Installation()
    get_tenant(site.db, tenant_id)
    lake = site.lake.tenant(tenant_id)
    if baselines:
        if version:
            raise click.UsageError("--baselines measures the newest run's model; leave --release out.")
        _show_against_all(tenant_id, lake, as_json)
        return
    store = ReleaseStore(lake)
    directory = store.directory(version or store.live_version())
    if as_json:
        print_json({"tenant": str(tenant_id), "release": directory.name, **read_json(directory / EVALUATION_JSON)})
    else:
        results.print(Markdown((directory / EVALUATION_MARKDOWN).read_text(encoding="utf-8")))


def _show_against_all(tenant: TenantId, lake: TenantLake, as_json: bool) -> None:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.evaluation.model_report import report_on
    from recsaas_assets.recommender.evaluation.report_text import report_markdown
    from recsaas_assets.recommender.item_models.fitted import DOCUMENT, ItemModels, fit_item_models
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel

    if not (lake.model / "model.json").exists():
        raise NotFound(f"Tenant {tenant} has no trained model. Train one: recsaas run {tenant}")
    data = TrainingSet.load(lake.training)
    model = TrainedModel.load(lake.model, data)
    kept = (lake.item_models / DOCUMENT).exists()  # a run of an older version has none
    tables = ItemModels.load(lake.item_models, data) if kept else fit_item_models(data, seed=model.seed)
    report = report_on(data, model, tables, seed=model.seed, more_baselines=True)
    if as_json:
        print_json({"tenant": str(tenant), **report.model_dump(mode="json")})
    else:
        results.print(Markdown(report_markdown(report)))
