"""Events that come with a request, in the tenant's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bento_service.events.tracking import SHOWN
from bento_service.http.errors import invalid_fields
from bento_service.schemas.recommendations import RecentEvent
from resources.base.errors import FieldProblem
from resources.events.log import IMPRESSION
from resources.tenants.settings import TenantSettings
from resources.uploads.parsing.mapping import interaction_type_map

_SHOWN = frozenset({SHOWN, IMPRESSION})


class VisitInteractions(NamedTuple):
    """Interactions of a visit that were not tracked, oldest first; a type is one of ours, or `None` for an unknown."""

    items: tuple[str, ...]
    types: tuple[str | None, ...]


def visit_interactions(events: Sequence[RecentEvent], settings: TenantSettings) -> VisitInteractions:
    """Return the interactions among the events; what was only shown is left out.

    Raises:
        InvalidInput: the tenant does not use such a type.
    """
    types = interaction_type_map(settings)
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
    return VisitInteractions(tuple([item for item, _ in kept]), tuple([kind for _, kind in kept]))
