"""Events that come with a request, in the tenant's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bento_service.events.tracking import SHOWN
from bento_service.http.errors import invalid_fields
from bento_service.schemas.recommendations import RecentEvent
from resources.base.errors import FieldProblem
from resources.events.log import IMPRESSION
from resources.tenants.settings import IGNORE, TenantSettings
from resources.uploads.normalising.type_names import TypeNames

_SHOWN = frozenset({SHOWN, IMPRESSION})


class VisitInteractions(NamedTuple):
    """Interactions of a visit that were not tracked, oldest first; a type is one of ours, or `None` for an unknown."""

    items: tuple[str, ...]
    types: tuple[str | None, ...]


def visit_interactions(events: Sequence[RecentEvent], settings: TenantSettings) -> VisitInteractions:
    """Return the interactions among the events; what was only shown, and what the tenant ignores, is left out.

    Raises:
        InvalidInput: the tenant does not use such a type.
    """
    types = TypeNames.of(settings)
    kept: list[tuple[str, str | None]] = []
    problems = []
    for place, event in enumerate(events):
        name = event.interaction_type
        found = None if name is None else types.find(name)
        if name is None or found not in (None, IGNORE):
            kept.append((event.item_id, found))
        elif found is None and name.strip().lower() not in _SHOWN:
            problem = f"is not one that this tenant uses; accepted are: {', '.join((*types.names, SHOWN))}"
            problems.append(FieldProblem(f"recent_events.{place}.interaction_type", problem))
    if problems:
        raise invalid_fields(problems)
    return VisitInteractions(tuple([item for item, _ in kept]), tuple([kind for _, kind in kept]))
