"""Events that come with a question, in the tenant's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bento_service.errors import invalid_fields
from bento_service.schemas.recommendations import RecentEvent
from bento_service.tracking import SHOWN
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant
from resources.errors import FieldProblem
from resources.event_log import IMPRESSION
from resources.tenant import TenantId
from resources.uploads.parsing import interaction_type_map

_SHOWN = frozenset({SHOWN, IMPRESSION})


class RecentTouches(NamedTuple):
    """Interactions of a visit that were not tracked, oldest first; a type is one of ours, or unknown."""

    items: tuple[str, ...]
    types: tuple[str | None, ...]


def recent_touches(db: ControlDb, tenant: TenantId, events: Sequence[RecentEvent]) -> RecentTouches:
    """Map the types as a tracked event's are; what was only shown is left out. May block on the control DB.

    Raises:
        InvalidInput: the tenant does not use such a type.
    """
    if any(event.interaction_type is not None for event in events):
        known = interaction_type_map(get_tenant(db, tenant).settings)
    else:
        known = {}
    kept: list[tuple[str, str | None]] = []
    problems = []
    for place, event in enumerate(events):
        name = event.interaction_type.strip().lower() if event.interaction_type is not None else None
        if name is None:
            kept.append((event.item_id, None))
        elif name in known:
            kept.append((event.item_id, known[name]))
        elif name not in _SHOWN:
            accepted = ", ".join((*known, SHOWN))
            problem = f"is not one that this tenant uses; accepted are: {accepted}"
            problems.append(FieldProblem(f"recent_events.{place}.interaction_type", problem))
    if problems:
        raise invalid_fields(problems)
    return RecentTouches(tuple([item for item, _ in kept]), tuple([kind for _, kind in kept]))
