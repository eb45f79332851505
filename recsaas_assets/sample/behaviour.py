"""Behaviour of invented users: tastes, visits, and the way from a view to a purchase.

A taste is a distribution over items: a few categories, some brands, a price level, times a Zipf popularity. A user
mixes two or three tastes, and a visit follows one of them. So a model that learns tastes beats popularity.

Where the habits are sessions, a visit follows a taste that is drawn anew, and its items follow each other: what was
looked at last says more than who looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsaas_assets.sample.catalogue import CATEGORIES, SampleCatalogue

STEPS = ("view", "click", "add_to_cart", "purchase")
STEP_PROBABILITIES = (0.45, 0.32, 0.55)
DAY = 86_400
Habits = Literal["drifting", "lasting", "sessions"]
"""What a shop's history is like. `drifting`: items join all the time, and the newest weeks say most. `lasting`: all
items are there from the first day, so that only tastes count. `sessions`: see above; items do not join either."""
_N_TASTES = 40
_SUCCESSORS, _FOLLOWS = 4, 0.6
_ITEMS_PER_VISIT = 3
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 10, 12, 11, 10, 10, 11, 13, 16, 19, 21, 20, 13, 6], dtype=float)
_WEEKDAYS = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.35, 1.4])


@dataclass(frozen=True, slots=True)
class Events:
    """Interactions as arrays of one length: user and item rows, step (index into `STEPS`), second, and visit."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    step: NDArray[np.int64]
    second: NDArray[np.int64]
    visit: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The users of a shop.

    Attributes:
        tastes: `(n_tastes, n_items)`, the cumulative distribution over items of every taste.
        mixture: `(n_users, n_tastes)`, how much each user follows each taste.
        activity: `(n_users,)`, cumulative: how often each of them comes.
        successors: `(n_items, k)` item rows that follow each item within a visit; None: nothing does.
    """

    tastes: NDArray[np.float64]
    mixture: NDArray[np.float64]
    activity: NDArray[np.float64]
    successors: NDArray[np.int64] | None = None


def generate_events(
    rng: np.random.Generator,
    catalogue: SampleCatalogue,
    *,
    n_users: int,
    n_events: int,
    days: int,
    first_weekday: int,
    habits: Habits = "drifting",
) -> Events:
    """Let users shop for `days` days until there are exactly `n_events` interactions, in order of time.

    No two agree in user, item, step and second, and no item is seen before it joins the catalogue.
    """
    crowd = _Crowd(
        _item_tastes(rng, catalogue),
        rng.dirichlet(np.full(_N_TASTES, 0.03), n_users),
        np.cumsum(rng.lognormal(0.0, 0.8, n_users)),
    )
    if habits == "sessions":
        anybody = np.full(crowd.mixture.shape, 1 / _N_TASTES)
        crowd = replace(crowd, mixture=anybody, successors=_successors(rng, crowd.tastes))
    n_visits = n_events // 4 + 64
    while True:
        events = _visits(rng, catalogue, crowd, _start_times(rng, n_visits, days, first_weekday))
        if len(events.user) >= n_events:
            return _first(events, n_events)
        n_visits *= 2


def _item_tastes(rng: np.random.Generator, catalogue: SampleCatalogue) -> NDArray[np.float64]:
    """Return the cumulative distribution over items of every taste, `(n_tastes, n_items)`."""
    n_items = len(catalogue.category)
    popularity = 1.0 / (rng.permutation(n_items) + 10.0) ** 0.8
    category = rng.dirichlet(np.full(len(CATEGORIES), 0.12), _N_TASTES)[:, catalogue.category] + 1e-4
    brand = np.exp(2.0 * rng.normal(size=(_N_TASTES, int(catalogue.brand.max()) + 1)))[:, catalogue.brand]
    level = rng.normal(0.0, 0.9, (_N_TASTES, 1))
    price = np.exp(-2.0 * ((catalogue.price_level[None, :] - level) ** 2))
    fondness = rng.lognormal(0.0, 1.0, (_N_TASTES, n_items))
    weights = popularity * category * brand * price * fondness
    cumulative = np.cumsum(weights, axis=1)
    return np.asarray(cumulative / cumulative[:, -1:])


def _start_times(rng: np.random.Generator, n_visits: int, days: int, first_weekday: int) -> NDArray[np.int64]:
    """Draw the seconds at which visits start: a growing shop, busy weekends and evenings, nothing in the last 2 h."""
    weights = np.linspace(1.0, 2.0, days) * _WEEKDAYS[(np.arange(days) + first_weekday) % 7]
    day = rng.choice(days, n_visits, p=weights / weights.sum())
    hour = rng.choice(24, n_visits, p=_HOURS / _HOURS.sum())
    second = day * DAY + hour * 3600 + rng.integers(0, 3600, n_visits)
    latest: NDArray[np.int64] = days * DAY - 7200 - rng.integers(0, 3600, n_visits)
    return np.asarray(np.minimum(second, latest))


def _visits(rng: np.random.Generator, catalogue: SampleCatalogue, crowd: _Crowd, start: NDArray[np.int64]) -> Events:
    n_visits, activity = len(start), crowd.activity
    user = np.minimum(np.searchsorted(activity, rng.random(n_visits) * activity[-1], side="right"), len(activity) - 1)
    mixed = np.cumsum(crowd.mixture, axis=1)[user]
    taste = np.minimum((mixed < rng.random((n_visits, 1))).sum(axis=1), _N_TASTES - 1)
    length = 1 + rng.poisson(_ITEMS_PER_VISIT - 1, n_visits)
    visit = np.repeat(np.arange(n_visits), length)
    position = np.arange(len(visit)) - np.repeat(np.cumsum(length) - length, length)
    looked = start[visit] + position * 120 + rng.integers(0, 60, len(visit))
    item = _items_at(rng, crowd.tastes, taste[visit], catalogue.start, start[visit])
    if crowd.successors is not None:
        item = _following(rng, item, position, crowd.successors)
    # Step k is reached when every draw before it succeeds, so no step can be commoner than the one before.
    reached = np.cumprod(rng.random((len(visit), 3)) < np.array(STEP_PROBABILITIES), axis=1)
    n_steps = 1 + reached.sum(axis=1)
    look = np.repeat(np.arange(len(visit)), n_steps)
    step = np.arange(len(look)) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)
    second = looked[look] + step * rng.integers(8, 15, len(look))
    events = Events(user[visit][look], item[look], step, second, visit[look])
    return _without_clashes(events, look)


def _items_at(
    rng: np.random.Generator,
    tastes: NDArray[np.float64],
    taste: NDArray[np.int64],
    item_start: NDArray[np.int64],
    now: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Draw an item of the taste for each look; items that have not joined yet are drawn again."""
    n_items = tastes.shape[1]
    flat = (tastes + np.arange(len(tastes))[:, None]).ravel()
    item = np.empty(len(taste), dtype=np.int64)
    pending = np.arange(len(taste))
    for _ in range(12):
        drawn = np.searchsorted(flat, taste[pending] + rng.random(len(pending)), side="right")
        item[pending] = np.minimum(drawn - taste[pending] * n_items, n_items - 1)
        pending = pending[item_start[item[pending]] > now[pending]]
        if len(pending) == 0:
            return item
    oldest_first = np.argsort(item_start, kind="stable")
    item[pending] = oldest_first[0]
    return item


