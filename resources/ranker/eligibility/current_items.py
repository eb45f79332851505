"""The items of a release as the catalogue is now: what an overlay closes, changes and adds is laid over them.

A release may have a million items and its catalogue change every second, so nothing here is as long as the catalogue:
the changed items form a small catalogue of their own, which the same filters are put to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.ranker.eligibility.filters import Filters, passing
from resources.ranker.eligibility.overlay import NO_CHANGES, ChangedItem, ItemOverlay
from resources.release.catalogue import Catalogue, ItemCard
from resources.release.category_paths import fold
from resources.release.contents import ITEM_SCHEMA
from resources.release.load import LoadedRelease

_MAX_PATCHES = 64
_MAX_OVERLAYS = 4
_MAX_NAME = 200

Rows = NDArray[np.int32]
_NO_ROWS: Rows = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Patch:
    """The effect of an overlay on the items that pass a filter.

    Attributes:
        shut: `(n,)`, rows of the release that the filter's own view may hold, and that now speak for themselves.
        opened: `(m,)`, those of the changed and new items that pass, ascending.
        opened_with_vector: `(k,)`, those of them that the model ranks.
    """

    shut: Rows
    opened: Rows
    opened_with_vector: Rows


NO_PATCH = Patch(_NO_ROWS, _NO_ROWS, _NO_ROWS)


class CurrentItems:
    """Items by row: those below `release_size` are the release's, the others were added since. Safe to share.

    Attributes:
        release_size: items of the release.
        size: items altogether.
        closed: rows of the items that were deleted since.
    """

    def __init__(self, release: LoadedRelease, overlay: ItemOverlay = NO_CHANGES) -> None:
        self.overlay = overlay
        self.catalogue = release.catalogue
        self.release_size = self.catalogue.size
        self._release_rows = release.item_rows
        opened = {item_id: item for item_id, item in overlay.opened.items() if item_id not in overlay.closed}
        added = [item_id for item_id in opened if item_id not in self._release_rows]
        self._added = {item_id: self.release_size + number for number, item_id in enumerate(added)}
        self.size = self.release_size + len(added)
        rows = {self._release_rows.get(item_id, self._added.get(item_id, -1)): item_id for item_id in opened}
        self._changed: Rows = np.array(sorted(rows), dtype=np.int32)
        self.closed: Rows = self.rows(overlay.closed)
        self._shut = np.concatenate([self.closed, self._changed[self._changed < self.release_size]])
        changed = _frame(self.catalogue, [(row, rows[row], opened[rows[row]]) for row in sorted(rows)])
        self._small = Catalogue(changed, category_separator=self.catalogue.category_paths.separator)
        self._place = {row: place for place, row in enumerate(self._changed.tolist())}
        # Cheaper than cachetools, and whole in one call of C where several threads read (ADR 17).
        self._patches: OrderedDict[Filters, Patch] = OrderedDict()
        self._lock = Lock()

    def row(self, item_id: str) -> int | None:
        """Return the row of an item, one added since the release included; `None` for an unknown one."""
        row = self._release_rows.get(item_id)
        return self._added.get(item_id) if row is None else row

    def rows(self, item_ids: Iterable[str]) -> Rows:
        """Return the rows `(n,)` of those items that are known, in the order given."""
        if not self._added:
            known = self._release_rows
            return np.array([known[item_id] for item_id in item_ids if item_id in known], dtype=np.int32)
        found = (self.row(item_id) for item_id in item_ids)
        return np.array([row for row in found if row is not None], dtype=np.int32)

    def card(self, row: int) -> ItemCard:
        """Return what to show of the item in `row`."""
        place = self._place.get(row) if self._place else None
        return self.catalogue.card(row) if place is None else self._small.card(place)

    def name(self, row: int) -> str:
        """Return the item's title, without one its id; no more of it than a sentence can hold."""
        card = self.card(row)
        return (card.title or card.item_id)[:_MAX_NAME]

    def patch(self, filters: Filters) -> Patch:
        """Return what changes in the view of `filters`; `exclude_ids` is ignored."""
        if not self.overlay:
            return NO_PATCH
        key = replace(filters, exclude_ids=()) if filters.exclude_ids else filters
        patch = self._patches.get(key)
        if patch is None:
            opened = self._changed[passing(self._small, key)]
            inside = opened[opened < self.release_size]
            patch = Patch(self._shut, opened, inside[self.catalogue.ranked[inside]])
            with self._lock:
                self._patches[key] = patch
                while len(self._patches) > _MAX_PATCHES:
                    self._patches.popitem(last=False)
        return patch

    def popularity(self, rows: Rows) -> NDArray[np.float64]:
        """Return the popularity `(n,)` of `rows` `(n,)`; an item added since the release has none yet."""
        if not self._added:
            return self.catalogue.popularity[rows]
        inside = rows < self.release_size
        return np.where(inside, self.catalogue.popularity[np.where(inside, rows, 0)], 0.0) if len(rows) else np.zeros(0)

    def categories(self, rows: NDArray[np.integer]) -> list[str | int | None]:
        """Return for each of `rows` `(n,)` a value that items of one category share; `None` for an item without any."""
        codes: list[str | int | None] = []
        known = self.catalogue.category
        for row in rows.tolist():
            if row not in self._place:
                code = int(known.codes[row])
                codes.append(None if code < 0 else code)
            else:
                folded = fold(self.card(row).category or "")
                codes.append(known.of.get(folded, folded) if folded else None)
        return codes

    def category_of(self, row: int) -> NDArray[np.bool_]:
        """Return `(size,)` bool: the items of the same category as the item in `row`; none if it has no category."""
        category = self.categories(np.array([row]))[0]
        same = np.zeros(self.size, dtype=np.bool_)
        if category is not None:
            same[: self.release_size] = self.catalogue.category.codes == (category if isinstance(category, int) else -2)
            same[self._changed] = [each == category for each in self.categories(self._changed)]
        return same

    def is_listed(self, row: int) -> bool:
        """Tell whether the item is in the catalogue and not deleted; without a catalogue every item is listed."""
        if row in self._place:
            return True
        catalogue = self.catalogue
        return bool(row not in self.closed and (catalogue.in_catalogue[row] or not catalogue.has_catalogue))

    def is_available(self, row: int) -> bool:
        """Tell whether the item can be had, as far as is known."""
        place = self._place.get(row)
        return bool(self.catalogue.available[row] if place is None else self._small.available[place])

    def is_changed(self, row: int) -> bool:
        """Tell whether the item was changed or added since the release."""
        return row in self._place


