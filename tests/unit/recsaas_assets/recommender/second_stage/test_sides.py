from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.data.feature_tables import Features, FeatureTable
from recsaas_assets.recommender.second_stage.sides import Sides

NAN = np.nan


def test_categories_become_a_number_and_missing_features_a_value() -> None:
    users = FeatureTable(("spend", "favourite_category=Mugs"), np.array([[NAN, 1], [4, 0]], np.float32))
    items = FeatureTable(
        ("price", "category=Mugs", "category=Hats"), np.array([[5, 0, 1], [NAN, 1, 0], [2, 0, 0]], np.float32)
    )

    sides = Sides.of(Features(users, items))

    assert (sides.user_names, sides.item_names) == (("spend",), ("price", "category"))
    assert sides.users.tolist() == [[-1], [4]]
    assert sides.items.tolist() == [[5, 1], [-1, 0], [2, -1]]


def test_without_categories_every_item_is_in_none() -> None:
    sides = Sides.of(Features(FeatureTable((), np.empty((0, 0), np.float32)), FeatureTable((), np.empty((2, 0)))))

    assert sides.items.tolist() == [[-1], [-1]]
