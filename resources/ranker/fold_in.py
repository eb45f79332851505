"""Users that the release has no vector for: one from a few events, without training.

The sum of `fold_in[item]` over the events, each times its weight, is divided by its length; the coordinates that were
not learned are 1, as they are for every user. Why this is the model's own vector of a user with these events is in
docs/models.md, "New users".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resources.errors import FieldProblem, InvalidInput


def folded_vector(
    fold_in: NDArray[np.float32], rows: NDArray[np.int32], weights: Sequence[float] | None, dim: int
) -> NDArray[np.float32] | None:
    """Return the user vector `(dim,)` for events with the items in `rows` (n,), an item as often as it happened.

    Args:
        fold_in: `(n_items, t)`, t ≤ dim.
        weights: `(n,)`; `None` is 1 each. An event against an item weighs less than 0.

    Returns:
        `None` when the events say nothing: there is none, or the model knows none of the items.
    """
    strength = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    taste = strength @ fold_in[rows]
    length = float(np.linalg.norm(taste))
    if length == 0:
        return None
    vector = np.ones(dim, dtype=np.float32)
    vector[: fold_in.shape[1]] = taste / length
    return vector


def event_weight(interaction_type: str | None) -> float:
    """What one event counts in the taste of a new user: a dislike speaks against the item."""
    return -1.0 if interaction_type == "dislike" else 1.0


def known_events(
    item_rows: dict[str, int], item_ids: Sequence[str], weights: Sequence[float] | None
) -> tuple[NDArray[np.int32], list[float] | None]:
    """Return the rows of the items that are known, and the weights of their events.

    Raises:
        InvalidInput: there is not one finite weight for each item.
    """
    if weights is None:
        return np.array([item_rows[each] for each in item_ids if each in item_rows], dtype=np.int32), None
    if len(weights) != len(item_ids) or not np.isfinite(weights).all():
        problem = f"must be {len(item_ids)} finite numbers, one for each item"
        raise InvalidInput(f"live_weights {problem}.", details=(FieldProblem("live_weights", problem),))
    kept = [(item_rows[each], weight) for each, weight in zip(item_ids, weights, strict=True) if each in item_rows]
    return np.array([row for row, _ in kept], dtype=np.int32), [weight for _, weight in kept]