class OverlaidItems:
    """`CurrentItems` of one release for the overlays used last; an overlay is known by its identity."""

    def __init__(self, release: LoadedRelease) -> None:
        self._release = release
        self.as_released = CurrentItems(release)
        self._made: list[CurrentItems] = []

    def under(self, overlay: ItemOverlay | None) -> CurrentItems:
        """Return the items under `overlay`."""
        if not overlay:
            return self.as_released
        for each in self._made:  # at most a handful: one overlay is live, and the one before it for a moment
            if each.overlay is overlay:
                return each
        made = CurrentItems(self._release, overlay)
        self._made = [made, *self._made[: _MAX_OVERLAYS - 1]]
        return made


def _frame(catalogue: Catalogue, changed: list[tuple[int, str, ChangedItem]]) -> pl.DataFrame:
    """Return the changed items in the columns of `items.parquet`."""
    records = []
    for row, item_id, item in changed:
        fields: dict[str, object] = {name: getattr(item, name) for name in item.given}
        if row < catalogue.size:
            card = catalogue.card(row)
            fields = {
                "title": card.title,
                "category": card.category,
                "brand": card.brand,
                "price": card.price,
                "image_url": card.image_url,
                "tags": catalogue.tags_of(row) if "tags" not in item.given else None,
                "available": bool(catalogue.available[row]),
                **fields,
            }
        records.append({"item_id": item_id, "in_catalogue": True, "has_vector": False, **fields})
    return pl.DataFrame(records, schema=ITEM_SCHEMA)
