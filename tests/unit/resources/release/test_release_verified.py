"""Checksums are compared once per machine, and again as soon as a file is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resources.base.errors import CorruptRelease
from resources.release import verified
from resources.release.contents import ReleaseContents
from resources.release.load import load_release
from resources.release.manifest import ManifestDraft, ReleaseManifest
from resources.release.store import ReleaseStore, verify_files

VERSION = "20260102T030405Z-00000001"


@pytest.fixture
def folder(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> Path:
    store.write(VERSION, contents, draft)
    return Path(str(store.directory(VERSION)))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The releases of which every byte was read, in order."""
    seen: list[str] = []

    def counted(directory: Path, manifest: ReleaseManifest) -> None:
        seen.append(manifest.version)
        verify_files(directory, manifest)

    monkeypatch.setattr(verified, "verify_files", counted)
    return seen


def test_the_second_load_reads_no_byte_again(folder: Path, store: ReleaseStore, readings: list[str]) -> None:
    for _ in range(3):
        assert load_release(folder, marks=store.marks).version == VERSION
    assert readings == [VERSION]
    load_release(folder)  # without a folder for the marks nothing is taken on trust
    assert readings == [VERSION, VERSION]


def test_a_file_of_the_same_size_that_was_written_again_is_noticed(folder: Path, store: ReleaseStore) -> None:
    load_release(folder, marks=store.marks)
    vectors = folder / "item_vectors.npy"
    damaged = bytearray(vectors.read_bytes())
    damaged[-1] ^= 1
    vectors.write_bytes(damaged)
    for _ in range(2):
        with pytest.raises(CorruptRelease, match=r"item_vectors\.npy was changed"):
            load_release(folder, marks=store.marks)


def test_a_missing_file_is_named(folder: Path, store: ReleaseStore) -> None:
    load_release(folder, marks=store.marks)
    (folder / "index.faiss").unlink()
    with pytest.raises(CorruptRelease, match=r"index\.faiss is missing"):
        load_release(folder, marks=store.marks)


def test_a_manifest_with_other_checksums_is_not_believed(folder: Path, store: ReleaseStore) -> None:
    load_release(folder, marks=store.marks)
    manifest = ReleaseManifest.from_json((folder / "manifest.json").read_bytes(), name="it")
    forged = tuple(file.model_copy(update={"sha256": "0" * 64}) for file in manifest.files)
    (folder / "manifest.json").write_bytes(manifest.model_copy(update={"files": forged}).to_json())
    with pytest.raises(CorruptRelease, match="was changed"):
        load_release(folder, marks=store.marks)


def test_a_mark_is_believed_for_a_day(folder: Path, store: ReleaseStore, readings: list[str]) -> None:
    load_release(folder, marks=store.marks)
    mark = store.marks / f"{VERSION}.json"
    yesterday = mark.stat().st_mtime - 25 * 3600
    os.utime(mark, (yesterday, yesterday))
    load_release(folder, marks=store.marks)
    assert readings == [VERSION, VERSION]


def test_half_a_mark_is_no_mark(folder: Path, store: ReleaseStore, readings: list[str]) -> None:
    load_release(folder, marks=store.marks)
    (store.marks / f"{VERSION}.json").write_text('{"items.parq')
    load_release(folder, marks=store.marks)
    assert readings == [VERSION, VERSION]


def test_where_no_mark_can_be_written_the_release_is_read_each_time(
    folder: Path, tmp_path: Path, readings: list[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    for _ in range(2):
        load_release(folder, marks=tmp_path / "file" / "marks")
    assert readings == [VERSION, VERSION]
