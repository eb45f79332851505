"""What stands before the app in a worker: how many connections there are, whose they are, and how long they may wait.

Nothing here costs a request a timer or a look at the clock: one sweep a second compares what the connections wait for
with the time, so that every deadline is kept to a second.
"""

from __future__ import annotations

import math
import resource
from asyncio import AbstractEventLoop
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import structlog

from bento_service.http.client_address import ClientAddress, proxies_of
from resources.base.settings import Settings

NEVER = math.inf
"""A deadline for what may take as long as it does."""
_SWEEP_SECONDS = 1.0
_LOG_SECONDS = 10.0
_ROOM = 16
"""One sixteenth of the connections leave at once where there are too many: to look for one each time would cost more
than it spares."""
_OTHER_FILES = 256
"""Open files of a worker beside its connections: databases, releases that are mapped, what it does beside answers."""
_log = structlog.get_logger("recsaas.front")


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """Limits of a worker's connections: bytes, seconds, and numbers of connections, in all and of one address."""

    header_bytes: int
    header_seconds: float
    idle_seconds: float
    connections: int
    address_connections: int

    @classmethod
    def of(cls, settings: Settings) -> FrontLimits:
        """Return the limits of the settings; not more connections than the process may have files open."""
        return cls(
            header_bytes=settings.max_header_bytes,
            header_seconds=settings.header_timeout_seconds,
            idle_seconds=settings.idle_timeout_seconds,
            connections=_room_for(settings.max_connections),
            address_connections=settings.max_address_connections,
        )


def _room_for(connections: int) -> int:
    """Allow this process as many open files as that takes, if the system lets it; return how many there may be."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(2, min(connections, soft - _OTHER_FILES))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is ended, as the one error shape has it."""

    status: int
    code: str
    message: str


_ADDRESS_FULL = Refusal(
    429,
    "too_many_connections",
    "This address has requests in flight on as many connections as one may have. Keep connections open and use them "
    "again, or send fewer requests at the same time.",
)
_FULL = Refusal(
    503, "busy", "The service has as many connections as it takes. Wait a second, and send the request again."
)


class Connection(Protocol):
    """A connection, as the front sees it."""

    deadline: float
    """When it has to be looked at, in seconds of the event loop."""
    since: float
    """When it last had an answer; before the first one, when it was made."""
    served: bool
    """Whether it had an answer."""

    def waits(self) -> bool:
        """Tell whether it can be ended without taking an answer from anybody: no request is in flight."""

    def expire(self, now: float) -> None:
        """Do what is due: the deadline is over."""

    def end(self) -> None:
        """Close it."""


class Front:
    """The connections of one worker.

    Where there are too many, those that nobody would miss give way: first those that never had an answer, then those
    that had none for longest. So whoever opens connections and lets them wait ends his own before anybody else's.
    """

    def __init__(self, limits: FrontLimits, addresses: ClientAddress) -> None:
        self.limits = limits
        self.now = 0.0
        self.ended: Counter[str] = Counter()
        self._addresses = addresses
        self._of: dict[str, set[Connection]] = {}
        self._name_of: dict[Connection, str] = {}
        self._sweeping = False
        self._logged = 0
        self._logged_at = -_LOG_SECONDS

    @classmethod
    def of(cls, settings: Settings) -> Front:
        """Return the front of a worker with these settings."""
        return cls(FrontLimits.of(settings), ClientAddress(proxies_of(settings.trusted_proxies)))

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._name_of)

    def enter(self, connection: Connection, peer: str, loop: AbstractEventLoop) -> Refusal | None:
        """Count a connection that `peer` has made, or return why there is no room for it; then it is not counted."""
        self.now = loop.time()
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(_SWEEP_SECONDS, self._sweep_again, loop)
        name = self._addresses.of_peer(peer)
        for_many = not peer or self._addresses.trusts(peer)  # at a Unix socket a proxy of this machine is the peer
        most = self.limits.connections if for_many else self.limits.address_connections
        if len(self._of.get(name, ())) >= most and not self._make_room(name):
            return self._refused(_ADDRESS_FULL)
        if len(self) >= self.limits.connections and not any(map(self._make_room, self._by_connections())):
            return self._refused(_FULL)
        self._name_of[connection] = name
        self._of.setdefault(name, set()).add(connection)
        return None

    def leave(self, connection: Connection) -> None:
        """Count it no longer, if it was counted."""
        name = self._name_of.pop(connection, None)
        if name is not None:
            own = self._of[name]
            own.discard(connection)
            if not own:
                del self._of[name]

    def note(self, code: str) -> None:
        """Note that a connection was ended, and why; the log has the sums."""
        self.ended[code] += 1

    def sweep(self, now: float) -> None:
        """Look at the connections whose deadline is over."""
        self.now = now
        for connection in [each for each in self._name_of if each.deadline <= now]:
            connection.expire(now)
        if self.ended.total() != self._logged and now - self._logged_at >= _LOG_SECONDS:
            self._logged, self._logged_at = self.ended.total(), now
            _log.warning("connections_ended", connections=len(self), so_far=dict(self.ended))

    def _sweep_again(self, loop: AbstractEventLoop) -> None:
        self.sweep(loop.time())
        self._sweeping = bool(self._name_of)
        if self._sweeping:
            loop.call_later(_SWEEP_SECONDS, self._sweep_again, loop)

    def _by_connections(self) -> list[str]:
        """Names by how many connections they have, most first."""
        return sorted(self._of, key=lambda name: -len(self._of[name]))

    def _make_room(self, name: str) -> bool:
        """End connections of one address; tell whether there were any that could be."""
        own = self._of.get(name, set())
        waiting = sorted((each for each in own if each.waits()), key=lambda each: (each.served, each.since))
        for connection in waiting[: max(1, len(own) // _ROOM)]:
            self.note("made_room")
            self.leave(connection)
            connection.end()
        return bool(waiting)

    def _refused(self, refusal: Refusal) -> Refusal:
        self.note(refusal.code)
        return refusal
