"""What changes of items by API mean: what they lay over a release that has not seen them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Any

from resources.catalogue.usable import usable_changes
from resources.control_db.items import ItemChange
from resources.ranker.eligibility.overlay import ALL_FIELDS, NO_CHANGES, ChangedItem, ItemOverlay


def overlay_of(
    changes: Iterable[ItemChange],
    *,
    known: Container[str],
    start: ItemOverlay = NO_CHANGES,
) -> ItemOverlay:
    """Return what the changes since a release, in order, lay over it; `start` itself when there are none.

    A patch of an item that is deleted does nothing, and so does one of an item that the release does not know: an
    upload may have brought it since, and it is answered from the next release on.

    Args:
        known: ids of the release.
        start: what earlier changes lay over it.
    """
    closed, opened = set(start.closed), dict(start.opened)
    nothing = True
    for change in usable_changes(changes):
        nothing = False
        if change.action == "delete":
            closed.add(change.item_id)
            opened.pop(change.item_id, None)
        elif change.action == "put":
            closed.discard(change.item_id)
            opened[change.item_id] = ChangedItem(**_fields(change))
        elif change.item_id not in closed and (change.item_id in opened or change.item_id in known):
            given = ALL_FIELDS.intersection(change.fields)
            before = opened.get(change.item_id, _UNCHANGED)
            if given:
                opened[change.item_id] = replace(before, given=before.given | given, **_fields(change))
    return start if nothing else ItemOverlay(frozenset(closed), opened)


_UNCHANGED = ChangedItem(given=frozenset())


def _fields(change: ItemChange) -> dict[str, Any]:
    return {name: change.fields[name] for name in ALL_FIELDS if name in change.fields}
