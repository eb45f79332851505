"""The tenant's own string ids against the contiguous rows the model works with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from resources.base.errors import InvalidInput


@dataclass(frozen=True)
class IdMap:
    """Ids in row order: the id of row ``r`` is ``ids[r]``. Ids are unique; an empty map is allowed."""

    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise InvalidInput("An id map holds an id twice; build it with IdMap.from_ids, which keeps each id once.")

    @classmethod
    def from_ids(cls, ids: Iterable[str]) -> "IdMap":
        """Map the distinct ids, sorted, so that the rows do not depend on the order of the input."""
        return cls(tuple(sorted(set(ids))))

    @classmethod
    def from_polars(cls, frame: pl.DataFrame, *, id_column: str, row_column: str) -> "IdMap":
        """Read back a frame written by `to_polars`. Raises InvalidInput when the rows are not 0 … n-1."""
        ordered = frame.sort(row_column)
        if ordered[row_column].to_list() != list(range(ordered.height)):
            raise InvalidInput(f"{row_column} is not contiguous from 0; rebuild the training set.")
        return cls(tuple(ordered[id_column].to_list()))

    def to_polars(self, *, id_column: str, row_column: str) -> pl.DataFrame:
        """One row per id: ``row_column`` Int32, ``id_column`` String, in row order."""
        return pl.DataFrame(
            {row_column: np.arange(len(self), dtype=np.int32), id_column: pl.Series(self.ids, dtype=pl.String)}
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str] | pl.Series) -> npt.NDArray[np.int32]:
        """Rows of ``ids``, shape (len(ids),); −1 for an id the map does not know."""
        wanted = pl.DataFrame({"id": ids if isinstance(ids, pl.Series) else pl.Series(ids, dtype=pl.String)})
        found = wanted.join(self._table, on="id", how="left", maintain_order="left")["row"].fill_null(-1)
        return found.to_numpy().astype(np.int32)

    @cached_property
    def _table(self) -> pl.DataFrame:
        return self.to_polars(id_column="id", row_column="row")
