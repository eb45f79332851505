"""What a release knows of one user's preference: a vector, or a score for every item, and what reasons are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.fold_in import distinct, encoded_vector, folded_vector, recomputed_vector
from resources.ranker.query import RankingQuery, UserHistory
from resources.ranker.ranking import Fallback, ItemSource
from resources.ranker.reasons import HISTORY_LIMIT, Interests, TableInterests, VectorInterests
from resources.ranker.retrieval.scored import ScoredItems
from resources.release.item_table import ItemTable
from resources.release.load import LoadedRelease
from resources.release.sequence_encoder import SequenceEncoder


@dataclass(frozen=True, slots=True)
class Preference:
    """The preference of one user, and where it comes from.

    Attributes:
        taste: what ranks items: a vector `(d,)`, or the scores of all items; `None` for a user of whom nothing is
            known, who is answered by popularity.
        source: how the items that it ranks came into the answer.
        fallback: why there is none.
        interests: what reasons are made of.
    """

    taste: NDArray[np.float32] | ScoredItems | None
    source: ItemSource
    fallback: Fallback | None
    interests: Interests


def by_vector(
    release: LoadedRelease, learned: NDArray[np.float32], query: RankingQuery, history: UserHistory
) -> Preference:
    """Return the trained vector of a user, moved by what happened since, or one from what happened alone.

    Args:
        learned: `(n_items, t)`, the coordinates of the item vectors that decide likeness.
    """
    fold_in = release.fold_in
    recent, weights = _known(history, release.catalogue.size)
    for_it = weights > 0
    interests = VectorInterests(np.concatenate([history.before, recent[for_it]]), learned, learned)
    if release.manifest.algorithm == "popularity":
        return Preference(None, "popular", "popularity_release", interests)
    vector = release.user_vector(query.user_id)
    if vector is not None:
        if query.recompute and fold_in is not None and len(recent):
            vector = recomputed_vector(vector, fold_in, history.before, recent, weights)
            newest = history.before[-HISTORY_LIMIT:]
            with_recent = np.concatenate([newest, recent[for_it]])
            weighted = distinct(with_recent, np.concatenate([np.ones(len(newest)), weights[for_it]]))
            interests = VectorInterests(weighted[0], learned, fold_in, weighted[1])
        return Preference(vector, "model", None, interests)
    if fold_in is not None and len(recent):
        folded = folded_vector(fold_in, recent, weights, release.item_vectors.shape[1])
        if folded is not None:
            rows, times = distinct(recent[for_it], weights[for_it])
            return Preference(folded, "fold_in", None, VectorInterests(rows, learned, fold_in, times))
    return Preference(None, "popular", _why_nothing(release, query), interests)


def by_sequence(
    release: LoadedRelease,
    encoder: SequenceEncoder,
    learned: NDArray[np.float32],
    query: RankingQuery,
    history: UserHistory,
) -> Preference:
    """Return the trained vector of a user, or with events since then the state of the encoder after all of them.

    A state does not come apart into what each event added: reasons name what is most alike, as for a trained vector.
    With `recompute` off, what happened since counts only for a user without a vector.
    """
    recent, weights = _known(history, release.catalogue.size)
    interests = VectorInterests(np.concatenate([history.before, recent[weights > 0]]), learned, learned)
    vector = release.user_vector(query.user_id)
    if release.fold_in is not None and len(recent) and (vector is None or query.recompute):
        dim = release.item_vectors.shape[1]
        encoded = encoded_vector(encoder, release.fold_in, history.before, recent, weights, dim)
        if encoded is not None:
            return Preference(encoded, "fold_in" if vector is None else "model", None, interests)
    if vector is not None:
        return Preference(vector, "model", None, interests)
    return Preference(None, "popular", _why_nothing(release, query), interests)


def by_table(release: LoadedRelease, table: ItemTable, query: RankingQuery, history: UserHistory) -> Preference:
    """Return the scores of all items by the items of a user's history, 1 each, and by what happened since.

    With `recompute` off, what happened since counts only for a user whose history says nothing.
    """
    rows = history.before
    weights = np.ones(len(rows))
    trained = bool((table.indptr[rows + 1] > table.indptr[rows]).any())
    recent, since = _known(history, release.catalogue.size)
    if len(recent) and (query.recompute or not trained):
        rows, weights = distinct(np.concatenate([rows, recent]), np.concatenate([weights, since]))
    entries = table.entries(rows)
    interests = TableInterests(rows, entries, weights, table.n_items)
    scores = table.scores_by(entries, weights)
    if scores is None:
        return Preference(None, "popular", _why_nothing(release, query), interests)
    return Preference(ScoredItems(scores), "model" if trained else "fold_in", None, interests)


def _known(history: UserHistory, n_items: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the recent rows `(m,)` and their weights without the items added since: they say nothing to the model."""
    inside = history.recent < n_items
    return history.recent[inside], history.weights[inside]


def _why_nothing(release: LoadedRelease, query: RankingQuery) -> Fallback:
    known = query.user_id is not None and query.user_id in release.user_rows
    return "user_without_vector" if known else "unknown_user"


_NOTHING = np.empty((0, 0), dtype=np.float32)
NO_PREFERENCE = Preference(None, "popular", None, VectorInterests(np.empty(0, dtype=np.int32), _NOTHING, _NOTHING))
"""Of a list that does not depend on the user."""
