"""The two-tower model and the features that it reads, at the times of the split: for tenants whose settings ask."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from recsaas_assets.defs.common.metadata import table
from recsaas_assets.defs.models.model_training import off, train_model
from recsaas_assets.defs.models.training import TRAINING_COMMON, training_set
from resources.dagster_resources import TenantRunResource


@asset(
    name="training_features",
    deps=[training_set, "user_features", "item_features", "stg_items"],
    kinds={"dbt", "polars"},
    description="User and item features as they were before validation, before the test, and now. Off unless used.",
    **TRAINING_COMMON,
)
def training_features(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the features in the rows of the training set, at each time of the split."""
    if tenant_run.training().model_type != "two_tower":
        return off(f"recsaas tenant settings {tenant_run.tenant_id} --set training.model_type=two_tower")

    from recsaas_assets.features.feature_history import build_feature_history
    from recsaas_assets.recommender.data.dataset import TrainingSet

    tenant_run.stage("training_features")
    data = TrainingSet.load(tenant_run.lake.training)
    history = build_feature_history(
        tenant_run.lake,
        data,
        target_dir=tenant_run.settings.dbt_target,
        memory_bytes=tenant_run.settings.dbt_memory_bytes,
    )
    history.save(tenant_run.lake.features_at, data)
    tables = {"users": history.full.users, "items": history.full.items}
    return MaterializeResult(
        metadata={
            "users": data.n_users,
            "items": data.n_items,
            "columns": table(["of", "features"], [[of, ", ".join(each.names)] for of, each in tables.items()]),
        }
    )


@asset(
    name="two_tower_model",
    deps=[training_set, training_features, "stg_items", "hyperparameter_search"],
    kinds={"torch"},
    description="Vectors of the two-tower model, in the place of LightGCN's. Off unless the tenant's settings ask.",
    **TRAINING_COMMON,
)
def two_tower_model(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the vectors of the holdout fit and of the release fit."""
    return train_model(context, tenant_run, "two_tower")
