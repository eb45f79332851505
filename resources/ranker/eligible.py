"""The items that one answer may contain: filters, changes of the catalogue, rules, what is left out for the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.candidates import ByPopularity
from resources.ranker.eligibility.current_items import CurrentItems, Patch
from resources.ranker.eligibility.filters import Filters, FilterView, FilterViews
from resources.ranker.eligibility.row_rules import RowRules

NO_ROWS = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class EligibleItems:
    """The items that one answer may contain.

    Attributes:
        view: what passes the filters in the release.
        patch: what the changes since do to that.
        rules: of the shop; hidden items are in `removed`.
        removed: `(n,)`, rows that are not to be answered, for whatever reason; not sorted, with repeats.
        pinned: `(m,)`, rows to begin with, in their order.
    """

    items: CurrentItems
    view: FilterView
    patch: Patch
    rules: RowRules
    removed: NDArray[np.int32]
    pinned: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        views: FilterViews,
        items: CurrentItems,
        rules: RowRules,
        filters: Filters,
        *,
        also_removed: NDArray[np.int32] = NO_ROWS,
    ) -> EligibleItems:
        """Put together what an answer may contain; `also_removed` `(n,)` are rows to leave out."""
        removed = also_removed
        if filters.exclude_ids or len(rules.hidden):
            removed = np.concatenate([also_removed, items.rows(filters.exclude_ids), rules.hidden])
        scope = cls(items, views.get(filters), items.patch(filters), rules, removed, NO_ROWS)
        if not len(rules.pinned):
            return scope
        pinned = rules.pinned[scope.mask()[rules.pinned]]
        return cls(items, scope.view, scope.patch, rules, removed, pinned)

    @property
    def passing(self) -> int:
        """How many items that the model ranks pass the filters, before anything is removed."""
        return len(self.view.model_rows) + len(self.patch.opened_with_vector)

    @property
    def taken_out(self) -> int:
        """How many of them may then be removed, at most."""
        return len(self.removed) + len(self.pinned) + len(self.patch.shut)

    def model_mask(self) -> NDArray[np.bool_]:
        """Return `(n_items,)` bool: what the model may answer."""
        mask = self.view.model_mask.copy()
        if len(self.patch.shut) or len(self.patch.opened):
            mask[self.patch.shut] = False
            mask[self.patch.opened_with_vector] = True
        for rows in (self.removed, self.pinned):
            if len(rows):
                mask[self._of_release(rows)] = False
        return mask

    def mask(self) -> NDArray[np.bool_]:
        """Return `(items.size,)` bool: everything that may be answered."""
        mask = self.passing_mask()
        mask[self.removed] = False
        return mask

    def passing_mask(self) -> NDArray[np.bool_]:
        """Return `(items.size,)` bool: what passes the filters now."""
        mask = np.zeros(self.items.size, dtype=np.bool_)
        mask[: self.items.release_size] = self.view.mask
        mask[self.patch.shut] = False
        mask[self.patch.opened] = True
        return mask

    def popular(self, taken: NDArray[np.int32], *, only: NDArray[np.bool_] | None = None) -> ByPopularity:
        """Return what is popular, without the rows `taken` `(n,)`, of the items `only` `(items.size,)` if given."""
        allowed = self.mask()
        allowed[taken] = False
        if only is not None:
            allowed &= only
        return ByPopularity(self.items, self.view.popular, self.patch, allowed, self.rules)

    def _of_release(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        return rows if self.items.size == self.items.release_size else rows[rows < self.items.release_size]
