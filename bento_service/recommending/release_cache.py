"""The live release of each tenant, in memory: loaded off the event loop, swapped when the pointer moves.

A release's arrays are mapped from its files, so that the workers of a machine share their pages.

State is touched only on the event loop, so there are no locks; files are read and releases built in worker threads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import nsmallest
from operator import itemgetter
from time import monotonic

import structlog
from anyio import CapacityLimiter, to_thread

from bento_service.telemetry.metrics import Metrics
from resources.base.errors import ConfigurationError, CorruptRelease, LakeUnavailable, NoRelease, NotReady, RecsaasError
from resources.base.tenant import TenantId
from resources.ranker.ranker import Ranker
from resources.release.load import load_release
from resources.release.pointer import Pointer
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake

RETRY_BROKEN_SECONDS = 30.0
"""How long a release that could not be loaded is left alone: trying again reads all of its bytes."""
_IDLE_CHECKS = 3
_LONGEST_WAIT_SECONDS = 1.0
_LONGEST_LOAD_SECONDS = 20.0
_IN_USE_SECONDS = 900.0
_WATCH_SECONDS = 1.0
_WATCHED_AT_ONCE = 64
_log = structlog.get_logger("recsaas.releases")


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """The ranker that answers. `problem` says why it is not that of the release the pointer names."""

    ranker: Ranker
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """The release of one tenant as last seen: a live one, or the error to answer with."""

    checked_at: float
    pointed_at: str | None
    live: LiveRelease | None = None
    error: RecsaasError | None = None
    broken_at: float | None = None


class ReleaseCache:
    """Live releases by tenant, the least recently used ones dropped beyond `max_bytes`.

    The pointer of a tenant in use is read every `check_seconds`, by the requests and by `watch`. While a new release is
    loading, and when it turns out broken, the one before it keeps answering.
    """

    def __init__(
        self,
        lake: Lake,
        metrics: Metrics,
        *,
        max_bytes: int,
        check_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._lake = lake
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._check_seconds = check_seconds
        self._clock = clock
        # cachetools could not keep a release larger than the limit, or one by name (ADR 17).
        self._states: OrderedDict[TenantId, _State] = OrderedDict()
        self._checks: dict[TenantId, asyncio.Task[_State]] = {}
        self._asked_at: dict[TenantId, float] = {}
        self._sizes: dict[TenantId, int] = {}
        self._size = 0
        # Apart, so that the pointers of all are read while large releases of some are loading.
        self._looks = CapacityLimiter(4)
        self._loads = CapacityLimiter(2)

    async def get(self, tenant: TenantId) -> LiveRelease:
        """Return the tenant's live release.

        Raises:
            NoRelease: the tenant has none yet.
            NotReady: the first release is still loading after 20 seconds.
            CorruptRelease, LakeUnavailable: neither the live release nor the one before it can be read.
        """
        state = self._states.get(tenant)
        now = self._asked_at[tenant] = self._clock()
        age = now - state.checked_at if state is not None else float("inf")
        if age >= self._check_seconds:
            check = self._start_check(tenant)
            # A tenant in steady use never waits for a swap; after a pause the answer must not be the old release's.
            if state is None or state.live is None:
                state = await self._first(tenant, check)
            elif age >= _IDLE_CHECKS * self._check_seconds:
                # Nor does it wait long when the lake does not answer.
                await asyncio.wait({check}, timeout=_LONGEST_WAIT_SECONDS)
                state = self._states.get(tenant, state)
        assert state is not None
        if tenant in self._states:
            self._states.move_to_end(tenant)
        if state.live is not None:
            return state.live
        assert state.error is not None
        raise type(state.error)(state.error.message)  # a new one each time: a traceback grows with every raise

    async def _first(self, tenant: TenantId, check: asyncio.Task[_State]) -> _State:
        done, _ = await asyncio.wait({check}, timeout=_LONGEST_LOAD_SECONDS)
        if not done:
            raise NotReady(f"The release of tenant {tenant} is still being loaded; ask again in a few seconds.")
        return check.result()

    async def watch(self) -> None:
        """Look at the pointers of the tenants in use until cancelled: a new release is loaded before it is asked for.

        A tenant is in use for 15 minutes after a request. One round looks at 64 of them at most, those first that were
        not looked at for longest, so that it costs next to nothing with any number of tenants.
        """
        while True:
            await asyncio.sleep(max(self._check_seconds, _WATCH_SECONDS))
            for tenant in self._due():
                await asyncio.wait({self._start_check(tenant)})

    def _due(self) -> list[TenantId]:
        now = self._clock()
        due = [
            (state.checked_at, tenant)
            for tenant, state in self._states.items()
            if state.live is not None
            and now - state.checked_at >= self._check_seconds
            and now - self._asked_at.get(tenant, now) < _IN_USE_SECONDS
        ]
        return [tenant for _, tenant in nsmallest(_WATCHED_AT_ONCE, due, key=itemgetter(0))]

    @property
    def loaded(self) -> int:
        """How many releases are in memory."""
        return len(self._sizes)

    @property
    def broken(self) -> int:
        """How many tenants in use are not answered by the release their pointer names."""
        return sum(state.broken_at is not None for state in self._states.values())

    def _start_check(self, tenant: TenantId) -> asyncio.Task[_State]:
        """Start looking at the pointer, unless somebody does already."""
        check = self._checks.get(tenant)
        if check is None:
            check = asyncio.create_task(self._check(tenant))
            self._checks[tenant] = check
            check.add_done_callback(lambda done: self._finished(tenant, done))
        return check

    def _finished(self, tenant: TenantId, check: asyncio.Task[_State]) -> None:
        self._checks.pop(tenant, None)
        if not check.cancelled() and (error := check.exception()) is not None:
            _log.error("release_check_failed", tenant=tenant.value, exc_info=error)

    async def _check(self, tenant: TenantId) -> _State:
        now = self._clock()
        before = self._states.get(tenant)
        after = await to_thread.run_sync(self._look, tenant, before, now, limiter=self._looks)
        if isinstance(after, Pointer):
            after = await to_thread.run_sync(self._load, tenant, before, after, now, limiter=self._loads)
        self._note_change(tenant, before, after)
        self._states[tenant] = after
        self._resize(tenant, after.live.ranker.bytes_in_memory if after.live is not None else 0)
        self._evict(keep=tenant)
        return after

    def _look(self, tenant: TenantId, before: _State | None, now: float) -> _State | Pointer:
        """Read the pointer, and return it when what it names has to be loaded; runs in a worker thread."""
        store = ReleaseStore(self._lake.tenant(tenant))
        live = before.live if before is not None else None
        try:
            pointer = store.pointer()
        except (RecsaasError, OSError) as error:
            since = before.broken_at if before is not None and before.pointed_at is None else None
            return _broken(live, _for_users(error, tenant, "The pointer"), pointed_at=None, now=now, since=since)
        if pointer is None:
            missing = NoRelease(
                f"Tenant {tenant} has no release yet. Upload interactions (and items) and wait for the pipeline to "
                "finish, or run it with `recsaas run`; then ask again."
            )
            return _State(checked_at=now, pointed_at=None, error=missing)
        version = pointer.version
        if live is not None and live.ranker.release.version == version:
            return _State(now, version, LiveRelease(live.ranker))
        tried_at = before.broken_at if before is not None and before.pointed_at == version else None
        if before is not None and tried_at is not None and now - tried_at < RETRY_BROKEN_SECONDS:
            return replace(before, checked_at=now)
        return pointer

    def _load(self, tenant: TenantId, before: _State | None, pointer: Pointer, now: float) -> _State:
        """Load what the pointer names; runs in a worker thread."""
        store, version = ReleaseStore(self._lake.tenant(tenant)), pointer.version
        live = before.live if before is not None else None
        try:
            return _State(now, version, LiveRelease(_load(store, version)))
        except (RecsaasError, OSError) as error:
            problem = _for_users(error, tenant, f"Release {version}")
            return _broken(live or _previous(store, pointer), problem, pointed_at=version, now=now)

    def _note_change(self, tenant: TenantId, before: _State | None, after: _State) -> None:
        """Log and count what happened, once and not at every check."""
        known = before.live if before is not None else None
        if after.live is not None and (known is None or known.ranker is not after.live.ranker):
            ranker = after.live.ranker
            _log.info("release_loaded", tenant=tenant.value, version=ranker.release.version)
            if ranker.second_stage_problem is not None:
                _log.error("second_stage_unavailable", tenant=tenant.value, problem=ranker.second_stage_problem)
            self._metrics.release_load(succeeded=True)
        if after.broken_at is not None and (before is None or before.broken_at != after.broken_at):
            problem = after.live.problem if after.live is not None else after.error and after.error.message
            _log.error("release_broken", tenant=tenant.value, problem=problem, last_good=after.live is not None)
            self._metrics.release_load(succeeded=False)

    def _evict(self, *, keep: TenantId) -> None:
        """Drop the releases that were not asked for for longest, until the rest fits."""
        while self._size > self._max_bytes:
            oldest = next((tenant for tenant in self._states if tenant != keep and tenant in self._sizes), None)
            if oldest is None:
                break
            del self._states[oldest]
            self._asked_at.pop(oldest, None)
            self._resize(oldest, 0)
            _log.info("release_evicted", tenant=oldest.value)
        self._metrics.releases(count=len(self._sizes), size=self._size)

    def _resize(self, tenant: TenantId, size: int) -> None:
        before = self._sizes.pop(tenant, 0)
        if size:
            self._sizes[tenant] = size
        if size != before:
            self._size += size - before
            self._metrics.release_bytes(tenant.value, added=size - before)


def _load(store: ReleaseStore, version: str) -> Ranker:
    return Ranker(load_release(store.directory(version), cache=store.cache, marks=store.marks))


def _previous(store: ReleaseStore, pointer: Pointer) -> LiveRelease | None:
    """Return the release that was live before, when the process has no good one in memory."""
    try:
        return LiveRelease(_load(store, pointer.previous()))
    except (RecsaasError, OSError):
        return None


def _broken(
    live: LiveRelease | None, error: RecsaasError, *, pointed_at: str | None, now: float, since: float | None = None
) -> _State:
    """Keep answering from `live` and say why it is not the release the pointer names."""
    kept = LiveRelease(live.ranker, error.message) if live is not None else None
    return _State(now, pointed_at, kept, error, broken_at=now if since is None else since)


def _for_users(error: RecsaasError | OSError, tenant: TenantId, what: str) -> RecsaasError:
    """Say for the tenant's users what cannot be read, without the paths and settings that the operator needs."""
    message = (
        f"{what} of tenant {tenant} cannot be read from the lake. Check that the lake is reachable, or promote "
        "another release."
    )
    if isinstance(error, LakeUnavailable):
        return LakeUnavailable(message)
    if isinstance(error, OSError | ConfigurationError):
        return CorruptRelease(message)
    return CorruptRelease(error.message)
