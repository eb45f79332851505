from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bento_service.recommending import release_cache
from bento_service.recommending.release_cache import RETRY_BROKEN_SECONDS, ReleaseCache
from bento_service.telemetry.metrics import Metrics
from resources.base.errors import CorruptRelease, LakeUnavailable, NoRelease, NotReady
from resources.release.load import LoadedRelease, load_release
from resources.release.pointer import Pointer
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop

PLENTY = 2**30


class Time:
    """A clock that moves when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def cache_of(lake: Lake, time: Time, *, max_bytes: int = PLENTY) -> ReleaseCache:
    return ReleaseCache(lake, Metrics(), max_bytes=max_bytes, check_seconds=1.0, clock=time)


async def version_of(cache: ReleaseCache, shop: Shop) -> str:
    return (await cache.get(shop.tenant)).ranker.release.version


def break_release(shop: Shop, version: str) -> None:
    (shop.directory(version) / "item_vectors.npy").write_bytes(b"broken")


def test_a_release_is_loaded_once(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        first = await asyncio.gather(*(cache.get(blue.tenant) for _ in range(20)))
        assert len({id(live.ranker) for live in first}) == 1
        assert cache.loaded == 1

    asyncio.run(run())


def test_loading_some_releases_holds_up_no_look_at_the_pointers_of_others(
    blue: Shop, green: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slowly(*arguments: Any, **named: Any) -> LoadedRelease:
        assert go_on.wait(60)
        return load_release(*arguments, **named)

    async def run() -> None:
        cache = cache_of(blue.lake, time)
        before = await version_of(cache, green)
        time.now += 60
        monkeypatch.setattr(release_cache, "load_release", slowly)
        monkeypatch.setattr(release_cache, "_LONGEST_LOAD_SECONDS", 0.05)
        loading = [asyncio.create_task(cache.get(blue.tenant))]
        with pytest.raises(NotReady, match="still being loaded"):
            await loading[0]
        assert await asyncio.wait_for(version_of(cache, green), 30) == before
        assert cache._states[green.tenant].checked_at == time.now
        go_on.set()
        while blue.tenant not in cache._states:
            await asyncio.sleep(0.01)
        assert await version_of(cache, blue) == blue.versions[0]

    asyncio.run(run())


def test_after_a_pause_the_first_answer_is_the_new_releases(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        assert await version_of(cache, blue) == blue.versions[0]
        new = blue.release(suffix="00000002")
        assert await version_of(cache, blue) == blue.versions[0]  # the pointer was looked at just now
        time.now += 60
        assert await version_of(cache, blue) == new

    asyncio.run(run())


def test_in_steady_use_nobody_waits_for_the_swap(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        old = await version_of(cache, blue)
        new = blue.release(suffix="00000002")
        time.now += 1
        assert await version_of(cache, blue) == old
        await asyncio.gather(*cache._checks.values())
        assert await version_of(cache, blue) == new

    asyncio.run(run())


def test_after_a_pause_nobody_waits_long_for_a_lake_that_does_not_answer(
    blue: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def never_answers(_: ReleaseStore) -> Pointer | None:
        answered.wait(30)
        raise LakeUnavailable("no answer from http://store.internal")

    async def run() -> None:
        cache = cache_of(blue.lake, time)
        good = await cache.get(blue.tenant)
        monkeypatch.setattr("bento_service.recommending.release_cache._LONGEST_WAIT_SECONDS", 0.05)
        monkeypatch.setattr(ReleaseStore, "pointer", never_answers)
        time.now += 60
        assert await cache.get(blue.tenant) is good
        answered.set()
        await asyncio.gather(*cache._checks.values())
        late = await cache.get(blue.tenant)
        assert late.ranker is good.ranker
        assert late.problem is not None and "store.internal" not in late.problem
        assert cache.broken == 1

    asyncio.run(run())


def test_without_a_release_in_memory_an_unreachable_lake_is_named(
    blue: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: ReleaseStore) -> Pointer | None:
        raise LakeUnavailable("no answer from http://store.internal")

    monkeypatch.setattr(ReleaseStore, "pointer", gone)
    with pytest.raises(LakeUnavailable, match="cannot be read from the lake"):
        asyncio.run(cache_of(blue.lake, time).get(blue.tenant))


def test_a_broken_new_release_leaves_the_last_good_one_answering(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        old = await version_of(cache, blue)
        new = blue.release(suffix="00000002")
        break_release(blue, new)
        time.now += 60
        live = await cache.get(blue.tenant)
        assert live.ranker.release.version == old
        assert live.problem is not None and "item_vectors.npy" in live.problem
        assert cache.broken == 1

        blue.store.rollback(NOW, "test")
        time.now += 60
        live = await cache.get(blue.tenant)
        assert (live.ranker.release.version, live.problem, cache.broken) == (old, None, 0)

    asyncio.run(run())


def test_a_fresh_process_serves_the_release_before_a_broken_one(blue: Shop, time: Time) -> None:
    break_release(blue, blue.release(suffix="00000002"))
    live = asyncio.run(cache_of(blue.lake, time).get(blue.tenant))
    assert live.ranker.release.version == blue.versions[0]
    assert live.problem is not None


def test_with_no_good_release_the_error_says_so_and_repair_is_noticed(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        vectors = blue.directory(blue.versions[0]) / "item_vectors.npy"
        good = vectors.read_bytes()
        break_release(blue, blue.versions[0])
        for _ in range(2):
            with pytest.raises(CorruptRelease, match="item_vectors"):
                await cache.get(blue.tenant)
        vectors.write_bytes(good)
        time.now += 2
        with pytest.raises(CorruptRelease):  # its bytes are not read again at every request
            await cache.get(blue.tenant)
        time.now += RETRY_BROKEN_SECONDS
        assert await version_of(cache, blue) == blue.versions[0]

    asyncio.run(run())


def test_a_lost_pointer_keeps_the_release_in_memory(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        await cache.get(blue.tenant)
        pointer = blue.lake.tenant(blue.tenant).releases / "current.json"
        pointer.unlink()
        time.now += 60
        live = await cache.get(blue.tenant)
        assert live.ranker.release.version == blue.versions[0]
        assert live.problem is not None and "current.json" in live.problem
        with pytest.raises(CorruptRelease):
            await cache_of(blue.lake, time).get(blue.tenant)

    asyncio.run(run())


def test_a_pointer_to_a_release_that_is_gone_is_a_broken_release(blue: Shop, time: Time) -> None:
    directory = blue.directory(blue.versions[0])
    directory.rename(directory.with_name("elsewhere"))
    with pytest.raises(CorruptRelease):
        asyncio.run(cache_of(blue.lake, time).get(blue.tenant))


def test_the_first_release_is_noticed(empty: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(empty.lake, time)
        with pytest.raises(NoRelease, match="Tenant empty has no release"):
            await cache.get(empty.tenant)
        version = empty.release()
        time.now += 1
        assert await version_of(cache, empty) == version

    asyncio.run(run())


def test_the_least_recently_used_release_is_dropped(blue: Shop, green: Shop, time: Time) -> None:
    async def run() -> None:
        size = (await cache_of(blue.lake, time).get(blue.tenant)).ranker.bytes_in_memory
        cache = cache_of(blue.lake, time, max_bytes=size + size // 2)
        await cache.get(blue.tenant)
        await cache.get(green.tenant)
        assert cache.loaded == 1
        assert await version_of(cache, blue) == blue.versions[0]
        assert cache.loaded == 1

    asyncio.run(run())


def test_what_is_promoted_is_loaded_before_anybody_asks(blue: Shop, time: Time) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        live = await cache.get(blue.tenant)
        new = blue.release(suffix="00000002")
        await look_once(cache)
        assert cache._states[blue.tenant].live is live  # the pointer was looked at just now
        time.now += 1
        await look_once(cache)
        assert await version_of(cache, blue) == new
        third = blue.release(suffix="00000003")
        time.now += 1000
        await look_once(cache)  # nobody has asked for a quarter of an hour
        assert cache._states[blue.tenant].pointed_at == new
        assert await version_of(cache, blue) == third

    asyncio.run(run())


def test_a_check_that_fails_does_not_end_the_watch(blue: Shop, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        cache = cache_of(blue.lake, time)
        await cache.get(blue.tenant)
        time.now += 1
        with monkeypatch.context() as patched:
            patched.setattr(ReleaseCache, "_look", lambda *_: 1 / 0)
            await look_once(cache)
        new = blue.release(suffix="00000002")
        await look_once(cache)
        assert await version_of(cache, blue) == new

    asyncio.run(run())


async def look_once(cache: ReleaseCache) -> None:
    """Let the watch go round once."""
    rounds = 0

    async def sleep(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            raise asyncio.CancelledError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bento_service.recommending.release_cache.asyncio.sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await cache.watch()


def test_memory_is_counted_by_tenant_and_given_back(blue: Shop, green: Shop, time: Time) -> None:
    def memory(metrics: Metrics) -> dict[str, float]:
        start = "recsaas_tenant_release_bytes{"
        lines = [line for line in metrics.exposition().decode().splitlines() if line.startswith(start)]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    async def run() -> None:
        metrics = Metrics()
        cache = ReleaseCache(blue.lake, metrics, max_bytes=PLENTY, check_seconds=1.0, clock=time)
        size = (await cache.get(blue.tenant)).ranker.bytes_in_memory
        await cache.get(green.tenant)
        assert memory(metrics) == {"blue": size, "green": size}
        assert cache._size == 2 * size
        cache._max_bytes = size
        time.now += 1
        await cache.get(blue.tenant)
        await asyncio.gather(*cache._checks.values())
        assert memory(metrics) == {"blue": size, "green": 0}
        assert cache._size == size

    asyncio.run(run())


def test_health_tells_missing_from_broken(client: Client, blue: Shop, green: Shop, empty: Shop) -> None:
    break_release(green, green.versions[0])
    states = {}
    for shop in (blue, empty, green):
        answer = client.get("/health", headers=shop.headers)
        assert answer.status_code == 200
        states[shop.tenant.value] = (answer.json()["status"], answer.json()["release"]["state"])
    assert states == {"blue": ("ok", "live"), "empty": ("degraded", "missing"), "green": ("degraded", "broken")}
    public = client.get("/health").json()
    assert public["release"] is None
    assert public["releases_broken"] == 1
    assert client.get("/health", headers={"Authorization": "Bearer no"}).status_code == 401


def test_an_answer_from_the_last_good_release_says_so(client: Client, blue: Shop) -> None:
    break_release(blue, blue.release(suffix="00000002"))
    metadata = client.get("/recommend/u1", headers=blue.headers).json()["metadata"]
    assert (metadata["degraded"], metadata["fallback_reason"]) == (True, "last_good_release")
    assert metadata["release_version"] == blue.versions[0]


def test_a_broken_release_answers_503(client: Client, blue: Shop) -> None:
    break_release(blue, blue.versions[0])
    answer = client.get("/recommend/u1", headers=blue.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "corrupt_release")
    assert "Retry-After" in answer.headers
