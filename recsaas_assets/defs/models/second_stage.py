"""The second-stage ranker: where it may pay, unless the tenant's settings say otherwise."""

from dagster import MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import table
from recsaas_assets.defs.models.model_training import SEED, off
from recsaas_assets.defs.models.training import TRAINING_COMMON, lightgcn_model, training_set
from recsaas_assets.defs.models.two_tower import two_tower_model
from resources.dagster_resources import TenantRunResource

_SHOWN_FEATURES = 15


@asset(
    name="second_stage_model",
    deps=[training_set, "stg_items", lightgcn_model, two_tower_model, "sequence_model"],
    kinds={"lightgbm"},
    description="Boosted trees that order the model's best candidates, if they surely do it better.",
    **TRAINING_COMMON,
)
def second_stage_model(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the trees, and whether they go live."""
    wanted = tenant_run.training().second_stage
    if wanted is False:
        return off(f"recsaas tenant settings {tenant_run.tenant_id} --set training.second_stage=auto")

    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.recommender.second_stage.model import train_second_stage, why_not, without_second_stage
    from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
    from resources.storage.lake import read_parquet

    tenant_run.stage("second_stage_model")
    lake = tenant_run.lake
    data = TrainingSet.load(lake.training)
    model = TrainedModel.load(lake.model, data)
    reason = why_not(data) if wanted == "auto" else ""
    if reason:
        trained = without_second_stage(reason, model)
    else:
        catalogue = read_parquet(lake.dbt / "stg_items.parquet", columns=["item_id", "category", "price"])
        trained = train_second_stage(data, model, CatalogueFacts.of(catalogue, data.items), seed=SEED)
    trained.save(lake.second_stage)
    verdict = trained.verdict
    gains = sorted(verdict.gains.items(), key=lambda pair: -pair[1])[:_SHOWN_FEATURES]
    return MaterializeResult(
        metadata={
            "status": verdict.reason,
            "goes_live": verdict.goes_live,
            "trees": verdict.trees,
            "training_users": verdict.training_users,
            "figures": MetadataValue.json(verdict.model_dump(mode="json", exclude={"gains"})),
            "gains": table(["feature", "share of gain"], [[name, f"{share:.1%}"] for name, share in gains]),
        }
    )
