"""Ids that can never match: those of interactions and of the catalogue that differ only by what programs do to ids."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict
from upath import UPath

from resources.storage.lake import TenantLake, scan_parquet
from resources.uploads.deduplication.stray_ids import compare_ids, difference

_EXAMPLES = 5
_TABLES: dict[Literal["item_id", "user_id"], tuple[str, str]] = {
    "item_id": ("stg_items.parquet", "item_features.parquet"),
    "user_id": ("stg_users.parquet", "user_features.parquet"),
}
"""Of each column the table with what files describe, and that with what interactions name."""


class UnmatchedPair(BaseModel):
    """An id of interactions, and the id of the items or users file that it seems to mean."""

    model_config = ConfigDict(frozen=True)

    in_interactions: str
    in_file: str
    differs_by: str


class UnmatchedIds(BaseModel):
    """`count` ids of interactions, in `column`, that no items or users file has, and that differ from one that it has
    only by case, leading zeros, blanks, unseen characters, decimals, or a prefix such as gid://shopify/Product/.
    """

    model_config = ConfigDict(frozen=True)

    column: Literal["item_id", "user_id"]
    count: int
    examples: tuple[UnmatchedPair, ...]

    @property
    def message(self) -> str:
        """What is wrong and what to do, in a sentence."""
        pairs = ", ".join(f"{each.in_interactions!r} for {each.in_file!r}" for each in self.examples[:3])
        what = "items file" if self.column == "item_id" else "users file"
        return (
            f"{self.count:,} ids in {self.column} of the interactions differ from ids of the {what} only by "
            f"{self.examples[0].differs_by} and the like ({pairs}). Send the same ids in both."
        )


def unmatched_ids(folder: TenantLake) -> tuple[UnmatchedIds, ...]:
    """Compare what the last run has built; nothing before the first run."""
    found = []
    for column, (file, interactions) in _TABLES.items():
        described, named = folder.dbt / file, folder.dbt / interactions
        if described.exists() and named.exists():
            pairs = _pairs(column, described, named)
            if pairs.height:
                found.append(_shown(column, pairs))
    return tuple(found)


def _pairs(column: str, described: UPath, named: UPath) -> pl.DataFrame:
    interactions = scan_parquet([named]).filter(pl.col("interaction_count") > 0)
    return compare_ids(interactions.select(id=column), scan_parquet([described]).select(id=column))


def _shown(column: Literal["item_id", "user_id"], pairs: pl.DataFrame) -> UnmatchedIds:
    examples = [
        UnmatchedPair(in_interactions=named, in_file=meant, differs_by=difference(named, meant))
        for named, meant in pairs.head(_EXAMPLES).iter_rows()
    ]
    return UnmatchedIds(column=column, count=pairs.height, examples=tuple(examples))
