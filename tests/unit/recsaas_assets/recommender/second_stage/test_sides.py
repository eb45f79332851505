from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from recsaas_assets.recommender.data.id_map import IdMap
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.second_stage.sides import CatalogueFacts, Sides

PAIRS = Pairs.of([0, 0, 1], [0, 1, 1], weight=[2, 1, 4], age_days=[3, 0, 14])


def test_the_catalogue_numbers_categories_by_size_and_gaps_are_missing() -> None:
    catalogue = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "x"],
            "category": ["Hats", "Mugs", "Mugs", "Hats"],
            "price": [5.0, None, -3.0, 1e300],
        }
    )

    facts = CatalogueFacts.of(catalogue, IdMap(("a", "b", "c", "d")))

    # x is no item of the training set: among those that are, Mugs are the larger category.
    assert facts.category.tolist() == [1, 0, 0, -1]
    assert facts.price.tolist() == [5, -1, 0, -1]


def test_sides_count_and_date_what_happened() -> None:
    facts = CatalogueFacts(category=np.array([0, 1, -1], np.float32), price=np.array([4, 8, -1], np.float32))

    sides = Sides.of(PAIRS, facts, n_users=3)

    items = dict(zip(sides.item_names, sides.items.T.tolist(), strict=True))
    assert items["users"] == [1, 2, 0]
    assert items["mean_weight"] == [2, 2.5, -1]
    assert items["popularity_short"] == pytest.approx([np.log1p(0.5), np.log1p(1 + 0.5 ** (14 / 3)), 0])
    assert items["trend_long"][1] == pytest.approx(np.log1p(1.5) - np.log1p(1 + 0.5 ** (14 / 60)))
    assert (items["days_since_last"], items["days_since_first"]) == ([3, 0, -1], [3, 14, -1])
    assert (items["price"], items["category"]) == ([4, 8, -1], [0, 1, -1])
    users = dict(zip(sides.user_names, sides.users.T.tolist(), strict=True))
    assert users["items"] == [2, 1, 0]
    assert users["mean_popularity"] == pytest.approx([np.log(2) / 2 + np.log(3) / 2, np.log(3), -1])
    assert (users["days_since_last"], users["days_since_first"]) == ([0, 14, -1], [3, 14, -1])
    assert users["avg_purchase_price"] == [6, 8, -1]
