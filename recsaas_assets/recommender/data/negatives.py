"""Negatives for pairwise losses such as BPR (Rendle et al. 2009): per positive pair, items the user does not have.

Not for the sampled softmax that trains our releases, which shares one draw among many users and needs no look-up
(`sampled_softmax.NegativeSampler`).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.data.alias import AliasTable
from recsaas_assets.recommender.data.arrays import Rows
from recsaas_assets.recommender.data.known_pairs import KnownPairs
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import InvalidInput

Mode = Literal["uniform", "popularity"]

POPULARITY_EXPONENT = 0.75
"""Of word2vec (Mikolov et al. 2013), and common for item negatives since."""

_BLOCK = 1 << 16
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class UserNegatives:
    """Draws, for given users, items that are not among their known pairs. Made by `of`.

    Mode ``uniform``: all items that the user does not have are alike. Mode ``popularity``: in proportion to
    (number of users of the item) ^ 0.75, where an item that nobody touched counts as one with one user, so that every
    item can be drawn.

    A draw that hits a known pair is drawn again, which leaves exactly these distributions over what the user does not
    have. After eight rounds, which only users with most of the catalogue need, the rest is drawn from a list of the
    user's missing items: same distribution, O(n_items) per user.

    A sample costs at least 4 bytes of random numbers, one 8-byte key and one byte read from a table in the cache; that
    and the twelve passes of numpy over a block of 64 K samples are the floor, not the memory.
    """

    mode: Mode
    n_users: int
    n_items: int
    known: KnownPairs
    exhausted: npt.NDArray[np.bool_]
    """Users who have every item, shape (n_users,): nothing can be drawn for them."""
    mass: npt.NDArray[np.float64] | None
    """Unnormalised probability of each item, shape (n_items,); None: all alike."""
    alias: AliasTable | None
    threads: int

    @classmethod
    def of(
        cls, pairs: Pairs, n_users: int, n_items: int, *, mode: Mode = "uniform", threads: int = 1
    ) -> "UserNegatives":
        """``pairs`` are what is known; the samples do not depend on the number of ``threads``.

        Raises:
            InvalidInput: a pair lies outside n_users × n_items.
        """
        known = KnownPairs.of(pairs, n_users, n_items)
        mass = None
        if mode == "popularity":
            mass = np.power(np.maximum(pairs.users_per_item(n_items), 1.0), POPULARITY_EXPONENT)
        return cls(
            mode=mode,
            n_users=n_users,
            n_items=n_items,
            known=known,
            exhausted=pairs.items_per_user(n_users) >= n_items,
            mass=mass,
            alias=None if mass is None or n_items == 0 else AliasTable.of(mass),
            threads=max(1, threads),
        )

    def draw(self, user_rows: Rows, per_positive: int, rng: np.random.Generator) -> Rows:
        """Item rows, shape (len(user_rows), per_positive), with replacement.

        Pass the user rows of the positives for a ratio of 1 : ``per_positive``. The same state of ``rng`` draws the
        same samples; each call moves it on.

        Raises:
            InvalidInput: a user row is outside the users or in ``exhausted``, or ``per_positive`` is below 1.
        """
        self._check(user_rows, per_positive)
        samples = np.empty((len(user_rows), per_positive), np.int32)
        step = max(1, _BLOCK // per_positive)
        blocks = [slice(start, start + step) for start in range(0, len(user_rows), step)]
        # A generator per block, so that threads need not take turns and their number changes nothing.
        seeds = np.random.SeedSequence(int(rng.integers(2**63))).spawn(len(blocks))

        def fill(block: slice, seed: np.random.SeedSequence) -> None:
            samples[block] = self._block(user_rows[block], per_positive, np.random.Generator(np.random.PCG64(seed)))

        if self.threads == 1 or len(blocks) == 1:
            for block, seed in zip(blocks, seeds, strict=True):
                fill(block, seed)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(fill, blocks, seeds))
        return samples

    def _check(self, user_rows: Rows, per_positive: int) -> None:
        if per_positive < 1:
            raise InvalidInput(f"Draw at least one negative per positive, not {per_positive}.")
        if len(user_rows) and not (user_rows.min() >= 0 and user_rows.max() < self.n_users):
            raise InvalidInput(f"A user row is outside the {self.n_users} users of this sampler.")
        if self.exhausted.any():
            nothing_left = np.unique(user_rows[self.exhausted[user_rows]])
            if len(nothing_left):
                raise InvalidInput(
                    f"{len(nothing_left)} users have all {self.n_items} items, the first at row {nothing_left[0]}: no "
                    "item is left to draw. Leave out the users in `exhausted`."
                )

    def _block(self, user_rows: Rows, per_positive: int, rng: np.random.Generator) -> Rows:
        first_keys = user_rows.astype(np.int64) * self.n_items
        drawn = self._propose(len(user_rows) * per_positive, rng)
        keys = (first_keys[:, None] + drawn.reshape(len(user_rows), per_positive)).ravel()
        again = self.known.hits(keys)
        for _ in range(_ROUNDS):
            if len(again) == 0:
                break
            fresh = self._propose(len(again), rng)
            drawn[again] = fresh
            again = again[self.known.hits(first_keys[again // per_positive] + fresh)]
        if len(again):
            owners = user_rows[again // per_positive]
            for user in np.unique(owners):
                mine = again[owners == user]
                drawn[mine] = self._from_missing(int(user), len(mine), rng)
        return drawn.reshape(len(user_rows), per_positive)

    def _propose(self, count: int, rng: np.random.Generator) -> Rows:
        if self.alias is None:
            return rng.integers(self.n_items, size=count, dtype=np.int32)
        return self.alias.draw(count, rng)

    def _from_missing(self, user: int, count: int, rng: np.random.Generator) -> Rows:
        is_missing = np.ones(self.n_items, np.bool_)
        is_missing[self.known.items_of(user)] = False
        missing = np.flatnonzero(is_missing).astype(np.int32)
        if self.mass is None:
            return missing[rng.integers(len(missing), size=count)]
        cumulative = np.cumsum(self.mass[missing])
        places: npt.NDArray[np.intp] = np.searchsorted(cumulative[:-1], rng.random(count) * cumulative[-1], "right")
        return missing[places]
