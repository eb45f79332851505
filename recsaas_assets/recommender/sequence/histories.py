"""Each user's items in the order of time, cut into the windows that a step reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recsaas_assets.recommender.data.pairs import Pairs

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows of some users: B sequences of at most L items, each from its first place on.

    Attributes:
        items: (B, L) int64 item rows, oldest first; ``padding`` behind the last one.
        owner, place: (m,), of each place with a target the window and the place in it.
        targets: (m,) int64 item rows: what the user met after that place.
        weights: (m,) float32 of the targets in the loss.
    """

    items: torch.Tensor
    owner: torch.Tensor
    place: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class Histories:
    """The pairs of a fit by user, oldest first: an item that was met several times stands at its last time.

    Items of one time, such as those of one basket, have no order: `in_order` gives them one by item row, as a release
    keeps them, and `batches` a new one in each epoch.

    Args:
        weights: (n_pairs,) of the pairs as targets.
        padding: the row that stands for no item: the number of items.
    """

    def __init__(self, pairs: Pairs, n_users: int, weights: npt.NDArray[np.float32], *, padding: int) -> None:
        self._pairs, self._weights, self._padding = pairs, weights, padding
        self.counts = pairs.items_per_user(n_users)
        self.starts: Places = np.concatenate([[0], np.cumsum(self.counts)])

    def in_order(self, users: npt.NDArray[np.int64], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The newest ``length`` items of ``users`` (n,), each with one at least: (n, L) rows, and how many, (n,)."""
        count = np.minimum(self.counts[users], length)
        items = self._pairs.item_row[self._order(None)]
        return self._rows(items, self.starts[users + 1] - count, count), torch.from_numpy(count)

    def batches(self, length: int, horizon: int, size: int, rng: np.random.Generator) -> Iterator[WindowBatch]:
        """One pass over all sequences: each place but a user's last one is read once, with one target.

        The target is drawn from the next ``horizon`` items of the user. A window holds at most ``length`` places, and
        its start is drawn anew in each pass. Windows of like length share a batch of about ``size`` places.
        """
        order = self._order(rng)
        items, weights = self._pairs.item_row[order].astype(np.int64), self._weights[order]
        first, count = self._windows(length, rng)
        if len(first) == 0:
            return
        users_end = self.starts[self._pairs.user_row[first].astype(np.int64) + 1]  # order keeps users where they are
        shuffled = rng.permutation(len(first))
        like = shuffled[np.argsort(count[shuffled], kind="stable")]
        total = np.cumsum(count[like])
        parts = np.split(like, np.searchsorted(total, np.arange(size, total[-1], size)))
        parts = [part for part in parts if len(part)]
        for number in rng.permutation(len(parts)):
            part = parts[number]
            owner = np.repeat(np.arange(len(part)), count[part])
            place = np.arange(len(owner)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
            absolute = first[part][owner] + place
            ahead = np.minimum(users_end[part][owner] - 1 - absolute, horizon)
            target = absolute + 1 + (rng.random(len(owner)) * ahead).astype(np.int64)
            yield WindowBatch(
                self._rows(items, first[part], count[part]),
                torch.from_numpy(owner),
                torch.from_numpy(place),
                torch.from_numpy(items[target]),
                torch.from_numpy(weights[target]),
            )

    def _order(self, rng: np.random.Generator | None) -> Places:
        pairs = self._pairs
        among = pairs.item_row if rng is None else rng.random(len(pairs))
        return np.lexsort((among, -pairs.age_days, pairs.user_row))

    def _windows(self, length: int, rng: np.random.Generator) -> tuple[Places, Places]:
        """First place and number of places of all windows; a user's last item is a target alone."""
        users = np.flatnonzero(self.counts > 1)
        places = self.counts[users] - 1
        lead = np.where(places > length, rng.integers(1, length + 1, len(users)), places)
        cuts = 1 + -(-(places - lead) // length)
        user = np.repeat(np.arange(len(users)), cuts)
        number = np.arange(len(user)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        begin = np.where(number == 0, 0, lead[user] + (number - 1) * length)
        end = np.minimum(lead[user] + number * length, places[user])
        return self.starts[users][user] + begin, end - begin

    def _rows(self, items: npt.NDArray[np.integer], first: Places, count: Places) -> torch.Tensor:
        columns = np.arange(count.max())
        within = columns < count[:, None]
        places = np.where(within, first[:, None] + columns, 0)
        return torch.from_numpy(np.where(within, items[places], self._padding).astype(np.int64))
