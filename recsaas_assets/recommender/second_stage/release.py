"""The second stage as files of a release."""

from __future__ import annotations

from dataclasses import replace

from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.lifecycle.trained_model import TrainedModel
from recsaas_assets.recommender.second_stage.model import SecondStageModel, past_of
from recsaas_assets.recommender.second_stage.sides import CatalogueFacts
from resources.release.contents import ReleaseContents


def with_second_stage(
    contents: ReleaseContents,
    stage: SecondStageModel,
    training_set: TrainingSet,
    model: TrainedModel,
    catalogue: CatalogueFacts,
) -> ReleaseContents:
    """Add the trees, today's features and today's item table, if the second stage goes live.

    Else, and where the release answers from a table of its own, the contents stay as they are.
    """
    if not stage.verdict.goes_live or contents.item_table is not None:
        return contents
    today = past_of(model.release, training_set.full, catalogue, half_life=stage.verdict.half_life_days)
    return replace(
        contents,
        second_stage=stage.trees,
        second_stage_users=today.sides.users,
        second_stage_items=today.sides.items,
        item_table=today.table,
    )
