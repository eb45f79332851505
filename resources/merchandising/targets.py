"""From rules to items: which ids a rule is about in one release, with what has changed since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resources.merchandising.rules import Rule, RuleTarget
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import MAX_FACTOR, RankRules
from resources.release.catalogue import Catalogue
from resources.release.category_paths import CategoryPaths, fold

_Field = Literal["category", "brand", "tags"]
_Rows = NDArray[np.integer]
_FARTHEST = 1e100
"""Hundreds of factors that are multiplied leave what a number can hold; this far out no order changes any more."""


def rank_rules(rules: Sequence[Rule], catalogue: Catalogue, overlay: ItemOverlay) -> RankRules:
    """Resolve rules that hold. Several factors of one item are multiplied.

    Items of the release are told apart by row, all of a rule at once: hundreds of rules about large categories would
    else take seconds, in which their worker answers nobody.
    """
    targets = _Targets(catalogue, overlay)
    pins = sorted((rule for rule in rules if rule.kind == "pin"), key=_place)
    pinned = dict.fromkeys(item_id for rule in pins for item_id in rule.target.item_ids or ())
    hidden_rows, hidden = np.zeros(catalogue.size, dtype=bool), set[str]()
    row_factors, factors = np.ones(catalogue.size), dict[str, float]()
    for rule in rules:
        if rule.kind == "pin":
            continue
        rows, item_ids = targets.of(rule.target)
        if rule.kind == "hide":
            hidden_rows[rows] = True
            hidden.update(item_ids)
        else:
            row_factors[rows] = np.clip(row_factors[rows] * rule.multiplier, 1 / _FARTHEST, _FARTHEST)
            for item_id in item_ids:
                factors[item_id] = _bounded(factors.get(item_id, 1.0) * rule.multiplier, _FARTHEST)
    hidden.update(catalogue.item_ids(np.flatnonzero(hidden_rows)))
    moved = np.flatnonzero(row_factors != 1)
    for item_id, factor in zip(catalogue.item_ids(moved), row_factors[moved].tolist(), strict=True):
        factors[item_id] = factors.get(item_id, 1.0) * factor
    boosts = {item_id: _bounded(factor, MAX_FACTOR) for item_id, factor in factors.items()}
    return RankRules(pinned=tuple(pinned), hidden=frozenset(hidden), boosts=boosts)


@dataclass(frozen=True)
class _Targets:
    """Finds the items of rules: of the release, except where a change since says otherwise."""

    catalogue: Catalogue
    overlay: ItemOverlay

    def of(self, target: RuleTarget) -> tuple[_Rows, Sequence[str]]:
        """Return rows of the release, and ids beside them; each item is in one of the two, once."""
        if target.item_ids is not None:
            return np.empty(0, dtype=np.int64), tuple(dict.fromkeys(target.item_ids))
        name, text = _named(target)
        wanted = self._paths.key(text) if name == "category" else fold(text)
        rows = self._released(name, text)
        if not self.overlay.opened:
            return rows, ()
        return rows[~self._given[name][rows]], tuple(self._changed[name].get(wanted, ()))

    def _released(self, name: _Field, text: str) -> _Rows:
        if name == "category":
            return np.flatnonzero(self.catalogue.in_category(text))
        if name == "tags":
            postings, number = self.catalogue.tags, self.catalogue.tags.of.get(fold(text))
            if number is None:
                return postings.rows[:0]
            return np.unique(postings.rows[postings.starts[number] : postings.starts[number + 1]])
        brand = self.catalogue.brand
        return np.flatnonzero(brand.codes == brand.of.get(fold(text), -2))  # −1 stands for items without one

    @cached_property
    def _paths(self) -> CategoryPaths:
        """The categories of the changed items, by the separator of the release if that has one."""
        texts = {item.category for item in self.overlay.opened.values() if item.category}
        return CategoryPaths(texts, separator=self.catalogue.category_paths.separator)

    @cached_property
    def _given(self) -> dict[_Field, NDArray[np.bool_]]:
        """Rows with a change that sets the field, as a mask: what the release says of it does not count for them."""
        released = self.catalogue.item_ids(np.arange(self.catalogue.size))
        opened = self.overlay.opened
        given: dict[_Field, NDArray[np.bool_]] = {}
        names: tuple[_Field, ...] = ("category", "brand", "tags")
        for name in names:
            set_here = {item_id for item_id, item in opened.items() if name in item.given}
            given[name] = np.array([item_id in set_here for item_id in released], dtype=bool)
        return given

    def _values(self, name: _Field, text: str) -> Iterable[str]:
        """Return what a rule may call an item that has this text."""
        if name == "category":
            return self._paths.keys(text)
        return map(fold, text.split("|") if name == "tags" else [text])

    @cached_property
    def _changed(self) -> dict[_Field, dict[str, list[str]]]:
        """Ids of the changed items by what their changes say, folded."""
        changed: dict[_Field, dict[str, list[str]]] = {}
        names: tuple[_Field, ...] = ("category", "brand", "tags")
        for name in names:
            ids: defaultdict[str, list[str]] = defaultdict(list)
            for item_id, item in self.overlay.opened.items():
                if name in item.given:
                    for value in set(self._values(name, getattr(item, name) or "")):
                        ids[value].append(item_id)
            changed[name] = dict(ids)
        return changed


def _bounded(factor: float, most: float) -> float:
    return min(max(factor, 1 / most), most)


def _named(target: RuleTarget) -> tuple[_Field, str]:
    if target.tag is not None:
        return "tags", target.tag
    if target.category is not None:
        return "category", target.category
    return "brand", target.brand or ""


def _place(rule: Rule) -> tuple[float, object]:
    return (rule.position or float("inf"), rule.created_at)
