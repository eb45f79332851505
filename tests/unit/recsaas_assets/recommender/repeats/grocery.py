"""An invented grocery: everybody has staples that are used up after a week or two, and tries something new beside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set

START = datetime(2025, 1, 6, tzinfo=UTC)
USERS, STAPLES, ITEMS, DAYS = 60, 4, 200, 140


def grocery(*, staples: bool = True, kind: str = "purchase", seed: int = 5) -> pl.DataFrame:
    """Signals: every user buys each of four staples every 7 or 14 days, and something new a week; `u0`'s are i0 … i3.

    Without `staples` nobody buys anything twice: the same visits, each with an item that the user has not had.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        mine = [(STAPLES * user + n) % 40 for n in range(STAPLES)]
        fresh = iter(rng.permutation(np.arange(40, ITEMS)).tolist())
        for place, item in enumerate(mine):
            gap = 7 if place % 2 else 14
            for day in range(int(rng.integers(0, gap)), DAYS, gap):
                if staples:
                    rows.append((user, item, day))
                elif (new := next(fresh, None)) is not None:
                    rows.append((user, new, day))
        for day in range(0, DAYS, 7):
            rows += [(user, new, day + int(rng.integers(0, 7))) for new in [next(fresh, None)] if new is not None]
    times = [START + timedelta(days=day, minutes=place % 600) for place, (_, _, day) in enumerate(rows)]
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user, _, _ in rows],
            "item_id": [f"i{item}" for _, item, _ in rows],
            "timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "interaction_type": [kind] * len(rows),
            "pieces": [1.0] * len(rows),
            "signal": [5.0] * len(rows),
        }
    )


def training_set(signals: pl.DataFrame) -> TrainingSet:
    """The training set of the signals, split 80 to 10 to 10."""
    return build_training_set(signals, pl.Series("item_id", [f"i{item}" for item in range(ITEMS)]), 10)
