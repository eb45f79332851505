"""Contexts of answers for every tenant of a service, with as little reading as each answer needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bento_service.recommending.release_cache import ReleaseCache
from bento_service.recommending.tenant_states import TenantStates
from bento_service.scheduling.threads import Lane
from resources.events.recent import RecentEvents
from resources.recommendations.context import ServingContext, Visitor, latest, serving_context


class ServingContexts:
    """Contexts of releases and states in memory, and of events read for each answer. Belongs to the event loop.

    Args:
        lane: where events are read when that may wait for a network.
    """

    def __init__(
        self,
        releases: ReleaseCache,
        states: TenantStates,
        events: RecentEvents,
        lane: Lane,
        clock: Callable[[], datetime],
    ) -> None:
        self._releases = releases
        self._states = states
        self._events = events
        self._lane = lane
        self._clock = clock

    async def get(self, visitor: Visitor, scenario: str | None = None) -> ServingContext:
        """Return what an answer for this visitor is made from, with all that was acknowledged before the call.

        Raises:
            NotReady, CorruptRelease: there is no release to answer from.
        """
        tenant = visitor.tenant
        live = await self._releases.get(tenant)
        release = live.ranker.release
        if self._events.blocking:
            newest = await self._lane.run(tenant.value, latest, self._events, visitor, release)
        else:
            newest = latest(self._events, visitor, release)
        return serving_context(
            visitor,
            live.ranker,
            await self._states.get(tenant, release, newest.state_version),
            newest.interactions,
            at=self._clock(),
            scenario=scenario,
            problem=live.problem,
        )

    def close(self) -> None:
        """Give back the connections that events are read by."""
        self._events.close()
