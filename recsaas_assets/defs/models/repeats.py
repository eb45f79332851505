"""Repeat purchases: whether what a user has bought comes again, for every tenant."""

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.models.model_training import SEED
from recsaas_assets.defs.models.training import TRAINING_COMMON, lightgcn_model, training_set
from recsaas_assets.defs.models.two_tower import two_tower_model
from resources.dagster_resources import TenantRunResource
from resources.storage.lake import scan_parquet


@asset(
    name="repeat_purchases",
    deps=[training_set, lightgcn_model, two_tower_model, "int_interaction_signals"],
    kinds={"python"},
    description="Whether what a user has bought should come again, and when: learned on validation, measured on test.",
    **TRAINING_COMMON,
)
def repeat_purchases(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the verdict with its figures, and the coefficients."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.repeats.learning import learn_repeats, scorers_of
    from recsaas_assets.recommender.repeats.purchases import repeatable
    from recsaas_assets.recommender.repeats.release import save_findings

    tenant_run.stage(context.asset_key.path[-1])
    lake = tenant_run.lake
    data = TrainingSet.load(lake.training)
    model = TrainedModel.load(lake.model, data)
    bought = repeatable(scan_parquet([lake.dbt / "int_interaction_signals.parquet"]), data)
    findings = learn_repeats(bought, data, scorers_of(data, model), seed=SEED)
    save_findings(findings, lake.repeats, model_digest=model.digest)
    verdict = findings.verdict
    return MaterializeResult(
        metadata={
            "status": verdict.reason,
            "come_again": verdict.come_again,
            "figures": MetadataValue.json(verdict.model_dump(mode="json", exclude={"reason"})),
        }
    )
