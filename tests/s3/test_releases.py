"""Releases in an object store: whole or absent, verified, one writer of the pointer at a time, cached beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

import resources.release.store as store_module
from resources.base.errors import Conflict, CorruptRelease, LakeUnavailable, ReleaseNotFound
from resources.base.tenant import TenantId
from resources.ranker.ranker import Ranker
from resources.release.contents import FILE_NAMES, ITEM_VECTORS, MANIFEST
from resources.release.load import load_release
from resources.release.pointer import POINTER
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake, TenantLake, mark_of, read_bytes, write_bytes
from resources.storage.listing import list_files
from tests.unit.bento_service.shop import NOW, contents, draft

BLUE = TenantId("blue")
A, B, C, D, E = (new_version(NOW + timedelta(days=day), f"0000000{day}") for day in range(5))


@dataclass(frozen=True)
class Shop:
    lake: TenantLake

    @property
    def store(self) -> ReleaseStore:
        return ReleaseStore(self.lake)

    def write(self, *versions: str) -> ReleaseStore:
        for version in versions:
            self.store.write(version, contents("b"), draft(BLUE))
        return self.store

    def load(self, version: str) -> Ranker:
        return Ranker(load_release(self.store.directory(version), cache=self.store.cache))


@pytest.fixture
def shop(lake: Lake) -> Shop:
    return Shop(lake.tenant(BLUE))


@pytest.fixture
def remote(s3_lake: Lake) -> Shop:
    return Shop(s3_lake.tenant(BLUE))


def test_write_promote_roll_back_list_and_load(shop: Shop) -> None:
    store = shop.write(A, B)
    assert store.current() is None
    assert store.write(A, contents("b"), draft(BLUE)) == store.verify(A)
    with pytest.raises(Conflict, match="exists with other contents"):
        store.write(A, contents("x"), draft(BLUE))
    store.promote(A, NOW, "ann")
    store.promote(B, NOW, "ann")
    assert [(summary.version, summary.is_current) for summary in store.list()] == [(B, True), (A, False)]
    assert store.rollback(NOW, "ann").version == store.current() == A
    assert [card.item_id for card in map(shop.load(A).release.catalogue.card, range(2))] == ["b1", "b2"]
    with pytest.raises(ReleaseNotFound):
        store.directory(C)


def test_a_changed_file_is_named_and_nothing_moves(shop: Shop) -> None:
    store = shop.write(A, B)
    store.promote(A, NOW, "ann")
    path = store.directory(B) / ITEM_VECTORS
    write_bytes(path, read_bytes(path)[:-1] + b"x")
    for action in (lambda: store.promote(B, NOW, "ann"), lambda: shop.load(B)):
        with pytest.raises(CorruptRelease, match=f"{ITEM_VECTORS} was changed"):
            action()
    assert store.current() == A
    path.unlink()
    with pytest.raises(CorruptRelease, match=f"{ITEM_VECTORS} is missing"):
        shop.load(B)


def test_a_lost_pointer_is_told_from_none_and_repaired(shop: Shop) -> None:
    store = shop.write(A)
    store.promote(A, NOW, "ann")
    (shop.lake.releases / POINTER).unlink()
    with pytest.raises(CorruptRelease, match="is missing"):
        store.pointer()
    write_bytes(shop.lake.releases / POINTER, b"{")
    with pytest.raises(CorruptRelease, match="cannot be read"):
        store.pointer()
    store.promote(A, NOW, "ann")
    assert store.current() == A
    store.write(B, contents("b"), draft(BLUE))
    store.promote(B, NOW, "ann")
    store.remove(A)
    assert [summary.version for summary in store.list()] == [B]


def test_the_manifest_comes_last_and_a_torn_write_is_no_release(remote: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real: Callable[..., None] = store_module.put_file

    def dies_before_the_manifest(local: object, path: object) -> None:
        written.append(path.name)  # type: ignore[attr-defined]
        if written[-1] == MANIFEST:
            raise LakeUnavailable("gone")
        real(local, path)

    monkeypatch.setattr(store_module, "put_file", dies_before_the_manifest)
    with pytest.raises(LakeUnavailable):
        remote.write(A)
    assert written == [*FILE_NAMES, MANIFEST]
    with pytest.raises(CorruptRelease, match=r"manifest\.json is missing"):
        remote.store.promote(A, NOW, "ann")
    monkeypatch.undo()
    remote.write(A).promote(A, NOW, "ann")
    assert not [path for path in remote.store.cache.iterdir() if path.is_dir()], "no work is left behind"


def test_two_machines_do_not_move_the_pointer_over_each_other(remote: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other machine does not know of this one's lock file."""
    store = remote.write(A, B)
    store.promote(A, NOW, "ann")

    def other_machine_is_quicker(path: object) -> str | None:
        mark = mark_of(path)  # type: ignore[arg-type]
        monkeypatch.undo()
        elsewhere = TenantLake(BLUE, remote.lake.root, remote.lake.scratch / "elsewhere")
        ReleaseStore(elsewhere).promote(B, NOW, "bob")
        return mark

    monkeypatch.setattr(store_module, "mark_of", other_machine_is_quicker)
    with pytest.raises(Conflict, match="Somebody else"):
        store.rollback(NOW, "ann")
    pointer = store.pointer()
    assert pointer is not None
    assert [(move.version, move.actor) for move in pointer.history] == [(A, "ann"), (B, "bob")]


def test_a_release_is_fetched_once_verified_and_three_copies_are_kept(remote: Shop) -> None:
    store = remote.write(A, B, C, D, E)

    def copies() -> set[str]:
        return {path.name for path in store.cache.iterdir() if path.is_dir()}

    first = remote.load(A)
    for file in list_files(store.directory(A)):
        if file.name != MANIFEST:
            (store.directory(A) / file.name).unlink()
    assert remote.load(A).release.directory == store.cache / A == first.release.directory
    for version in (B, C, D, E):
        remote.load(version)
    assert copies() == {C, D, E}
    assert float(first.release.item_vectors.sum()) > 0, "what was loaded before stays usable"

    damaged = store.cache / E / ITEM_VECTORS
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    remote.load(E)
    store.verify(E)
    store.remove(E)
    assert copies() == {C, D}
    shutil.rmtree(store.cache)
    remote.load(D)
    assert copies() == {D}
