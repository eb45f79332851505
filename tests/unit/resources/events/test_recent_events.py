"""The newest events and the version of a tenant's state, by both readers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.items import ItemEdit, append_item_changes
from resources.events.log import IMPRESSION, Event, EventLog
from resources.events.recent import (
    LIMIT,
    NO_INTERACTIONS,
    Latest,
    RecentEvents,
    RecentInteractions,
    open_recent_events,
)

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]


@pytest.fixture
def reads(db: ControlDb) -> Iterator[RecentEvents]:
    reads = open_recent_events(db)
    yield reads
    reads.close()


def track(db: ControlDb, tenant: TenantId, now: datetime, *events: tuple[str, str | None, str, str | None]) -> None:
    EventLog(db).append(
        tenant,
        [
            Event(
                event_id=f"{tenant}-{number}-{user}-{item}-{session}",
                user_id=user,
                item_id=item,
                interaction_type=kind,
                timestamp=now,
                session_id=session,
            )
            for number, (user, item, kind, session) in enumerate(events)
        ],
        now=now,
    )


def test_events_are_seen_at_once_and_in_order(reads: RecentEvents, db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    assert reads.of_user(blue, "ann") == Latest(0, NO_INTERACTIONS)
    track(db, blue, now, ("ann", "i1", "view", None), ("bob", "i9", "view", None), ("ann", "i2", "dislike", None))
    track(db, blue, now, ("ann", "i3", IMPRESSION, None), ("ann", None, IMPRESSION, None))
    track(db, green, now, ("ann", "i4", "view", None))
    assert reads.of_user(blue, "ann").interactions == RecentInteractions(3, ("i1", "i2"), ("view", "dislike"), now)
    assert reads.of_user(blue, "ann", after=1).interactions == RecentInteractions(3, ("i2",), ("dislike",), now)
    assert reads.of_user(blue, "ann", after=3).interactions == NO_INTERACTIONS
    assert reads.of_user(blue, None).interactions == NO_INTERACTIONS


def test_a_visit_is_its_own_events_and_those_of_its_user(
    reads: RecentEvents, db: ControlDb, shops: Shops, now: datetime
) -> None:
    blue, green = shops
    track(db, blue, now, ("v1", "i1", "view", "s1"), ("v2", "i2", "view", "s2"), ("ann", "i3", "click", None))
    track(db, blue, now, ("ann", "i4", "view", "s1"))
    track(db, green, now, ("v1", "i5", "view", "s1"))
    assert reads.of_visitor(blue, None, "s1").interactions == RecentInteractions(4, ("i1", "i4"), ("view", "view"), now)
    assert reads.of_visitor(blue, "ann", "s1").interactions.items == ("i1", "i3", "i4")
    assert reads.of_visitor(blue, "nobody", "s3").interactions == NO_INTERACTIONS
    assert reads.of_visitor(blue, "ann", "s1", after=4).interactions.items == ("i1",)
    assert reads.of_visitor(blue, None, "s1", after=4).interactions.items == ("i1", "i4")


def test_only_the_newest_are_read(reads: RecentEvents, db: ControlDb, shops: Shops, now: datetime) -> None:
    track(db, shops[0], now, *[("ann", f"i{n}", "view", "s") for n in range(LIMIT + 2)])
    for found in (reads.of_user(shops[0], "ann"), reads.of_visitor(shops[0], "ann", "s")):
        assert len(found.interactions.items) == LIMIT
        assert (found.interactions.items[0], found.interactions.items[-1]) == ("i2", f"i{LIMIT + 1}")


def test_the_state_version_grows_with_every_change(
    reads: RecentEvents, db: ControlDb, shops: Shops, now: datetime
) -> None:
    blue, green = shops
    track(db, blue, now, ("ann", "i1", "view", None))
    for version in (1, 2):
        append_item_changes(db, blue, [ItemEdit("i1", "delete", {})], now=now)
        assert reads.of_user(blue, "ann") == Latest(version, RecentInteractions(1, ("i1",), ("view",), now))
        assert reads.of_visitor(blue, None, "s").state_version == version
    assert reads.of_user(green, "ann").state_version == 0


@pytest.mark.parametrize(
    ("quantities", "items"),
    [
        ((None, -1), ()),
        ((1, -1), ()),
        ((3, -1), ("lamp",)),
        ((None, None, -1), ("lamp", "lamp")),
        ((-1,), ()),
        ((0,), ()),
        ((None, -1, 2), ("lamp", "lamp")),
    ],
)
def test_a_return_is_no_purchase_and_takes_the_purchase_back(
    reads: RecentEvents,
    db: ControlDb,
    shops: Shops,
    now: datetime,
    quantities: tuple[float | None, ...],
    items: tuple[str, ...],
) -> None:
    events = [
        Event(
            event_id=f"e{n}", user_id="ann", item_id="lamp", interaction_type="purchase", timestamp=now, quantity=each
        )
        for n, each in enumerate(quantities)
    ]
    seen = Event(event_id="seen", user_id="ann", item_id="mug", interaction_type="view", timestamp=now, quantity=0)
    EventLog(db).append(shops[0], [seen, *events], now=now)
    found = reads.of_user(shops[0], "ann").interactions
    assert found == RecentInteractions(len(events) + 1, ("mug", *items), ("view", *("purchase" for _ in items)), now)
