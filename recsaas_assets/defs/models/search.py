"""The search for a tenant's hyper-parameters."""

from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from recsaas_assets.defs.common.metadata import picture, table
from recsaas_assets.defs.models.model_training import limit_threads, observe
from recsaas_assets.defs.models.training import TRAINING_COMMON, training_set
from resources.base.errors import InvalidInput
from resources.dagster_resources import TenantRunResource
from resources.training.runs import note_epoch

if TYPE_CHECKING:
    from recsaas_assets.recommender.search.search_result import SearchResult, Study

_SHOWN_TRIALS = 20


@asset(
    name="hyperparameter_search",
    deps=[training_set, "training_features"],
    kinds={"optuna"},
    description="Better hyper-parameters for one tenant, found on its validation period. Off unless the tenant asks.",
    **TRAINING_COMMON,
)
def hyperparameter_search(context: AssetExecutionContext, tenant_run: TenantRunResource) -> MaterializeResult[None]:
    """One partition: every trial of the search, and the best one."""
    settings = tenant_run.training()
    if not settings.search:
        return _status(_why_off(tenant_run))

    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lightgcn.trainer import TrainingCancelled
    from recsaas_assets.recommender.search.chosen_config import usable_result
    from recsaas_assets.recommender.search.search import Budget
    from recsaas_assets.recommender.search.search_result import Study, Trial
    from recsaas_assets.recommender.search.tuning import tune

    tenant_run.stage("hyperparameter_search")
    limit_threads(tenant_run)
    data = TrainingSet.load(tenant_run.lake.training)
    found, earlier = usable_result(tenant_run.lake.search, settings, data.n_users, data.n_items, len(data.full))
    if found is not None and found.fixed == settings.hyperparameters:
        how = f"kept: found on {found.n_pairs} pairs, now {len(data.full)}; search again with: recsaas tune"
        return _status(f"{how} {tenant_run.tenant_id}", hyperparameters=MetadataValue.json(found.hyperparameters))

    def on_trial(trial: Trial, study: Study) -> None:
        best, done = study.best().ndcg_at_10 or 0.0, len(study.trials)
        total, metrics = settings.search_trials, {"ndcg@10": best}
        note_epoch(tenant_run.db, tenant_run.run_id, epoch=done, total_epochs=total, metrics=metrics)
        observe(context, {"trial": trial.number, "state": trial.state, "best_ndcg_at_10": best})

    budget = Budget(settings.search_trials, settings.search_minutes)
    try:
        result, study = tune(
            tenant_run.lake, data, settings, budget, on_trial=on_trial, should_stop=tenant_run.should_stop
        )
    except TrainingCancelled:
        tenant_run.end_cancelled()
    except InvalidInput as error:  # the run goes on: it trains as it would have without a search
        return _status(f"skipped: {error.message}")
    return _searched(result, study, earlier)


def _why_off(tenant_run: TenantRunResource) -> str:
    if tenant_run.tenant().settings.training.search:
        return "off: the training job has hyper-parameters of its own"
    return f"off; switch it on with: recsaas tenant settings {tenant_run.tenant_id} --set training.search=true"


def _status(status: str, **more: Any) -> MaterializeResult[None]:
    return MaterializeResult(metadata={"status": status, **more})


def _searched(result: "SearchResult", study: "Study", earlier: str) -> MaterializeResult[None]:
    from recsaas_assets.recommender.search.search_report import HEADER, rows, trials_png

    return _status(
        f"searched until the {result.ended_by} of the budget were used up",
        earlier_result=earlier,
        ndcg_at_10=result.ndcg_at_10,
        best_seen_ndcg_at_10=result.best_seen_ndcg_at_10,
        default_ndcg_at_10=result.default_ndcg_at_10,
        trial_count=result.trials,
        seconds=result.seconds,
        hyperparameters=MetadataValue.json(result.hyperparameters),
        trials=table(HEADER, rows(study, limit=_SHOWN_TRIALS)),
        plot=picture(trials_png(study), alt="validation NDCG@10 by trial"),
    )
