import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.base.errors import (
    Conflict,
    CorruptArtifact,
    CorruptRelease,
    InvalidInput,
    NoRelease,
    NotFound,
    ReleaseNotFound,
)
from resources.release.contents import FILE_NAMES, MANIFEST, ReleaseContents
from resources.release.load import load_release
from resources.release.manifest import GateDecision, ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import TenantLake

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A, B, C = (new_version(NOW + timedelta(days=day), f"0000000{day}") for day in range(3))


@pytest.fixture
def abc(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> ReleaseStore:
    """A store that holds the releases A, B and C, none of them live."""
    for version in (A, B, C):
        store.write(version, contents, draft)
    return store


def _folder(store: ReleaseStore, version: str) -> Path:
    return Path(store.directory(version))


class TestWrite:
    def test_a_release_appears_whole_and_is_not_live(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, lake: TenantLake
    ) -> None:
        manifest = store.write(A, contents, draft)
        assert {path.name for path in _folder(store, A).iterdir()} == {*FILE_NAMES, MANIFEST}
        assert store.verify(A) == manifest
        assert store.current() is None
        assert {path.name for path in lake.releases.iterdir()} == {A, ".lock"}

    def test_the_same_again_changes_nothing(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        first = store.write(A, contents, draft)
        later = draft.model_copy(update={"created_at": NOW + timedelta(hours=1)})
        assert store.write(A, contents, later) == first

    def test_other_contents_under_the_same_version_conflict(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        first = store.write(A, contents, draft)
        with pytest.raises(Conflict, match="under a new version"):
            store.write(A, replace(contents, evaluation_markdown="other"), draft)
        assert store.verify(A) == first

    def test_leftovers_of_a_crash_are_invisible_and_then_removed(
        self, abc: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, lake: TenantLake
    ) -> None:
        leftover = Path(lake.releases) / ".writing-dead"
        leftover.mkdir()
        (leftover / "items.parquet").write_bytes(b"half")
        assert [summary.version for summary in abc.list()] == [C, B, A]
        abc.write(A, contents, draft)
        assert not leftover.exists()

    def test_a_crash_before_the_rename_leaves_nothing_visible(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ReleaseStore, "_publish", _raise)
            with pytest.raises(OSError, match="disk full"):
                store.write(A, contents, draft)
        assert store.list() == ()
        store.write(A, contents, draft)
        store.verify(A)

    def test_contents_that_do_not_fit_write_nothing(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        with pytest.raises(CorruptArtifact):
            store.write(A, replace(contents, user_ids=("only one",)), draft)
        assert store.list() == ()

    @pytest.mark.parametrize("version", ["", "..", "../x", "20260102T030405Z", "current.json", f"{A}/x"])
    def test_a_name_that_is_no_version_is_refused(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, version: str
    ) -> None:
        with pytest.raises(InvalidInput):
            store.write(version, contents, draft)
        with pytest.raises(ReleaseNotFound, match="blue-shop has no release"):
            store.manifest(version)

    def test_another_tenants_manifest_is_refused(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        with pytest.raises(InvalidInput, match="red-shop"):
            store.write(A, contents, draft.model_copy(update={"tenant": "red-shop"}))


class TestVerify:
    @pytest.mark.parametrize("name", [*FILE_NAMES, MANIFEST])
    def test_a_changed_byte_names_the_file(self, abc: ReleaseStore, name: str) -> None:
        path = _folder(abc, A) / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptRelease, match=name):
            abc.verify(A)
        with pytest.raises(CorruptRelease, match=name):
            load_release(path.parent)

    @pytest.mark.parametrize("name", [*FILE_NAMES, MANIFEST])
    def test_a_missing_file_is_named(self, abc: ReleaseStore, name: str) -> None:
        (_folder(abc, A) / name).unlink()
        with pytest.raises(CorruptRelease, match=f"{name} is missing"):
            abc.verify(A)

    def test_a_manifest_of_another_release_is_noticed(self, abc: ReleaseStore) -> None:
        (_folder(abc, A) / MANIFEST).write_bytes((_folder(abc, B) / MANIFEST).read_bytes())
        with pytest.raises(CorruptRelease, match=f"is that of release {B}"):
            abc.verify(A)


class TestPointer:
    def test_promote_and_roll_back_like_a_stack(self, abc: ReleaseStore) -> None:
        for version in (A, B, C):
            assert abc.promote(version, NOW, "ann").version == version
        assert abc.rollback(NOW, "bob", "worse clicks").version == B
        assert abc.rollback(NOW, "bob").version == A
        with pytest.raises(NotFound, match="nothing to roll back to"):
            abc.rollback(NOW, "bob")
        assert abc.current() == A
        abc.promote(C, NOW, "ann")
        assert abc.rollback(NOW, "bob").version == A
        pointer = abc.pointer()
        assert pointer is not None
        moves = [(move.action, move.version, move.replaced, move.actor) for move in pointer.history]
        assert moves == [
            ("promote", A, None, "ann"),
            ("promote", B, A, "ann"),
            ("promote", C, B, "ann"),
            ("rollback", B, C, "bob"),
            ("rollback", A, B, "bob"),
            ("promote", C, A, "ann"),
            ("rollback", A, C, "bob"),
        ]
        assert pointer.history[3].reason == "worse clicks"

    def test_promoting_the_live_release_changes_nothing(self, abc: ReleaseStore) -> None:
        first = abc.promote(A, NOW, "ann")
        assert abc.promote(A, NOW + timedelta(days=1), "bob") == first

    def test_history_stays_bounded_and_still_rolls_back(
        self, abc: ReleaseStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("resources.release.pointer._HISTORY_LIMIT", 4)
        for step in range(9):
            abc.promote((A, B)[step % 2], NOW, "ann")
        pointer = abc.pointer()
        assert pointer is not None and len(pointer.history) == 4
        assert abc.rollback(NOW, "ann").version == B

    def test_nothing_live_cannot_be_rolled_back(self, abc: ReleaseStore) -> None:
        with pytest.raises(NoRelease, match="promote one first"):
            abc.rollback(NOW, "ann")

    def test_a_corrupt_release_never_goes_live(self, abc: ReleaseStore) -> None:
        abc.promote(A, NOW, "ann")
        abc.promote(B, NOW, "ann")
        (_folder(abc, A) / "items.parquet").write_bytes(b"")
        (_folder(abc, C) / "index.faiss").unlink()
        with pytest.raises(CorruptRelease, match=r"index\.faiss"):
            abc.promote(C, NOW, "ann")
        with pytest.raises(CorruptRelease, match=r"items\.parquet"):
            abc.rollback(NOW, "ann")
        with pytest.raises(ReleaseNotFound):
            abc.promote(new_version(NOW, "ffffffff"), NOW, "ann")
        assert abc.current() == B

    def test_a_crash_before_the_pointer_moves_keeps_the_old_release_live(
        self, abc: ReleaseStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        abc.promote(A, NOW, "ann")
        with monkeypatch.context() as patch:
            patch.setattr("resources.storage.disk.os.replace", _raise)
            with pytest.raises(OSError, match="disk full"):
                abc.promote(B, NOW, "ann")
        assert abc.current() == A
        assert abc.promote(B, NOW, "ann").version == B

    @pytest.mark.parametrize("data", [b"", b"{}", b"nonsense", b'{"version": "x"'])
    def test_a_garbled_pointer_is_an_error_and_promoting_repairs_it(
        self, abc: ReleaseStore, lake: TenantLake, data: bytes
    ) -> None:
        abc.promote(A, NOW, "ann")
        (lake.releases / "current.json").write_bytes(data)
        for read in (abc.current, abc.list, lambda: abc.rollback(NOW, "ann")):
            with pytest.raises(CorruptRelease, match=r"blue-shop: current\.json cannot be read.*promote one"):
                read()
        assert abc.promote(B, NOW, "ann", "repair").history[0].reason == "repair [the previous pointer was lost]"
        assert abc.current() == B

    def test_a_lost_pointer_is_an_error_not_an_empty_tenant(self, abc: ReleaseStore, lake: TenantLake) -> None:
        abc.promote(A, NOW, "ann")
        (lake.releases / "current.json").unlink()
        with pytest.raises(CorruptRelease, match=r"current\.json is missing"):
            abc.current()
        abc.promote(A, NOW, "ann")
        assert abc.current() == A

    def test_a_refused_release_needs_a_reason_and_is_marked(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        gate = GateDecision(outcome="refused", reasons=("ndcg@10 of new users fell by 0.02",))
        store.write(A, contents, draft.model_copy(update={"gate": gate}))
        with pytest.raises(Conflict, match="ndcg@10 of new users fell"):
            store.promote(A, NOW, "ann", "  ")
        assert store.current() is None
        move = store.promote(A, NOW, "ann", "black friday").history[-1]
        assert (move.forced, move.reason) == (True, "black friday")

    def test_readers_see_the_old_or_the_new_release_while_it_is_promoted(self, abc: ReleaseStore) -> None:
        abc.promote(A, NOW, "ann")
        seen: set[str | None] = set()
        errors: list[Exception] = []
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    seen.add(abc.current())
            except CorruptRelease as error:
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for step in range(40):
            abc.promote((B, C)[step % 2], NOW, "ann")
        done.set()
        for reader in readers:
            reader.join()
        assert not errors
        assert seen <= {A, B, C}

    def test_two_promoting_at_once_lose_no_move(self, abc: ReleaseStore, lake: TenantLake) -> None:
        abc.promote(C, NOW, "ann")

        def promote(version: str) -> None:
            ReleaseStore(lake).promote(version, NOW, "ann")

        threads = [threading.Thread(target=promote, args=(version,)) for version in (A, B)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pointer = abc.pointer()
        assert pointer is not None
        assert {move.version for move in pointer.history} == {A, B, C}
        assert pointer.history[2].replaced == pointer.history[1].version


class TestList:
    def test_newest_first_with_the_live_one_marked(self, abc: ReleaseStore) -> None:
        abc.promote(B, NOW, "ann")
        assert [(summary.version, summary.is_current) for summary in abc.list()] == [(C, False), (B, True), (A, False)]

    def test_no_release_is_an_empty_list(self, store: ReleaseStore) -> None:
        assert store.list() == ()
        assert store.current() is None

    def test_one_unreadable_release_does_not_hide_the_others(self, abc: ReleaseStore) -> None:
        (_folder(abc, B) / MANIFEST).write_text(json.dumps({"format_version": 9}))
        problems = [summary.problem for summary in abc.list()]
        assert problems[0] is problems[2] is None
        assert problems[1] is not None and "format version 9" in problems[1]


def test_new_version_is_utc_and_sortable() -> None:
    plus_two = datetime.fromisoformat("2026-01-02T05:04:05+02:00")
    assert new_version(plus_two, "0a1b2c3d") == "20260102T030405Z-0a1b2c3d"
    for now, suffix in ((NOW.replace(tzinfo=None), "0a1b2c3d"), (NOW, "xyz"), (NOW, "0A1B2C3D")):
        with pytest.raises(InvalidInput):
            new_version(now, suffix)


def _raise(*_: object) -> None:
    raise OSError("disk full")
