"""The tenants to start a run for, worked out from what waits and from what was asked for before.

The cursor remembers, for every tenant with something waiting, what waited when a run was asked for, and the key of that
request. What waits is compared as a whole, by a hash over names and marks, so nothing depends on counters or on clocks.
A lost cursor asks once more, which is harmless: taking in the same uploads twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId

RunEnd = Literal["succeeded", "failed", "unknown"]
"""How the run of a request ended; `unknown`: there is no such run."""

_MOST_REQUESTS = 3
"""For the same things: runs that end well and leave them lying would go on for ever."""


@dataclass(frozen=True, slots=True)
class Request:
    """A run that was asked for: `waits` is the hash of what waited, `times` how often that has been asked for."""

    waits: str
    key: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class RunPlan:
    """`requests` go out now; `notes` say why others do not; `cursor` holds the last request of everybody who waits."""

    requests: dict[TenantId, Request]
    notes: tuple[str, ...]
    cursor: dict[TenantId, Request]


def digest(things: Iterable[str]) -> str:
    """Return one hash for what waits; the order does not count."""
    return hashlib.sha256(json.dumps(sorted(things)).encode()).hexdigest()[:32]


def plan_runs(
    waiting: Mapping[TenantId, str],
    asked: Mapping[TenantId, Request],
    *,
    busy: Collection[TenantId],
    known: Collection[TenantId],
    outcome_of: Callable[[str], RunEnd],
    held_until: Callable[[TenantId], datetime | None] = lambda tenant: None,
) -> RunPlan:
    """Decide for every tenant in `waiting` (tenant → digest) whether a run starts.

    Args:
        asked: the last requests, from the cursor.
        busy: tenants with a run that waits or works; what it leaves is looked at when it has ended.
        known: tenants that have a partition.
        outcome_of: how the run of a request ended, by its key.
        held_until: until when a tenant's runs wait because too many have failed; None: not at all.
    """
    requests: dict[TenantId, Request] = {}
    notes = []
    for tenant, waits in sorted(waiting.items()):
        last = asked.get(tenant)
        if tenant not in known:
            notes.append(f"{tenant}: its partition is not there yet.")
        elif tenant in busy:
            notes.append(f"{tenant}: a run is going on; what it leaves starts the next one when it has ended.")
        elif (last is None or last.waits != waits) and (until := held_until(tenant)) is not None:
            notes.append(
                f"{tenant}: its last runs failed one after the other; the next one by itself is at {until:%H:%M} UTC. "
                f"GET /api/v1/status says what to do; or run it now: recsaas run {tenant}"
            )
        elif last is None or last.waits != waits:
            requests[tenant] = _request(tenant, waits, 1)
        elif (outcome := outcome_of(last.key)) == "failed":
            notes.append(
                f"{tenant}: the run for this failed; it is tried again when something new arrives, or by hand."
            )
        elif outcome == "succeeded" and last.times >= _MOST_REQUESTS:
            notes.append(f"{tenant}: {last.times} runs ended well and left the same lying; look at the last one's log.")
        else:
            requests[tenant] = _request(tenant, waits, last.times + (outcome == "succeeded"))
    return RunPlan(
        requests=requests,
        notes=tuple(notes),
        cursor={tenant: request for tenant in waiting if (request := requests.get(tenant) or asked.get(tenant))},
    )


def to_cursor(requests: Mapping[TenantId, Request]) -> str:
    """Return the sensor's cursor."""
    return json.dumps({str(tenant): asdict(request) for tenant, request in requests.items()})


def from_cursor(cursor: str | None) -> dict[TenantId, Request]:
    """Read the sensor's cursor; one that is not readable counts as none."""
    try:
        content = json.loads(cursor or "{}")
        return {
            TenantId.parse(tenant): Request(str(last["waits"]), str(last["key"]), int(last["times"]))
            for tenant, last in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput):
        return {}


def _request(tenant: TenantId, waits: str, times: int) -> Request:
    # Random: Dagster starts one run per key for all times, and the same file may well come twice.
    return Request(waits, f"{tenant}:{uuid.uuid4().hex}", times)
