"""Changes of the catalogue since the release was made: they hold in the next answer, without a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ItemField = Literal["title", "category", "brand", "price", "tags", "available", "image_url"]
ALL_FIELDS: frozenset[ItemField] = frozenset(("title", "category", "brand", "price", "tags", "available", "image_url"))
"""The fields that an upsert sets: every one, those left out to null."""


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """An item that was changed or added since the release.

    Attributes:
        given: names of the fields that the changes set; the other fields below say nothing, and are as the release has
            them (null, and available, for an item that it does not have).
        tags: separated by the vertical bar, as in an upload.
        available: null counts as available.
    """

    given: frozenset[ItemField] = ALL_FIELDS
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    tags: str | None = None
    available: bool | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ItemOverlay:
    """The catalogue's changes since the watermark of a release. Immutable; the ranker prepares each object once, so
    hand over the same object as long as nothing has changed.

    Attributes:
        closed: items that were deleted: never answered, whatever the filters say.
        opened: items that were changed or added, by id, with everything that is changed of them since the release. They
            are in the catalogue from then on. One that is now unavailable belongs here, with `available=False`, so that
            `include_unavailable` can admit it. An id that is closed as well is closed.
    """

    closed: frozenset[str] = frozenset()
    opened: Mapping[str, ChangedItem] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.closed or self.opened)


NO_CHANGES = ItemOverlay()
"""The catalogue is as the release has it."""
