"""The filters of a request as a mask over item rows, kept for the next request."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import FieldProblem, InvalidInput
from resources.release.catalogue import Catalogue
from resources.release.category_paths import fold


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on the items of an answer. All that are given must hold.

    `category` and `categories` together name the accepted categories, and with each those below it where categories are
    paths; one tag out of `tags` is enough. Categories, brands and tags are compared without case and outer blanks, and
    in one form of letters; ids exactly. Prices are inclusive, and an item without a
    price fails a price filter. `include_unavailable` admits unavailable items, never ones outside the catalogue.

    Raises:
        InvalidInput: a price is not a number, or `min_price` is above `max_price`.
    """

    category: str | None = None
    categories: tuple[str, ...] = ()
    brand: str | None = None
    tags: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    exclude_ids: tuple[str, ...] = ()
    include_unavailable: bool = False

    def __post_init__(self) -> None:
        for name, price in (("min_price", self.min_price), ("max_price", self.max_price)):
            if price is not None and price != price:
                _refuse(name, "must be a number")
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            _refuse("min_price", "must not be above max_price")


@dataclass(frozen=True, slots=True)
class FilterView:
    """The items that pass a filter.

    Attributes:
        mask: `(n_items,)` bool, the items that pass.
        model_mask: `(n_items,)` bool, those of them that the model ranks.
        model_rows: int32, the rows of `model_mask`, ascending.
        popular: int32, the rows of `mask`, most popular first, ties by row.
    """

    mask: NDArray[np.bool_]
    model_mask: NDArray[np.bool_]
    model_rows: NDArray[np.int32]
    popular: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.mask.nbytes + self.model_mask.nbytes + self.model_rows.nbytes + self.popular.nbytes


class FilterViews:
    """Views of one catalogue, the least recently used ones dropped beyond `max_bytes` or `max_views`.

    `exclude_ids` is not part of a view: it differs from request to request, and the ranker takes those out itself.
    """

    def __init__(self, catalogue: Catalogue, *, max_views: int = 256, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._catalogue = catalogue
        self._max_views = max_views
        self._max_bytes = max_bytes
        self._bytes = 0
        # A limit of bytes and one of entries: cachetools has one, and a look-up takes it three times as long (ADR 17).
        self._views: OrderedDict[Filters, FilterView] = OrderedDict()
        self._lock = Lock()
        self._unfiltered = _view(catalogue, Filters())

    def get(self, filters: Filters) -> FilterView:
        """Return the view of `filters`; `exclude_ids` is ignored."""
        if filters == _NO_FILTERS:
            return self._unfiltered
        key = replace(filters, exclude_ids=()) if filters.exclude_ids else filters
        if key == _NO_FILTERS:
            return self._unfiltered
        with self._lock:
            view = self._views.get(key)
            if view is not None:
                self._views.move_to_end(key)
                return view
        view = _view(self._catalogue, key)
        with self._lock:
            if key not in self._views:
                self._views[key] = view
                self._bytes += view.nbytes
            while self._views and (len(self._views) > self._max_views or self._bytes > self._max_bytes):
                self._bytes -= self._views.popitem(last=False)[1].nbytes
        return view

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the views kept now."""
        return self._bytes + self._unfiltered.nbytes

    def __len__(self) -> int:
        return len(self._views)


def _view(catalogue: Catalogue, filters: Filters) -> FilterView:
    mask = passing(catalogue, filters)
    model_mask = mask & catalogue.ranked
    popular = catalogue.popular_rows
    return FilterView(
        mask=mask,
        model_mask=model_mask,
        model_rows=np.flatnonzero(model_mask).astype(np.int32),
        popular=popular[mask[popular]],
    )


def passing(catalogue: Catalogue, filters: Filters) -> NDArray[np.bool_]:
    """Return `(n_items,)` bool: the items that pass, whatever `exclude_ids` says."""
    mask = np.ones(catalogue.size, dtype=np.bool_)
    if catalogue.has_catalogue:
        mask &= catalogue.in_catalogue
    if not filters.include_unavailable:
        mask &= catalogue.available
    categories = filters.categories if filters.category is None else (*filters.categories, filters.category)
    if categories:
        mask &= np.logical_or.reduce([catalogue.in_category(text) for text in categories])
    if filters.brand is not None:
        mask &= catalogue.brand.codes == catalogue.brand.of.get(fold(filters.brand), -2)
    if filters.tags:
        tagged = np.zeros_like(mask)
        postings = catalogue.tags
        for number in {postings.of[fold(tag)] for tag in filters.tags if fold(tag) in postings.of}:
            tagged[postings.rows[postings.starts[number] : postings.starts[number + 1]]] = True
        mask &= tagged
    if filters.min_price is not None:  # NaN, the unknown price, is neither above nor below anything
        mask &= catalogue.price >= filters.min_price
    if filters.max_price is not None:
        mask &= catalogue.price <= filters.max_price
    return mask


def _refuse(field: str, problem: str) -> None:
    message = f"filters.{field} {problem}."
    raise InvalidInput(message, details=(FieldProblem(f"filters.{field}", problem),))


_NO_FILTERS = Filters()
