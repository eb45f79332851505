"""The item–item models: for every tenant, beside its model of vectors."""

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import table
from recsaas_assets.defs.models.model_training import SEED, limit_threads
from recsaas_assets.defs.models.training import TRAINING_COMMON, lightgcn_model, training_set
from recsaas_assets.defs.models.two_tower import two_tower_model
from resources.dagster_resources import TenantRunResource


@asset(
    name="item_models",
    deps=[training_set, lightgcn_model, two_tower_model],  # after them: a run's progress never goes back
    kinds={"scipy"},
    description="Item-kNN and EASE as tables: fitted for the evaluation, and on all data for a release to serve.",
    **TRAINING_COMMON,
)
def item_models(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the tables, what was chosen for each, and which were left out."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.item_models.fitted import fit_item_models

    tenant_run.stage("item_models")
    limit_threads(tenant_run)
    data = TrainingSet.load(tenant_run.lake.training)

    def go_on() -> None:
        if tenant_run.should_stop():
            tenant_run.end_cancelled()

    models = fit_item_models(data, seed=SEED, before_each=go_on)
    models.save(tenant_run.lake.item_models)
    for kind, reason in models.left_out.items():
        context.log.info(f"{kind} is left out: {reason}")
    chosen = {kind: fitted.recipe.model_dump(mode="json") for kind, fitted in models.fits.items()}
    entries = [[kind, f"{len(fitted.release.items):,}"] for kind, fitted in models.fits.items()]
    return MaterializeResult(
        metadata={
            "seconds": models.seconds,
            "chosen": MetadataValue.json(chosen),
            "validation_ndcg_at_10": MetadataValue.json({k: fitted.ndcg_at_10 for k, fitted in models.fits.items()}),
            "left_out": MetadataValue.json(dict(models.left_out)),
            "entries": table(["table", "entries"], entries),
        }
    )
