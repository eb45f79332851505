"""A shop whose odd users take odd items and whose even users take even ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.dataset import TrainingSet, build_training_set


def shop(*, hours_later: int = 0, n_users: int = 30, rows: int = 500) -> TrainingSet:
    """24 items, one interaction an hour."""
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, n_users, rows), 2 * rng.integers(0, 12, rows)
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n + hours_later) for n in range(rows)]
    frame = pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"i{item + user % 2}" for user, item in zip(users, items, strict=True)],
            "timestamp": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "interaction_type": ["view"] * rows,
            "signal": [1.0] * rows,
        }
    )
    return build_training_set(frame, pl.Series("item_id", [], dtype=pl.String), 10)
