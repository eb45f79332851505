"""Training set, model and evaluation of one tenant."""

import polars as pl
from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import picture, preview, table
from recsaas_assets.defs.common.partitions import AssetOptions, tenants_partitions
from recsaas_assets.defs.models.model_training import SEED, train_model
from resources.base.errors import CorruptArtifact, NothingToTrainOn
from resources.dagster_resources import TenantRunResource
from resources.storage.lake import read_parquet, scan_parquet, write_bytes, write_json

TRAINING_COMMON: AssetOptions = {
    "partitions_def": tenants_partitions,
    "group_name": "training",
    "owners": ["team:recommendations"],
    "code_version": "1",
}


@asset(
    name="training_set",
    deps=["stg_items", "int_interaction_signals", "interaction_weights", "user_features", "item_features"],
    kinds={"pandera", "polars"},
    description="Id maps and weighted user–item pairs of one tenant, split by global time.",
    **TRAINING_COMMON,
)
def training_set(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: users, items, pairs of each part of the split, and the split itself."""
    from recsaas_assets.recommender.data.dataset import build_training_set
    from recsaas_assets.recommender.data.schemas import validate_training_set
    from recsaas_assets.recommender.fitting.capacity import Room, most_active
    from recsaas_assets.release.releasing import live_until
    from resources.release.store import ReleaseStore

    tenant_run.stage("training_set")
    lake = tenant_run.lake
    signals = scan_parquet([lake.dbt / "int_interaction_signals.parquet"])
    if signals.select(pl.len()).collect().item() == 0:
        raise NothingToTrainOn(
            f"Not ready: tenant {tenant_run.tenant_id} has no interactions to train on. "
            f"Upload some: recsaas upload {tenant_run.tenant_id} interactions FILE"
        )
    room = Room(tenant_run.settings.max_training_users, tenant_run.settings.max_training_items)
    fitting = most_active(
        signals,
        read_parquet(lake.dbt / "stg_items.parquet", columns=["item_id"])["item_id"],
        room=room,
        users=scan_parquet([lake.dbt / "user_features.parquet"]),
        items=scan_parquet([lake.dbt / "item_features.parquet"]),
    )
    if fitting.users_left_out or fitting.items_left_out:
        context.log.warning(
            f"{fitting.users_left_out:,} users and {fitting.items_left_out:,} items are not in the model: there is "
            f"room for {room.users:,} users and {room.items:,} items, and the most active are kept."
        )
    cap = tenant_run.tenant().settings.weights.cap
    built = build_training_set(
        fitting.signals, fitting.catalogue_item_ids, cap, live_until=live_until(ReleaseStore(lake))
    )
    validate_training_set(built)
    built.save(lake.training)
    return MaterializeResult(
        metadata={
            "dagster/row_count": len(built.full),
            "users": built.n_users,
            "items": built.n_items,
            "users_left_out": fitting.users_left_out,
            "items_left_out": fitting.items_left_out,
            "fingerprint": built.fingerprint,
            "split": MetadataValue.json(built.split.model_dump(mode="json")),
            "pairs": table(["part", "pairs"], [[name, str(len(pairs))] for name, pairs in built.parts.items()]),
            "preview": preview(built.full.to_polars()),
        }
    )


@asset(
    name="lightgcn_model",
    deps=[training_set, "stg_items", "hyperparameter_search"],
    kinds={"torch"},
    description="LightGCN vectors of one tenant: fitted for the evaluation, and on all data for the release.",
    **TRAINING_COMMON,
)
def lightgcn_model(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the vectors of the holdout fit and of the release fit."""
    return train_model(context, tenant_run, "lightgcn")


@asset(
    name="evaluation",
    deps=[training_set, lightgcn_model, "two_tower_model", "item_models", "training_features"],
    kinds={"python"},
    description="How good the model is on the tenant's newest interactions, against baselines and by cohort.",
    **TRAINING_COMMON,
)
def evaluation(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the evaluation report as JSON, as Markdown and as a picture."""
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.data.feature_tables import FeatureHistory
    from recsaas_assets.recommender.evaluation.model_report import report_on
    from recsaas_assets.recommender.evaluation.plots import evaluation_png
    from recsaas_assets.recommender.evaluation.report_text import report_markdown
    from recsaas_assets.recommender.item_models.fitted import ItemModels
    from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
    from recsaas_assets.release.releasing import live_model
    from resources.release.contents import EVALUATION_JSON, EVALUATION_MARKDOWN, EVALUATION_PLOT
    from resources.release.store import ReleaseStore

    tenant_run.stage("evaluation")
    lake = tenant_run.lake
    data = TrainingSet.load(lake.training)
    model = TrainedModel.load(lake.model, data)
    features: FeatureHistory | None
    try:  # whatever this run's model is: the live release may be a two-tower model, whose fit needs them
        features = FeatureHistory.load(lake.features_at, data)
    except CorruptArtifact:
        features = None
    tables = ItemModels.load(lake.item_models, data)
    report = report_on(data, model, tables, seed=SEED, live=live_model(ReleaseStore(lake)), features=features)
    plot = evaluation_png(report)
    write_json(lake.evaluation / EVALUATION_JSON, report.model_dump(mode="json"))
    write_bytes(lake.evaluation / EVALUATION_MARKDOWN, report_markdown(report, plot=EVALUATION_PLOT).encode())
    write_bytes(lake.evaluation / EVALUATION_PLOT, plot)
    figures = {f"{name}_{metric}": value for name, row in report.models.items() for metric, value in row.items()}
    return MaterializeResult(
        metadata={
            "report": MetadataValue.md(report_markdown(report)),
            "plot": picture(plot, alt="figures by model and cohort, with intervals"),
            **{
                name.replace("@", "_at_"): value
                for name, value in figures.items()
                if "ndcg" in name or "recall" in name
            },
        }
    )
