"""A whole invented shop, for demonstrations, tests and load: items, users and interactions, seeded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.sample.behaviour import DAY, STEPS, Events, Habits, generate_events
from recsaas_assets.sample.catalogue import SHARE_NEW, SampleCatalogue, generate_catalogue

DAYS = 180
_COUNTRIES = ("DE", "FR", "GB", "IT", "NL", "PL", "ES", "AT")
_AGES = ("18-24", "25-34", "35-44", "45-54", "55+")


@dataclass(frozen=True, slots=True)
class SampleShop:
    """Files of an invented shop as frames; times are ISO text. The dirty rows are among the interactions.

    `n_rejected` and `n_duplicate` say how many interactions an upload must reject and count as duplicates.
    """

    items: pl.DataFrame
    users: pl.DataFrame
    interactions: pl.DataFrame
    n_rejected: int
    n_duplicate: int


def generate_shop(
    users: int = 10_000,
    items: int = 5_000,
    interactions: int = 100_000,
    seed: int = 7,
    *,
    end: datetime,
    dirty_rows: int = 0,
    habits: Habits = "drifting",
) -> SampleShop:
    """Invent a shop whose last 180 days end at `end` (with an offset).

    The interactions are `interactions` valid and distinct rows plus `dirty_rows` others, of five sorts in turn: empty
    user id, unknown type, bad timestamp, negative price, duplicate. The same arguments give the same shop.

    Raises:
        ValueError: a count is too small, or `end` has no offset.
    """
    if users < 1 or items < 1 or interactions < 1 or dirty_rows < 0:
        raise ValueError("a sample shop needs at least 1 user, 1 item and 1 interaction, and dirty_rows of 0 or more")
    if end.tzinfo is None:
        raise ValueError("end must have an offset, for example datetime(2025, 1, 1, tzinfo=UTC)")
    rng = np.random.default_rng(seed)
    first_day = end - timedelta(days=DAYS)
    share_new = SHARE_NEW if habits == "drifting" else 0.0
    catalogue = generate_catalogue(rng, items, first_day=first_day, seconds=DAYS * DAY, share_new=share_new)
    events = generate_events(
        rng,
        catalogue,
        n_users=users,
        n_events=interactions,
        days=DAYS,
        first_weekday=first_day.weekday(),
        habits=habits,
    )
    frame = _interactions(rng, catalogue, events, first_day)
    dirty = _dirty(rng, frame, dirty_rows)
    if dirty_rows:
        place = np.concatenate([np.arange(frame.height, dtype=float), rng.random(dirty_rows) * frame.height])
        frame = pl.concat([frame, dirty])[np.argsort(place, kind="stable")]
    n_duplicate = dirty_rows // 5
    return SampleShop(catalogue.frame, _users(rng, users), frame, dirty_rows - n_duplicate, n_duplicate)


def _users(rng: np.random.Generator, n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": _user_ids(np.arange(n)),
            "country": np.array(_COUNTRIES)[rng.integers(0, len(_COUNTRIES), n)],
            "age_group": np.array(_AGES)[rng.integers(0, len(_AGES), n)],
            "newsletter": rng.random(n) < 0.3,
        }
    )


def _user_ids(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
    return "u" + pl.Series("user_id", rows + 1).cast(pl.String).str.zfill(6)


def _interactions(
    rng: np.random.Generator, catalogue: SampleCatalogue, events: Events, first_day: datetime
) -> pl.DataFrame:
    n = len(events.user)
    bought = events.step == STEPS.index("purchase")
    seconds = pl.Series(int(first_day.timestamp()) + events.second)
    return pl.DataFrame(
        {
            "user_id": _user_ids(events.user),
            "item_id": catalogue.frame["item_id"][events.item],
            "interaction_type": np.array(STEPS)[events.step],
            "timestamp": pl.from_epoch(seconds, "s").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "session_id": "s" + pl.Series(events.visit).cast(pl.String).str.zfill(7),
            "duration_seconds": np.where(events.step == 0, rng.integers(3, 240, n), -1),
            "quantity": np.where(bought, 1 + (rng.random(n) < 0.08), -1),
            "price": np.where(bought, catalogue.frame["price"].to_numpy()[events.item], np.nan),
        }
    ).with_columns(
        pl.col("price").fill_nan(None),
        pl.when(pl.col("duration_seconds", "quantity") >= 0).then(pl.col("duration_seconds", "quantity")),
    )


def _dirty(rng: np.random.Generator, frame: pl.DataFrame, n: int) -> pl.DataFrame:
    """Copy `n` rows, no row twice as a duplicate of itself, and spoil four of every five."""
    rows = rng.integers(0, frame.height, n)
    sort = pl.Series("sort", np.arange(n) % 5)
    bad = frame[rows].with_columns(sort)
    return bad.select(
        pl.when(pl.col("sort") == 0).then(pl.lit("")).otherwise(pl.col("user_id")).alias("user_id"),
        "item_id",
        pl.when(pl.col("sort") == 1)
        .then(pl.lit("looked"))
        .otherwise(pl.col("interaction_type"))
        .alias("interaction_type"),
        pl.when(pl.col("sort") == 2).then(pl.lit("31/12/2024 5pm")).otherwise(pl.col("timestamp")).alias("timestamp"),
        "session_id",
        "duration_seconds",
        "quantity",
        pl.when(pl.col("sort") == 3).then(-1.0).otherwise(pl.col("price")).alias("price"),
    )
