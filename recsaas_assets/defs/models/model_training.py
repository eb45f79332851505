"""Training as all model assets do it; only the one that the tenant's settings choose trains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import AssetExecutionContext, AssetObservation, MaterializeResult, MetadataValue

from recsaas_assets.defs.common.metadata import picture
from resources.dagster_resources import TenantRunResource
from resources.storage.lake import TenantLake, read_parquet
from resources.tenants.settings import ModelType, TrainingSettings
from resources.training.runs import note_epoch

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
    from recsaas_assets.recommender.fitting.compute import Compute
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs
    from recsaas_assets.recommender.lightgcn.trainer import EpochProgress

SEED = 7
# Epochs take milliseconds: more rows than a person can read would only slow the fit down.
_SECONDS_BETWEEN_PROGRESS = 0.5


def train_model(
    context: AssetExecutionContext, tenant_run: TenantRunResource, model_type: ModelType
) -> MaterializeResult[None]:
    """Train the tenant's model and store it, if its settings ask for this type."""
    settings, lake = tenant_run.training(), tenant_run.lake
    if settings.model_type != model_type:
        command = f"recsaas tenant settings {tenant_run.tenant_id} --set training.model_type={model_type}"
        return off(command)

    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.evaluation.plots import curves_png
    from recsaas_assets.recommender.fitting.checkpoint import Checkpoint
    from recsaas_assets.recommender.lifecycle.personalisation import balanced
    from recsaas_assets.recommender.lifecycle.train import train
    from recsaas_assets.recommender.lightgcn.trainer import TrainingCancelled
    from recsaas_assets.recommender.search.chosen_config import chosen_config, usable_result

    tenant_run.stage(context.asset_key.path[-1])
    limit_threads(tenant_run)
    data = TrainingSet.load(lake.training)
    checkpoint = Checkpoint(lake.model / "fits")  # in the model's folder, so that an erasure takes it along
    size = data.n_users, data.n_items, len(data.full)
    found, search = usable_result(lake.search, settings, *size)
    try:
        model = train(
            _inputs(lake, data, settings),
            chosen_config(settings, found, *size),
            seed=SEED,
            compute=_compute(tenant_run, checkpoint),
            on_epoch=_Progress(context, tenant_run),
            should_stop=tenant_run.should_stop,
        )
    except TrainingCancelled:
        tenant_run.end_cancelled()
    if settings.personalisation == "balanced":
        model = balanced(data, model, seed=SEED)
    model.save(lake.model)
    checkpoint.clear()
    return MaterializeResult(
        metadata={
            "epochs": model.epochs,
            "training_seconds": round(model.seconds, 2),
            "dimension": model.config.dim,
            "start": MetadataValue.json(model.start.model_dump(mode="json")),
            "search": search,
            "new_items": "" if model.cold_items is None else model.cold_items.method,
            "hyperparameters": MetadataValue.json(model.config.model_dump(mode="json")),
            "curves": picture(curves_png(model.history), alt="loss and validation NDCG@10 by epoch"),
        }
    )


def limit_threads(tenant_run: TenantRunResource) -> None:
    """Give torch as many threads as the settings allow a training."""
    import torch

    if tenant_run.settings.training_threads:
        torch.set_num_threads(tenant_run.settings.training_threads)


def _inputs(lake: TenantLake, data: TrainingSet, settings: TrainingSettings) -> TrainingInputs:
    from recsaas_assets.recommender.data.content import item_content
    from recsaas_assets.recommender.data.feature_tables import FeatureHistory
    from recsaas_assets.recommender.lifecycle.train import TrainingInputs
    from recsaas_assets.recommender.lifecycle.warm_start import PreviousModel

    return TrainingInputs(
        data,
        features=FeatureHistory.load(lake.features_at, data) if settings.model_type == "two_tower" else None,
        content=item_content(_described(lake), data.items.ids),
        previous=PreviousModel.load(lake.model) if settings.mode == "incremental" else None,
    )


def _compute(tenant_run: TenantRunResource, checkpoint: Checkpoint) -> Compute:
    from recsaas_assets.recommender.fitting.compute import Compute, device_named

    settings = tenant_run.settings
    device = device_named(settings.training_device)
    return Compute(device, settings.training_processes, tenant_run.lake.scratch, checkpoint)


class _Progress:
    """Notes the epochs of a run's fits in the run's record and in Dagster's event log, at most twice a second."""

    def __init__(self, context: AssetExecutionContext, tenant_run: TenantRunResource) -> None:
        self._context, self._tenant_run = context, tenant_run
        self._noted = 0.0
        self._measured: dict[str, float] = {}

    def __call__(self, fit: str, progress: EpochProgress) -> None:
        self._measured.update(progress.metrics)  # only some epochs of the first fit are measured
        last = progress.epoch == progress.total
        if not last and time.monotonic() - self._noted < _SECONDS_BETWEEN_PROGRESS:
            return
        self._noted = time.monotonic()
        figures = {"loss": progress.loss, **progress.metrics}
        note_epoch(
            self._tenant_run.db,
            self._tenant_run.run_id,
            epoch=progress.epoch,
            total_epochs=progress.total,
            metrics={**self._measured, **figures},
            fit=fit,
        )
        observed: dict[str, Any] = {
            "fit": fit,
            "epoch": progress.epoch,
            "epochs": progress.total,
            "eta_seconds": progress.eta_seconds,
            **figures,
        }
        observe(self._context, observed)


def observe(context: AssetExecutionContext, metadata: dict[str, Any]) -> None:
    """Show the figures in Dagster's event log, beside the asset that is being made."""
    context.log_event(AssetObservation(asset_key=context.asset_key, partition=context.partition_key, metadata=metadata))


def _described(lake: TenantLake) -> pl.DataFrame:
    """The catalogue columns that content is made of; descriptions, which may be pages long, are not among them."""
    from recsaas_assets.recommender.data.content import CONTENT_COLUMNS

    return read_parquet(lake.dbt / "stg_items.parquet", columns=["item_id", *CONTENT_COLUMNS])


def off(command: str) -> MaterializeResult[None]:
    """The result of an optional asset that is switched off for this tenant."""
    return MaterializeResult(metadata={"status": f"off; switch it on with: {command}"})
