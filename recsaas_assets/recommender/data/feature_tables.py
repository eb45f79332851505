"""dbt features as arrays in the rows of a training set, at the three times at which a model may look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl
from polars import selectors
from upath import UPath

from recsaas_assets.recommender.data.arrays import Floats
from recsaas_assets.recommender.data.dataset import TrainingSet
from recsaas_assets.recommender.data.id_map import IdMap
from resources.base.errors import CorruptArtifact
from resources.storage.lake import read_json, read_parquet, scan_parquet, write_json, write_parquet

SplitPart = Literal["train", "before_test", "full"]
"""Parts of a training set that a model is fitted on."""

PARTS: tuple[SplitPart, ...] = get_args(SplitPart)
_MOST_CATEGORIES = 30
_LARGEST = 1e18
"""Sums and squares of it are finite in float32."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """``values`` (n_rows, n_names) float32, one row per user or item row; NaN where a feature is missing."""

    names: tuple[str, ...]
    values: Floats

    @classmethod
    def from_polars(cls, frame: pl.DataFrame, ids: IdMap, *, id_column: str) -> FeatureTable:
        """Take the numbers and truth values of ``frame`` (one row per id), in the rows of ``ids``.

        An id that the frame lacks has NaN everywhere; an id that the map lacks is left out.
        """
        numbers = frame.select(id_column, (selectors.numeric() | selectors.boolean()).exclude(id_column))
        wanted = pl.DataFrame({id_column: pl.Series(ids.ids, dtype=pl.String)})
        found = wanted.join(numbers, on=id_column, how="left", maintain_order="left").drop(id_column)
        # A price of 1e308 is a number to a file, and infinite to a model.
        finite = pl.all().cast(pl.Float64).clip(-_LARGEST, _LARGEST)
        values = found.select(finite.cast(pl.Float32).fill_null(float("nan"))).to_numpy()
        return cls(tuple(found.columns), np.ascontiguousarray(values, dtype=np.float32))

    def to_polars(self, ids: IdMap, *, id_column: str) -> pl.DataFrame:
        """One row per id, with the id, so that an erasure finds its user."""
        columns = dict(zip(self.names, self.values.T, strict=True))
        return pl.DataFrame({id_column: pl.Series(ids.ids, dtype=pl.String), **columns})


@dataclass(frozen=True, eq=False)
class Features:
    """Features of users and items at one time, as dbt computed them."""

    users: FeatureTable
    items: FeatureTable

    @classmethod
    def from_dbt(cls, folder: UPath, catalogue: pl.DataFrame, training_set: TrainingSet) -> Features:
        """Read ``user_features`` and ``item_features`` in ``folder``, as dbt wrote them for one time.

        ``catalogue`` (item_id, category, price) adds the price and the most frequent categories, each a column of
        zeros and ones. It is today's at every time, as in `point_in_time.py`, so the columns are always the same.

        Raises:
            CorruptArtifact: a file is missing or damaged.
        """
        kept = _frequent_categories(catalogue)
        users = _rows_of(folder / "user_features.parquet", training_set.users, id_column="user_id")
        favourite = users.with_columns(_one_hot("favourite_category", kept))
        items = _rows_of(folder / "item_features.parquet", training_set.items, id_column="item_id").join(
            catalogue.select("item_id", "category", "price"), on="item_id", how="left"
        )
        return cls(
            users=FeatureTable.from_polars(favourite, training_set.users, id_column="user_id"),
            items=FeatureTable.from_polars(
                items.with_columns(_one_hot("category", kept)), training_set.items, id_column="item_id"
            ),
        )


@dataclass(frozen=True, eq=False)
class FeatureHistory:
    """Features without any row from ``validation_start`` on, from ``test_start`` on, and of all rows.

    They belong to the parts ``train``, ``before_test`` and ``full`` of the training set.
    """

    train: Features
    before_test: Features
    full: Features

    def of(self, part: SplitPart) -> Features:
        """The features that a fit on this part may look at."""
        features: Features = getattr(self, part)
        return features

    def save(self, directory: UPath, training_set: TrainingSet) -> None:
        """Write two Parquet files per part, then `features.json`, each atomically."""
        for part in PARTS:
            features = self.of(part)
            users = features.users.to_polars(training_set.users, id_column="user_id")
            items = features.items.to_polars(training_set.items, id_column="item_id")
            write_parquet(directory / f"{part}_users.parquet", users)
            write_parquet(directory / f"{part}_items.parquet", items)
        write_json(directory / "features.json", {"fingerprint": training_set.fingerprint})

    @classmethod
    def load(cls, directory: UPath, training_set: TrainingSet) -> FeatureHistory:
        """Read what `save` wrote.

        Raises:
            CorruptArtifact: a file is missing or damaged, or the features belong to another training set.
        """
        document = read_json(directory / "features.json")
        if not isinstance(document, dict) or document.get("fingerprint") != training_set.fingerprint:
            raise CorruptArtifact(
                "The features belong to another training set than the one stored; materialise training_features again."
            )
        train, before_test, full = (_read(directory, part, training_set) for part in PARTS)
        return cls(train, before_test, full)


def _rows_of(file: UPath, ids: IdMap, *, id_column: str) -> pl.DataFrame:
    """Read the rows of some ids as a stream: a tenant may know of many more users than its model does."""
    if not file.exists():
        raise CorruptArtifact(f"{file.name} is missing; run the tenant's pipeline again.")
    wanted = pl.LazyFrame({id_column: pl.Series(ids.ids, dtype=pl.String)})
    return scan_parquet([file]).join(wanted, on=id_column, how="semi").collect(engine="streaming")


def _read(directory: UPath, part: SplitPart, training_set: TrainingSet) -> Features:
    users = read_parquet(directory / f"{part}_users.parquet")
    items = read_parquet(directory / f"{part}_items.parquet")
    return Features(
        users=FeatureTable.from_polars(users, training_set.users, id_column="user_id"),
        items=FeatureTable.from_polars(items, training_set.items, id_column="item_id"),
    )


def _frequent_categories(catalogue: pl.DataFrame) -> list[str]:
    """Categories with the most items, at most `_MOST_CATEGORIES`, in an order that the data decides."""
    counts = catalogue.drop_nulls("category").group_by("category").len()
    return [str(each) for each in counts.sort("len", "category", descending=[True, False])["category"]][
        :_MOST_CATEGORIES
    ]


def _one_hot(column: str, values: list[str]) -> list[pl.Expr]:
    return [
        (pl.col(column) == value).fill_null(value=False).cast(pl.Float32).alias(f"{column}={value}") for value in values
    ]
