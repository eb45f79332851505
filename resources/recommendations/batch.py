"""The list of every user of a tenant, as the service would answer it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import polars as pl

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.events.log import EventLog
from resources.jobs.kinds.erasures import users_being_erased
from resources.ranker.ranker import Ranker
from resources.recommendations.offline import offline_answers

USERS_AT_ONCE = 2_000
_TOLD_EVERY = 20
"""Users between two calls of `on_progress`: it may stop the work, and a list can take some milliseconds."""
RECOMMENDATION_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "rank": pl.Int32(),
        "item_id": pl.String(),
        "score": pl.Float64(),
        "source": pl.String(),
    }
)
"""One row for each item of each user's list."""


@dataclass(frozen=True, slots=True)
class ListsOfAll:
    """The lists of all users that are wanted: `count` items each, by the rules of a scenario, none for some users."""

    count: int
    scenario: str | None = None
    without: frozenset[str] = frozenset()


def users_of(
    db: ControlDb, tenant: TenantId, ranker: Ranker, *, without: frozenset[str] = frozenset()
) -> tuple[list[str], frozenset[str]]:
    """Return every user that the release knows or that did something since, and which of them did.

    Users whose erasure was acknowledged are left out, and those in `without`.
    """
    erased = users_being_erased(db, tenant) | without
    active = EventLog(db).users_after(tenant, ranker.release.manifest.event_watermark) - erased
    known = [user for user in ranker.release.user_rows if user not in erased]
    return [*known, *sorted(active - ranker.release.user_rows.keys())], active


def recommend_all(
    db: ControlDb,
    tenant: TenantId,
    ranker: Ranker,
    wanted: ListsOfAll,
    *,
    now: datetime,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the lists of all users as `RECOMMENDATION_SCHEMA`, 2,000 users at once.

    The tenant's item changes and rules at `now`, and every event up to now, count as they do in an answer of the
    service. `on_progress` is told how many users are done, and of how many; what it raises ends the work.
    """
    users, active = users_of(db, tenant, ranker, without=wanted.without)
    waiting, done = iter(users), 0
    with offline_answers(db, tenant, ranker, now=now, scenario=wanted.scenario) as answers:
        while block := list(islice(waiting, USERS_AT_ONCE)):
            rows = []
            for number, user in enumerate(block):
                if on_progress is not None and number % _TOLD_EVERY == 0:
                    on_progress(done + number, len(users))
                ranking = answers.recommend(user, wanted.count, explain=False, active=user in active)
                rows += [(user, item.rank, item.item_id, item.score, item.source) for item in ranking.items]
            done += len(block)
            yield pl.DataFrame(rows, schema=RECOMMENDATION_SCHEMA, orient="row")
            if on_progress is not None:
                on_progress(done, len(users))
