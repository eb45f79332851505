"""The second stage as files of a release."""

from __future__ import annotations

from dataclasses import replace

from recsaas_assets.recommender.data.feature_tables import FeatureHistory
from recsaas_assets.recommender.second_stage.model import SecondStageModel
from recsaas_assets.recommender.second_stage.sides import Sides
from resources.release.contents import ReleaseContents


def with_second_stage(contents: ReleaseContents, stage: SecondStageModel, features: FeatureHistory) -> ReleaseContents:
    """Add the trees and today's features, if the second stage goes live; else the contents stay as they are."""
    if not stage.verdict.goes_live:
        return contents
    sides = Sides.of(features.full)
    return replace(contents, second_stage=stage.trees, second_stage_users=sides.users, second_stage_items=sides.items)
