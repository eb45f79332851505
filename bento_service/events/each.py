"""Events of a request of which each stands for itself: the good ones are stored, and each has its own result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from bento_service.events.tracking import EventChecks
from bento_service.events.writer import EventWriter
from bento_service.http.errors import invalid_fields, problems_of
from bento_service.schemas.interactions import EventBody
from resources.base.errors import Conflict, FieldProblem, InvalidInput, RecsaasError
from resources.base.tenant import TenantId
from resources.events.log import AppendResult, Event
from resources.usage.amounts import NO_KEY

_PLACE = re.compile(r"(?:events\.(\d+)\.)?event_id")


@dataclass(frozen=True, slots=True)
class Sorted:
    """The good events of a request and the problems of the others, both by position in it."""

    good: Mapping[int, tuple[EventBody, Event]]
    problems: Mapping[int, RecsaasError]


class SomeWrong(InvalidInput):
    """Some events are wrong; `sorted` has the others, too."""

    def __init__(self, found: Sorted) -> None:
        super().__init__("Some events are wrong.")
        self.sorted = found


def sort_events(sent: Sequence[Any], checks: EventChecks) -> Sorted:
    """Return the events of a request, the good and the bad ones.

    Raises:
        SomeWrong: at least one is wrong; it may be right by newer settings.
    """
    good: dict[int, tuple[EventBody, Event]] = {}
    problems: dict[int, RecsaasError] = {}
    for position, each in enumerate(sent):
        place = f"events.{position}."
        try:
            body = EventBody.model_validate(each)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            told = problems_of(found, sent=each)
            named = [replace(p, field=place.rstrip(".") if p.field == "body" else f"{place}{p.field}") for p in told]
            problems[position] = invalid_fields(named)
            continue
        event = checks.event(body, position, place=place)
        if isinstance(event, Event):
            good[position] = body, event
        else:
            problems[position] = invalid_fields(event)
    found_all = Sorted(good, problems)
    if problems:
        raise SomeWrong(found_all)
    return found_all


async def append_each(
    writer: EventWriter, tenant: TenantId, found: Sorted, *, now: datetime, key_id: str = NO_KEY
) -> Mapping[int, AppendResult | RecsaasError]:
    """Store the good events, and return by position what became of each event of the request.

    An event whose `event_id` belongs to another one is one of the bad ones, and leaves the others alone.
    """
    outcome: dict[int, AppendResult | RecsaasError] = dict(found.problems)
    waiting = dict(found.good)
    while waiting:
        places = list(waiting)
        try:
            stored = await writer.append(tenant, [event for _, event in waiting.values()], now=now, key_id=key_id)
        except Conflict as error:
            for problem in error.details:
                match = _PLACE.fullmatch(problem.field)
                place = places[int(match[1] or 0) if match is not None else 0]
                told = FieldProblem(f"events.{place}.event_id", problem.message)
                outcome[place] = Conflict(f"{told.field}: {told.message}.", details=(told,))
                waiting.pop(place, None)
        else:
            return outcome | dict(zip(places, stored, strict=True))
    return outcome
