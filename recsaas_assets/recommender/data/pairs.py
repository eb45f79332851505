"""User × item pairs with a weight: what the model is fitted on and measured against."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Floats, Rows


@dataclass(frozen=True, eq=False)
class Pairs:
    """Unique pairs, sorted by user row, then item row. All arrays have shape (n_pairs,).

    ``age_days`` is the age of the pair's latest interaction, counted back from the latest one among these pairs.
    """

    user_row: Rows
    item_row: Rows
    weight: Floats
    age_days: Floats

    @classmethod
    def of(
        cls,
        user_row: npt.ArrayLike,
        item_row: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        age_days: npt.ArrayLike | None = None,
    ) -> "Pairs":
        """Group repeated pairs (weights add up, the youngest age stays) and sort. Weights default to 1, ages to 0."""
        users = np.asarray(user_row, dtype=np.int32)
        frame = pl.DataFrame(
            {
                "user_row": users,
                "item_row": np.asarray(item_row, dtype=np.int32),
                "weight": np.ones(len(users), np.float32) if weight is None else np.asarray(weight, dtype=np.float32),
                "age_days": np.zeros(len(users), np.float32)
                if age_days is None
                else np.asarray(age_days, dtype=np.float32),
            }
        )
        grouped = frame.group_by("user_row", "item_row").agg(pl.col("weight").sum(), pl.col("age_days").min())
        return cls.from_polars(grouped)

    @classmethod
    def from_polars(cls, frame: pl.DataFrame) -> "Pairs":
        """From a frame with one row per pair and the four columns named as the fields."""
        ordered = frame.sort("user_row", "item_row")
        return cls(
            user_row=ordered["user_row"].to_numpy().astype(np.int32),
            item_row=ordered["item_row"].to_numpy().astype(np.int32),
            weight=ordered["weight"].to_numpy().astype(np.float32),
            age_days=ordered["age_days"].to_numpy().astype(np.float32),
        )

    @classmethod
    def empty(cls) -> "Pairs":
        """No pair at all."""
        return cls.of([], [])

    def to_polars(self) -> pl.DataFrame:
        """Columns user_row, item_row (Int32), weight, age_days (Float32)."""
        return pl.DataFrame(
            {
                "user_row": self.user_row,
                "item_row": self.item_row,
                "weight": self.weight,
                "age_days": self.age_days,
            }
        )

    def __len__(self) -> int:
        return len(self.user_row)

    def csr(self, n_users: int, n_items: int) -> sparse.csr_array:
        """Weights as a sparse matrix of shape (n_users, n_items) with sorted int32 indices."""
        matrix = sparse.csr_array((self.weight, (self.user_row, self.item_row)), shape=(n_users, n_items))
        matrix.sort_indices()
        return matrix

    def users_per_item(self, n_items: int) -> npt.NDArray[np.int64]:
        """Number of distinct users of every item, shape (n_items,)."""
        return np.bincount(self.item_row, minlength=n_items)

    def items_per_user(self, n_users: int) -> npt.NDArray[np.int64]:
        """Number of distinct items of every user, shape (n_users,)."""
        return np.bincount(self.user_row, minlength=n_users)

    def of_users(self, known: npt.NDArray[np.bool_]) -> "Pairs":
        """The pairs whose user is marked in ``known``, shape (n_users,)."""
        return self._take(known[self.user_row])

    def of_items(self, known: npt.NDArray[np.bool_]) -> "Pairs":
        """The pairs whose item is marked in ``known``, shape (n_items,)."""
        return self._take(known[self.item_row])

    def without(self, other: "Pairs", n_items: int) -> "Pairs":
        """The pairs that are not in ``other``."""
        own = self.user_row.astype(np.int64) * n_items + self.item_row
        return self._take(~np.isin(own, other.user_row.astype(np.int64) * n_items + other.item_row))

    def _take(self, keep: npt.NDArray[np.bool_]) -> "Pairs":
        return Pairs(self.user_row[keep], self.item_row[keep], self.weight[keep], self.age_days[keep])
