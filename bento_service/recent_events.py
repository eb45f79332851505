"""Events that come with a question, in the tenant's words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from bento_service.errors import invalid_fields
from bento_service.schemas.recommendations import RecentEvent
from bento_service.tracking import SHOWN
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import get_tenant
from resources.errors import FieldProblem
from resources.event_log import IMPRESSION
from resources.tenant import TenantId
from resources.uploads.parsing import interaction_type_map

SETTINGS_SECONDS = 3.0
"""How long a tenant's names are believed without asking the control DB, as long as an API key."""
_MOST_TENANTS = 2048
_SHOWN = frozenset({SHOWN, IMPRESSION})


class RecentTouches(NamedTuple):
    """Interactions of a visit that were not tracked, oldest first; a type is one of ours, or unknown."""

    items: tuple[str, ...]
    types: tuple[str | None, ...]


class RecentEvents:
    """Maps the types of recent events as a tracked event's are. Belongs to the event loop."""

    def __init__(self, db: ControlDb, *, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._clock = clock
        self._types: OrderedDict[TenantId, tuple[float, Mapping[str, str]]] = OrderedDict()

    async def touches(self, tenant: TenantId, events: Sequence[RecentEvent]) -> RecentTouches:
        """Return the interactions among the events; what was only shown is left out.

        Raises:
            InvalidInput: the tenant does not use such a type.
        """
        if all([event.interaction_type is None for event in events]):
            return RecentTouches(tuple([event.item_id for event in events]), (None,) * len(events))
        return recent_touches(events, await self._types_of(tenant))

    async def _types_of(self, tenant: TenantId) -> Mapping[str, str]:
        now = self._clock()
        read_at, types = self._types.get(tenant, (0.0, None))
        if types is None or now - read_at >= SETTINGS_SECONDS:
            types = interaction_type_map((await run_in_threadpool(get_tenant, self._db, tenant)).settings)
            self._types[tenant] = (now, types)
            self._types.move_to_end(tenant)
            if len(self._types) > _MOST_TENANTS:
                self._types.popitem(last=False)
        return types


def recent_touches(events: Sequence[RecentEvent], types: Mapping[str, str]) -> RecentTouches:
    """Return the interactions among the events; `types` are ours by the tenant's names.

    Raises:
        InvalidInput: an event has another name.
    """
    kept: list[tuple[str, str | None]] = []
    problems = []
    for place, event in enumerate(events):
        name = event.interaction_type.strip().lower() if event.interaction_type is not None else None
        if name is None or name in types:
            kept.append((event.item_id, None if name is None else types[name]))
        elif name not in _SHOWN:
            problem = f"is not one that this tenant uses; accepted are: {', '.join((*types, SHOWN))}"
            problems.append(FieldProblem(f"recent_events.{place}.interaction_type", problem))
    if problems:
        raise invalid_fields(problems)
    return RecentTouches(tuple([item for item, _ in kept]), tuple([kind for _, kind in kept]))
