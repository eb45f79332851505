"""Vectors of users whom the release has none for, from a few events and without training.

The sum of `fold_in[item]` over the events, each times its weight, is divided by its length; the coordinates that were
not learned are 1, as they are for every user. Why this is the model's own vector of a user with these events is in
docs/models.md, "New users". The vectors of a sequence model depend on the order of the events: its encoder makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import FieldProblem, InvalidInput
from resources.release.sequence_encoder import SequenceEncoder


def folded_vector(
    fold_in: NDArray[np.float32],
    rows: NDArray[np.int32],
    weights: Sequence[float] | NDArray[np.float64] | None,
    dim: int,
) -> NDArray[np.float32] | None:
    """Return the user vector `(dim,)` for events with the items in `rows` (n,), an item as often as it happened.

    Args:
        fold_in: `(n_items, t)`, t ≤ dim.
        weights: `(n,)`; `None` is 1 each. An event against an item weighs less than 0.

    Returns:
        `None` when the events say nothing: there is none, or the model knows none of the items.
    """
    strength = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    preference = strength @ fold_in[rows]
    length = float(np.linalg.norm(preference))
    if length == 0:
        return None
    vector = np.ones(dim, dtype=np.float32)
    vector[: fold_in.shape[1]] = preference / length
    return vector


def recomputed_vector(
    trained: NDArray[np.float32],
    fold_in: NDArray[np.float32],
    history: NDArray[np.int32],
    rows: NDArray[np.int32],
    weights: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return the vector `(dim,)` of a user with a `trained` one, and with events since, on the items in `rows` (n,).

    Σ fold_in over the history and the new events, in which the trained vector stands for the sum over the history, at
    that sum's length: the events move what was learned as much as they would have moved the sum. Coordinates that were
    not learned stay.

    Args:
        trained: `(dim,)`.
        fold_in: `(n_items, t)`, t ≤ dim.
        history: `(m,)` rows of the items that the trained vector was made with.
        weights: `(n,)`, one for each of `rows`.
    """
    learned = fold_in.shape[1]
    before = trained[:learned]
    length = float(np.linalg.norm(before))
    if length == 0:
        return trained
    so_far = float(np.linalg.norm(fold_in[history].sum(axis=0)))
    preference = before * (so_far / length) + weights @ fold_in[rows]
    now = float(np.linalg.norm(preference))
    if now == 0:
        return trained
    vector = trained.copy()
    vector[:learned] = preference * (length / now)
    return vector


def encoded_vector(
    encoder: SequenceEncoder,
    fold_in: NDArray[np.float32],
    history: NDArray[np.int32],
    rows: NDArray[np.int32],
    weights: NDArray[np.float64],
    dim: int,
) -> NDArray[np.float32] | None:
    """Return the vector `(dim,)` of a user by a sequence model: the state after the history and the events since.

    As in training an item counts once, at its last time, and one with as much against it as for it does not count.

    Args:
        fold_in: `(n_items, t)`, t ≤ dim: what the encoder reads.
        history: `(m,)` rows of the items met before, most recent last.
        rows: `(n,)` of the events since, and
        weights: `(n,)`, one for each of them.

    Returns:
        `None` when nothing is left that the model knows.
    """
    before = history[-(encoder.length + len(rows)) :]
    met, sums = distinct(np.concatenate([before, rows]), np.concatenate([np.ones(len(before)), weights]))
    liked = met[sums > 0]
    state = encoder.state(fold_in[liked[fold_in[liked].any(axis=1)]])
    if not state.any():
        return None
    vector = np.ones(dim, dtype=np.float32)
    vector[: len(state)] = state
    return vector


def event_weight(interaction_type: str | None) -> float:
    """Return what one interaction weighs in the vector of a user: a dislike speaks against the item."""
    return -1.0 if interaction_type == "dislike" else 1.0


def distinct(rows: NDArray[np.int32], weights: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return each of `rows` `(n,)` once, in the order of its last event, with the sum of its `weights` `(n,)`."""
    totals: dict[int, float] = {}
    for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
        totals[row] = totals.pop(row, 0.0) + weight
    return np.array(list(totals), dtype=np.int32), np.array(list(totals.values()))


def known_events(
    row_of: Callable[[str], int | None], item_ids: Sequence[str], weights: Sequence[float] | None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the rows `(n,)` of the items that are known, and the weights `(n,)` of their events, 1 each by default.

    Raises:
        InvalidInput: there is not one finite weight for each item.
    """
    if weights is not None and (len(weights) != len(item_ids) or not np.isfinite(weights).all()):
        problem = f"must be {len(item_ids)} finite numbers, one for each item"
        raise InvalidInput(f"recent_weights {problem}.", details=(FieldProblem("recent_weights", problem),))
    pairs = zip(map(row_of, item_ids), weights or [1.0] * len(item_ids), strict=True)
    kept = [(row, weight) for row, weight in pairs if row is not None]
    return np.array([row for row, _ in kept], dtype=np.int32), np.array([weight for _, weight in kept])
