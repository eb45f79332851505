"""When keys were used last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, update

from resources.control_db.engine import ControlDb
from resources.control_db.tables.keys import ApiKeyRow


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The last use of a key: when, and of which route (`POST /api/v1/recommendations`)."""

    at: datetime
    route: str


def write_uses(db: ControlDb, uses: Mapping[str, KeyUse]) -> None:
    """Store the uses of keys by their ids, in one transaction; an older one than is stored changes nothing."""
    with db.write() as session:
        for key_id, use in sorted(uses.items()):  # in one order, so that two workers do not wait for each other
            older = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < use.at)
            session.execute(
                update(ApiKeyRow)
                .where(ApiKeyRow.id == key_id, older)
                .values(last_used_at=use.at, last_route=use.route[:200])
            )
