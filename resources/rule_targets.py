"""From rules to items: which ids a rule is about in one release, with what has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from resources.merchandising import Rule, RuleTarget
from resources.ranker.overlay import ItemOverlay
from resources.ranker.rules import MAX_FACTOR, RankRules
from resources.release.catalogue import Catalogue, fold


def rank_rules(rules: Sequence[Rule], catalogue: Catalogue, overlay: ItemOverlay) -> RankRules:
    """Resolve rules that hold. Several factors of one item are multiplied."""
    pins = sorted((rule for rule in rules if rule.kind == "pin"), key=_place)
    pinned = dict.fromkeys(item_id for rule in pins for item_id in rule.target.item_ids or ())
    hidden: set[str] = set()
    factors: dict[str, float] = {}
    for rule in rules:
        if rule.kind == "hide":
            hidden |= targeted(rule.target, catalogue, overlay)
        elif rule.kind != "pin":
            for item_id in targeted(rule.target, catalogue, overlay):
                factors[item_id] = factors.get(item_id, 1.0) * rule.multiplier
    boosts = {item_id: min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR) for item_id, factor in factors.items()}
    return RankRules(pinned=tuple(pinned), hidden=frozenset(hidden), boosts=boosts)


def targeted(target: RuleTarget, catalogue: Catalogue, overlay: ItemOverlay) -> set[str]:
    """Ids of the items that a rule is about: of the release, except where a change since says otherwise."""
    if target.item_ids is not None:
        return set(target.item_ids)
    if target.tag is not None:
        wanted = fold(target.tag)
        postings, number = catalogue.tags, catalogue.tags.of.get(wanted)
        rows = (
            postings.rows[:0]
            if number is None
            else postings.rows[postings.starts[number] : postings.starts[number + 1]]
        )
        return _with_changes(catalogue.item_ids(rows), overlay, "tags", wanted)
    name, column, text = "category", catalogue.category, target.category
    if text is None:
        name, column, text = "brand", catalogue.brand, target.brand or ""
    code = column.of.get(fold(text), -2)  # −1 stands for items without one
    return _with_changes(catalogue.item_ids(np.flatnonzero(column.codes == code)), overlay, name, fold(text))


def _with_changes(item_ids: Iterable[str], overlay: ItemOverlay, name: str, wanted: str) -> set[str]:
    found = set(item_ids)
    for item_id, item in overlay.opened.items():
        if name in item.given:
            values = (getattr(item, name) or "").split("|") if name == "tags" else [getattr(item, name) or ""]
            if any(fold(value) == wanted for value in values):
                found.add(item_id)
            else:
                found.discard(item_id)
    return found


def _place(rule: Rule) -> tuple[float, object]:
    return (rule.position or float("inf"), rule.created_at)
