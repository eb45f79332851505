"""Names of interaction types, of the tenant's and of known programs, mapped onto ours.

Case, blanks, `-`, `_` and camel case do not count. What is not surely one of ours is unknown: a person has to say what
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import polars as pl

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import INTERACTION_TYPES, ColumnSpec
from resources.uploads.contract.words import means_nothing
from resources.uploads.normalising.cells import MAX_CELL_CHARACTERS, Cell, ReadColumn, read_cells
from resources.uploads.normalising.evidence import MAX_TYPE_NAMES
from resources.uploads.normalising.texts import clean_text, empty_to_null

IGNORE = "ignore"
"""What a name may be mapped onto whose rows are left out."""

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "view": (
            "viewed", "page view", "product view", "product viewed", "viewed product", "product page view",
            "product detail view", "detail page view", "view item", "item view", "item viewed", "view content",
            "view product",
        ),
        "click": ("clicked", "product click", "product clicked", "item click", "item clicked", "select item"),
        "add_to_cart": (
            "cart", "cart add", "added to cart", "product added", "product added to cart", "add to basket",
            "added to basket", "basket", "add to bag", "added to bag",
        ),
        "purchase": (
            "purchased", "buy", "bought", "transaction", "order", "ordered", "order completed", "completed order",
            "order placed", "placed order", "order paid", "product purchased", "purchase complete",
            "purchase completed", "checkout completed", "ordered product", "sale", "sold",
        ),
        "rating": ("rate", "rated", "product rated", "star rating"),
        "like": (
            "liked", "favorite", "favourite", "favorited", "favourited", "add to favorites", "add to favourites",
            "add to wishlist", "added to wishlist", "product added to wishlist", "wishlist", "thumbs up", "upvote",
        ),
        "dislike": ("disliked", "thumbs down", "downvote"),
    }
)  # fmt: skip
"""Names of known programs, among them GA4, Segment, Klaviyo, Meta, Google Retail, Shopify, REES46 and Retailrocket."""


@dataclass(frozen=True, slots=True)
class TypeNames:
    """Every name that a tenant's files and events may use, with the type that it is.

    `names` are those that are listed to people: ours, and the tenant's own in lower case, which win. `keys` has those
    and the synonyms without what does not count.
    """

    names: Mapping[str, str]
    keys: Mapping[str, str]

    @classmethod
    def of(cls, settings: TenantSettings) -> TypeNames:
        """The names of a tenant."""
        own = {name.strip().lower(): target for name, target in settings.interaction_types.items()}
        names = {**{name: name for name in INTERACTION_TYPES}, **own}
        known = {_key(word): target for target, words in SYNONYMS.items() for word in words}
        return cls(names, {**known, **{_key(name): target for name, target in names.items()}})

    def find(self, name: str) -> str | None:
        """Return the type that a name is, `IGNORE`, or None for an unknown one."""
        return self.names.get(name.strip().lower()) or self.keys.get(_key(name))


def _key(name: str) -> str:
    return "".join(c for c in name.lower() if not c.isspace() and c not in "-_")


def normalise_type_name(text: str, types: TypeNames) -> Cell[str]:
    """Read the name of an interaction type."""
    name = text.strip()
    if not name:
        return Cell()
    found = types.find(name) if len(name) <= MAX_CELL_CHARACTERS else None
    if found is not None:
        return Cell(found)
    return Cell(notes=("empty_word",)) if means_nothing(name) else Cell(problem="unknown")


def read_type_names(text: pl.Series, spec: ColumnSpec, types: TypeNames, *, strict: bool) -> ReadColumn:
    """Read a column of names (String)."""
    text = clean_text(text) if strict else text
    values = _plain(text, dict(types.names))
    text = empty_to_null(text, values)
    odd = values.is_null() & text.is_not_null()
    if strict or not odd.any():
        return ReadColumn(text, values)
    read = read_cells(text, values, odd, lambda cell: normalise_type_name(cell, types), spec.name)
    unknown: dict[str, int] = {}
    mapped: dict[str, int] = {}
    for raw, count in text.filter(odd).alias("name").to_frame().group_by("name", maintain_order=True).len().iter_rows():
        cell = normalise_type_name(raw, types)
        name, names = raw.strip(), unknown if cell.problem else mapped
        if cell.value is not None:
            name = f"{name} → {cell.value}"
        elif cell.problem is None:
            continue
        if name in names or len(names) < MAX_TYPE_NAMES:
            names[name] = names.get(name, 0) + count
    return replace(read, unknown_types=unknown, mapped_types=mapped)


def _plain(text: pl.Series, names: dict[str, str]) -> pl.Series:
    known = text.replace_strict(names, default=None, return_dtype=pl.String)
    if known.null_count() == text.null_count():
        return known
    return text.str.to_lowercase().replace_strict(names, default=None, return_dtype=pl.String)