def _successors(rng: np.random.Generator, tastes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw a few items that follow each item, each of them by a taste drawn at random, so that known items do."""
    n_items = tastes.shape[1]
    taste = rng.integers(0, _N_TASTES, (n_items, _SUCCESSORS)).ravel()
    return _items_at(rng, tastes, taste, np.zeros(n_items, np.int64), np.zeros(taste.size, np.int64)).reshape(
        n_items, -1
    )


def _following(
    rng: np.random.Generator, item: NDArray[np.int64], position: NDArray[np.int64], successors: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Let items within a visit follow the one before: `position` counts the looks of each visit from 0."""
    found = item.copy()
    follows = rng.random(len(item)) < _FOLLOWS
    which = rng.integers(0, successors.shape[1], len(item))
    for place in range(1, int(position.max(initial=0)) + 1):
        looks = np.flatnonzero((position == place) & follows)
        found[looks] = successors[found[looks - 1], which[looks]]
    return found


def _without_clashes(events: Events, look: NDArray[np.int64]) -> Events:
    """Drop every look of which some step happens to repeat another event in user, item, step and second."""
    key = np.stack([events.user, events.item, events.step, events.second])
    _, first, count = np.unique(key, axis=1, return_index=True, return_counts=True)
    if (count == 1).all():
        return events
    repeated = np.ones(len(look), dtype=bool)
    repeated[first] = False
    return _take(events, np.flatnonzero(~np.isin(look, look[repeated])))


def _first(events: Events, n_events: int) -> Events:
    """Keep `n_events`, cutting the last look short rather than tearing out its first steps; then sort by time."""
    kept = _take(events, np.arange(n_events))
    return _take(kept, np.lexsort((kept.step, kept.visit, kept.second)))


def _take(events: Events, rows: NDArray[np.int64]) -> Events:
    return Events(events.user[rows], events.item[rows], events.step[rows], events.second[rows], events.visit[rows])
