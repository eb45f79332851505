"""From the interactions of a tenant to the table of a release: which interactions make baskets, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from recsaas_assets.recommender.bundles.association import Visits, associations
from recsaas_assets.recommender.bundles.baskets import Baskets, baskets_of
from recsaas_assets.recommender.data.id_map import IdMap
from resources.release.item_table import ItemTable
from resources.release.manifest import BundleEvidence, BundleFigures

LEAST_BASKETS = 100
"""Baskets of two items or more below which carts, and then ratings and likes, are counted too."""
_ALL_TYPES = ("view", "click", "add_to_cart", "purchase", "rating", "like")
_STEPS: tuple[tuple[BundleEvidence, tuple[str, ...]], ...] = (
    ("purchases", ("purchase",)),
    ("carts", ("purchase", "add_to_cart")),
    ("choices", ("purchase", "add_to_cart", "like", "rating")),
)
"""Views and clicks never: who compares looks at alternatives together."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundles:
    """The table of what goes together, and what it was counted from."""

    table: ItemTable
    figures: BundleFigures


def build_bundles(interactions: pl.DataFrame | pl.LazyFrame, users: IdMap, items: IdMap) -> Bundles:
    """Count baskets and build the table.

    Purchases alone when there are baskets enough of them; else carts, and then ratings and likes, are counted too.

    Args:
        interactions: `INTERACTION_COLUMNS` of `stg_interactions`.

    Raises:
        InvalidInput: a column is missing.
    """
    evidence, taken = _taken(interactions, users, items)
    visits = visits_of(interactions, evidence, users, items)
    table = associations(taken, visits)
    return Bundles(table, BundleFigures(evidence=evidence, baskets=len(taken.usable()), pairs=len(table.items)))


def types_of(evidence: BundleEvidence) -> tuple[str, ...]:
    """Return the types of interactions that make baskets for this kind of evidence."""
    return dict(_STEPS)[evidence]


def visits_of(
    interactions: pl.DataFrame | pl.LazyFrame, evidence: BundleEvidence, users: IdMap, items: IdMap
) -> Visits | None:
    """Return the visits with what they looked at and took; None where no visit looks at more than it takes."""
    visits = baskets_of(interactions, _ALL_TYPES, users, items, taking=types_of(evidence)).usable()
    return None if visits.taken.all() else Visits(visits.matrix(), visits.matrix(taken=True))


def _taken(interactions: pl.DataFrame | pl.LazyFrame, users: IdMap, items: IdMap) -> tuple[BundleEvidence, Baskets]:
    for evidence, types in _STEPS[:-1]:
        found = baskets_of(interactions, types, users, items)
        if len(found.usable()) >= LEAST_BASKETS:
            return evidence, found
    evidence, types = _STEPS[-1]
    return evidence, baskets_of(interactions, types, users, items)
