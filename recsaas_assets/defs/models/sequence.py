"""The sequence model: for the tenants whose settings ask for it."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from recsaas_assets.defs.models.model_training import train_model
from recsaas_assets.defs.models.training import TRAINING_COMMON, training_set
from resources.dagster_resources import TenantRunResource


@asset(
    name="sequence_model",
    deps=[training_set, "stg_items", "hyperparameter_search"],
    kinds={"torch"},
    description="Vectors of the sequence model, in the place of LightGCN's. Off unless the tenant's settings ask.",
    **TRAINING_COMMON,
)
def sequence_model(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the vectors of the holdout fit and of the release fit, and the encoder for live events."""
    return train_model(context, tenant_run, "sequence")
