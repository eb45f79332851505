"""The hyper-parameter search of one tenant, as the asset and `recsaas tune` run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from resources.storage.lake import TenantLake
from resources.tenants.settings import TrainingSettings

if TYPE_CHECKING:
    from recsaas_assets.recommender.data.dataset import TrainingSet
    from recsaas_assets.recommender.lightgcn.trainer import EpochProgress
    from recsaas_assets.recommender.search.search import Budget
    from recsaas_assets.recommender.search.search_result import SearchResult, Study, Trial

SEED = 7


def tune(
    lake: TenantLake,
    data: TrainingSet,
    settings: TrainingSettings,
    budget: Budget,
    *,
    on_trial: Callable[[Trial, Study], None] | None = None,
    on_epoch: Callable[[int, EpochProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[SearchResult, Study]:
    """Search from the tenant's configuration at this size, and store what is found in `lake.search`.

    Raises:
        InvalidInput: the settings name a hyper-parameter that does not exist, or there is nothing to measure on.
        CorruptArtifact: the model reads features, and they are missing or of another training set.
        TrainingCancelled: `should_stop` said so; finished trials stay.
    """
    from recsaas_assets.recommender.data.feature_tables import FeatureHistory
    from recsaas_assets.recommender.lifecycle.adapting import adapted
    from recsaas_assets.recommender.lifecycle.sequence_choice import adapted_sequence
    from recsaas_assets.recommender.search.chosen_config import chosen_config
    from recsaas_assets.recommender.search.search import SearchTask, search

    chosen = chosen_config(settings, None, data.n_users, data.n_items, len(data.full))
    task = SearchTask(
        data,
        adapted_sequence(adapted(chosen, data, seed=SEED)[0], data, seed=SEED),
        seed=SEED,
        budget=budget,
        fixed=settings.hyperparameters,
        features=FeatureHistory.load(lake.features_at, data) if settings.model_type == "two_tower" else None,
    )
    return search(task, lake.search, on_trial=on_trial, on_epoch=on_epoch, should_stop=should_stop)
