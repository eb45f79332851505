"""Work that is done once a day, by whichever process gets to it first."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from resources.control_db.engine import ControlDb
from resources.turns.turns import end_turn, hold_turn

LEASE = timedelta(minutes=30)
"""How long one process may take before another does the work again."""


def once_a_day(db: ControlDb, name: str, now: datetime, work: Callable[[], object]) -> bool:
    """Do the day's work of this name (UTC), unless it is done or another process is at it. Whether it was done here.

    A process that ends in the middle is followed by another after `LEASE`: the work has to be one that can be repeated.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    turn, holder = f"daily {name}", secrets.token_hex(8)
    with db.write() as session:
        if not hold_turn(session, turn, holder, until=now + LEASE, now=now):
            return False
    work()
    with db.write() as session:
        end_turn(session, turn, holder, until=today + timedelta(days=1))
    return True
