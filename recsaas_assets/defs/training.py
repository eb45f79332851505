"""Training set, model and evaluation of one tenant."""

import time
from typing import Any

from dagster import AssetExecutionContext, AssetObservation, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.metadata import picture, preview, table
from recsaas_assets.defs.partitions import tenants_partitions
from resources.control_db.runs import note_epoch
from resources.dagster_resources import TenantRunResource
from resources.errors import InvalidInput
from resources.lake import read_parquet, write_bytes, write_json

SEED = 7
# Epochs take milliseconds: more rows than a person can read would only slow the fit down.
_SECONDS_BETWEEN_PROGRESS = 0.5

TRAINING_COMMON: dict[str, Any] = {
    "partitions_def": tenants_partitions,
    "group_name": "training",
    "owners": ["team:recommendations"],
    "code_version": "1",
}


@asset(
    name="training_set",
    deps=["stg_items", "int_interaction_signals", "interaction_weights"],
    kinds={"pandera", "polars"},
    description="Id maps and weighted user–item pairs of one tenant, split by global time.",
    **TRAINING_COMMON,
)
def training_set(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: users, items, pairs of each part of the split, and the split itself."""
    from recsaas_assets.recommender.dataset import build_training_set
    from recsaas_assets.recommender.schemas import validate_training_set

    tenant_run.stage("training_set")
    lake = tenant_run.lake
    signals = read_parquet(lake.dbt / "int_interaction_signals.parquet")
    if signals.height == 0:
        raise InvalidInput(
            f"Tenant {tenant_run.tenant_id} has no interactions to train on. "
            f"Upload some: recsaas upload {tenant_run.tenant_id} interactions FILE"
        )
    catalogue = read_parquet(lake.dbt / "stg_items.parquet")
    built = build_training_set(signals, catalogue["item_id"], tenant_run.tenant().settings.weights.cap)
    validate_training_set(built)
    built.save(lake.training)
    return MaterializeResult(
        metadata={
            "dagster/row_count": len(built.full),
            "users": built.n_users,
            "items": built.n_items,
            "fingerprint": built.fingerprint,
            "split": MetadataValue.json(built.split.model_dump(mode="json")),
            "pairs": table(["part", "pairs"], [[name, str(len(pairs))] for name, pairs in built.parts.items()]),
            "preview": preview(built.full.to_polars()),
        }
    )


@asset(
    name="lightgcn_model",
    deps=[training_set],
    kinds={"torch"},
    description="LightGCN vectors of one tenant: fitted for the evaluation, and on all data for the release.",
    **TRAINING_COMMON,
)
def lightgcn_model(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the vectors of the holdout fit and of the release fit."""
    import torch

    from recsaas_assets.recommender.config import defaults_for
    from recsaas_assets.recommender.dataset import TrainingSet
    from recsaas_assets.recommender.lifecycle import train
    from recsaas_assets.recommender.plots import curves_png
    from recsaas_assets.recommender.trainer import EpochProgress

    tenant_run.stage("lightgcn_model")
    if tenant_run.settings.training_threads:
        torch.set_num_threads(tenant_run.settings.training_threads)
    data = TrainingSet.load(tenant_run.lake.training)
    shown = 0.0

    def on_epoch(fit: str, progress: EpochProgress) -> None:
        nonlocal shown
        last = progress.epoch == progress.total
        if not last and time.monotonic() - shown < _SECONDS_BETWEEN_PROGRESS:
            return
        shown = time.monotonic()
        figures = {"loss": progress.loss, **progress.metrics}
        note_epoch(tenant_run.db, tenant_run.run_id, epoch=progress.epoch, total_epochs=progress.total, metrics=figures)
        context.log_event(
            AssetObservation(
                asset_key=context.asset_key,
                partition=context.partition_key,
                metadata={
                    "fit": fit,
                    "epoch": progress.epoch,
                    "epochs": progress.total,
                    "eta_seconds": progress.eta_seconds,
                    **figures,
                },
            )
        )

    model = train(data, defaults_for(data.n_users, data.n_items, len(data.full)), seed=SEED, on_epoch=on_epoch)
    model.save(tenant_run.lake.model)
    return MaterializeResult(
        metadata={
            "epochs": model.epochs,
            "training_seconds": round(model.seconds, 2),
            "dimension": model.config.dim,
            "hyperparameters": MetadataValue.json(model.config.model_dump(mode="json")),
            "curves": picture(curves_png(model.history), alt="loss and validation NDCG@10 by epoch"),
        }
    )


@asset(
    name="evaluation",
    deps=[training_set, lightgcn_model],
    kinds={"python"},
    description="How good the model is on the tenant's newest interactions, against baselines and by cohort.",
    **TRAINING_COMMON,
)
def evaluation(tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: the evaluation report as JSON and as Markdown."""
    from recsaas_assets.recommender.baselines import ItemKNN, popularity_scorer
    from recsaas_assets.recommender.dataset import TrainingSet
    from recsaas_assets.recommender.evaluation import evaluate
    from recsaas_assets.recommender.lifecycle import TrainedModel
    from recsaas_assets.recommender.report import MODEL, POPULARITY, report_markdown
    from recsaas_assets.recommender.scorers import VectorScorer

    tenant_run.stage("evaluation")
    data = TrainingSet.load(tenant_run.lake.training)
    model = TrainedModel.load(tenant_run.lake.model, data)
    learned = data.before_test.users_per_item(data.n_items) > 0
    report = evaluate(
        data,
        {
            MODEL: VectorScorer(model.holdout.users, model.holdout.items, learned),
            POPULARITY: popularity_scorer(data.before_test, data.n_items),
            "item_knn": ItemKNN(data.before_test, data.n_users, data.n_items),
        },
        seed=SEED,
    )
    markdown = report_markdown(report)
    write_json(tenant_run.lake.evaluation / "evaluation.json", report.model_dump(mode="json"))
    write_bytes(tenant_run.lake.evaluation / "evaluation.md", markdown.encode())
    figures = {f"{name}_{metric}": value for name, row in report.models.items() for metric, value in row.items()}
    return MaterializeResult(
        metadata={
            "report": MetadataValue.md(markdown),
            **{
                name.replace("@", "_at_"): value
                for name, value in figures.items()
                if "ndcg" in name or "recall" in name
            },
        }
    )
