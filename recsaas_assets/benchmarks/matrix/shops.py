"""The data sets of the matrix as shops: what a shop uploads, and what is held back from it and asked for later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsaas_assets.benchmarks.datasets import public_data
from recsaas_assets.benchmarks.workplace import LAST_DAY
from recsaas_assets.sample.behaviour import Habits
from recsaas_assets.sample.shop import generate_shop
from resources.base.errors import InvalidInput

HELD_BACK = 0.1
"""Share of the interactions, the newest ones, that are held back where time means something: the product's own share
of its test period."""
_HABITS: dict[Habits, str] = {
    "drifting": "the sample shop: items join, what is new sells",
    "lasting": "the sample shop without items that join: tastes alone count",
    "sessions": "the sample shop, in which items of a visit follow each other",
}
_GOWALLA_USERS = 0.2
_A_YEAR = 365 * 86_400


@dataclass(frozen=True, slots=True, eq=False)
class MatrixShop:
    """Files of a shop as frames, and what its users do later.

    `later` has rows of an interactions file where the split is by time, else the columns user_id and item_id.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame
    later: pl.DataFrame

    def of_some_users(self, share: float, seed: int) -> MatrixShop:
        """The shop with a share of its users, drawn at random, and the items that they met."""
        users = self.interactions["user_id"].drop_nulls().unique().sort()
        chosen = np.random.default_rng(seed).choice(len(users), max(1, round(share * len(users))), replace=False)
        of_them = pl.col("user_id").is_in(users[np.sort(chosen)].implode())
        interactions = self.interactions.filter(of_them)
        return MatrixShop(
            self.items.join(interactions.select("item_id").unique(), on="item_id", how="semi"),
            interactions,
            self.later.filter(of_them),
        )


@dataclass(frozen=True, slots=True)
class MatrixSet:
    """A data set of the matrix.

    Attributes:
        origin: the set that it is a part of, or itself; what shares an origin is left out together.
        split: `time`, the newest interactions are held back; `random`, a ready random part is, as times say nothing.
        read: makes the shop; the seed is that of every draw.
    """

    name: str
    origin: str
    split: Literal["time", "random"]
    about: str
    read: Callable[[int], MatrixShop]

    def part(self, share: float) -> MatrixSet:
        """A share of the users of this set."""

        def read(seed: int) -> MatrixShop:
            return self.read(seed).of_some_users(share, seed)

        percent = f"{share:.0%}"
        return MatrixSet(
            f"{self.name}-{percent[:-1]}", self.origin, self.split, f"{percent} of the users of {self.name}", read
        )


def matrix_sets(*, smoke: bool = False) -> tuple[MatrixSet, ...]:
    """The sets in their order; `smoke` has invented ones only, small enough for a test.

    Sets of public data are read from RECSAAS_BENCH_DATA when they are asked for, not before.
    """
    size = {"users": 200, "items": 100, "interactions": 6_000} if smoke else {}
    invented = tuple(
        MatrixSet(f"sample-{habits}", f"sample-{habits}", "time", about, partial(_invented, habits, size))
        for habits, about in _HABITS.items()
    )
    if smoke:
        return invented
    retail = _by_time("online-retail", "wholesale gifts: seasons, repeats")
    places = MatrixSet("gowalla", "gowalla", "random", "places visited: many items, few know each", _gowalla)
    return (
        retail,
        _by_time("movielens-100k", "ratings: few items, most users come once"),
        _ready("citeulike", "articles in libraries: lasting tastes"),
        _ready("lastfm", "artists listened to: a long tail"),
        places.part(_GOWALLA_USERS),
        *invented,
        retail.part(0.1),
        retail.part(0.01),
        places.part(0.1),
        places.part(0.01),
    )


def chosen_sets(names: Sequence[str], *, smoke: bool = False) -> tuple[MatrixSet, ...]:
    """The sets with these names, all without any.

    Raises:
        InvalidInput: there is no such set.
    """
    known = {each.name: each for each in matrix_sets(smoke=smoke)}
    if strange := [name for name in names if name not in known]:
        raise InvalidInput(f"{', '.join(strange)} is not in the matrix, which has {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names or known))


def hold_back(items: pl.DataFrame, interactions: pl.DataFrame, share: float = HELD_BACK) -> MatrixShop:
    """Hold back the newest `share` of the interactions, all from one time on.

    The columns of `interactions` are text, as a shop sends them; rows without a user count for nothing here.
    """
    time = pl.col("timestamp").str.to_datetime(time_zone="UTC")
    known = interactions.filter(pl.col("user_id").fill_null("") != "").with_columns(time=time).sort("time")
    from_time = known["time"][int(len(known) * (1 - share) + 1e-9)]
    later = known.filter(pl.col("time") >= from_time).drop("time")
    return MatrixShop(items, known.filter(pl.col("time") < from_time).drop("time"), later)


def _by_time(name: str, about: str) -> MatrixSet:
    def read(_: int) -> MatrixShop:
        return hold_back(_file(name, "items"), _file(name, "interactions"))

    return MatrixSet(name, name, "time", about, read)


def _ready(name: str, about: str) -> MatrixSet:
    def read(_: int) -> MatrixShop:
        return MatrixShop(_file(name, "items"), _file(name, "interactions"), _file(name, "test"))

    return MatrixSet(name, name, "random", about, read)


def _file(name: str, kind: str) -> pl.DataFrame:
    folder = public_data() / name
    found = [path for path in (folder / f"{kind}.csv", folder / f"{kind}.csv.gz") if path.is_file()]
    if not found:
        raise InvalidInput(f"{folder} has no {kind} file; set RECSAAS_BENCH_DATA to the folder of {name}.")
    return pl.read_csv(found[0], infer_schema=False)


def _gowalla(seed: int) -> MatrixShop:
    """The pairs of the paper's training set as purchases at random times of one year."""
    folder = public_data() / "gowalla"
    train, later = (_with_ids(_parquet(folder / f"{name}.parquet")) for name in ("train", "test"))
    seconds: NDArray[np.int64] = np.random.default_rng(seed).integers(0, _A_YEAR, len(train))
    first = int(LAST_DAY.timestamp()) - _A_YEAR
    times = pl.from_epoch(pl.Series("timestamp", first + seconds), "s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    interactions = train.with_columns(times, interaction_type=pl.lit("purchase"))
    items = train.select("item_id").unique(maintain_order=True)
    return MatrixShop(items.with_columns(title="Place " + pl.col("item_id")), interactions, later)


def _parquet(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InvalidInput(f"{path} is not there; set RECSAAS_BENCH_DATA to the folder that holds gowalla/.")
    return pl.read_parquet(path)


def _with_ids(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.select(user_id="u" + pl.col("user").cast(pl.String), item_id="i" + pl.col("item").cast(pl.String))


def _invented(habits: Habits, size: dict[str, Any], seed: int) -> MatrixShop:
    """Everything can be bought: what is sold out is never served, and a baseline knows nothing of it."""
    shop = generate_shop(**size, seed=seed, end=LAST_DAY, habits=habits)
    interactions = shop.interactions.select(pl.all().cast(pl.String))
    return hold_back(shop.items.drop("available"), interactions)
