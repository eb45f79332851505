"""Rankings by popularity, of all time or recent: the same items for everybody."""

from __future__ import annotations

import numpy as np

from recsaas_assets.recommender.data.arrays import Scores
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.metrics.scorers import ItemScorer


def recent_popularity(pairs: Pairs, n_items: int, half_life_days: float) -> Scores:
    """Distinct users per item, each counted half for every half-life since its last interaction; shape (n_items,)."""
    weights = np.exp2(-pairs.age_days / np.float32(half_life_days))
    return np.bincount(pairs.item_row, weights=weights, minlength=n_items).astype(np.float32)


def popularity_scorer(pairs: Pairs, n_items: int) -> ItemScorer:
    """Ranks by the number of distinct users; an item nobody has interacted with is never ranked."""
    users = pairs.users_per_item(n_items).astype(np.float32)
    return ItemScorer(np.where(users > 0, users, -np.inf).astype(np.float32))


def recent_popularity_scorer(pairs: Pairs, n_items: int, half_life_days: float) -> ItemScorer:
    """Ranks by recent popularity; an item nobody has interacted with is never ranked."""
    recent = recent_popularity(pairs, n_items, half_life_days)
    return ItemScorer(np.where(pairs.users_per_item(n_items) > 0, recent, -np.inf).astype(np.float32))
