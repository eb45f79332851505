from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from resources.base.errors import ConfigurationError, CorruptArtifact, CorruptRelease
from resources.erasure.places.releases import contents_without, read_contents
from resources.release.contents import ReleaseContents
from resources.release.folder import describe
from resources.release.item_table import TABLE_FILES, ItemTable
from resources.release.load import load_release
from resources.release.manifest import ManifestDraft
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake

VERSION = new_version(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "00000001")


@pytest.fixture
def folder(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> Path:
    store.write(VERSION, contents, draft)
    return Path(store.directory(VERSION))


def test_what_was_written_is_loaded(folder: Path, contents: ReleaseContents) -> None:
    release = load_release(folder)
    assert release.version == VERSION
    assert release.user_rows == {"ann": 0, "böb": 1}
    assert release.item_rows == {"i0": 0, "i1": 1, "ítem 2": 2}
    assert np.array_equal(release.item_vectors, contents.item_vectors)
    assert release.bytes_in_memory > 0


def test_arrays_are_mapped_and_cannot_be_written(folder: Path) -> None:
    release = load_release(folder)
    base = release.item_vectors.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        release.item_vectors[0, 0] = 9


def test_history_and_vectors_of_users(folder: Path) -> None:
    release = load_release(folder)
    assert release.history("ann").tolist() == [2, 0]
    assert release.history("böb").tolist() == release.history("who").tolist() == release.history(None).tolist() == []
    vector = release.user_vector("ann")
    assert vector is not None and vector.tolist() == [1, 0]
    assert release.user_vector("böb") is None  # zeros are no vector
    assert release.user_vector("who") is None and release.user_vector(None) is None


def test_the_catalogue_fills_what_is_unknown(folder: Path) -> None:
    catalogue = load_release(folder).catalogue
    assert catalogue.available.tolist() == [True, True, True]
    assert catalogue.popularity.tolist() == [3, 1, 0]
    assert catalogue.popular_rows.tolist() == [0, 1, 2]
    assert catalogue.category.of == {"kitchen": 0}
    assert catalogue.category.codes.tolist() == [0, 0, -1]
    assert catalogue.tags.of == {"red": 0, "gift": 1}
    assert catalogue.tags.rows[catalogue.tags.starts[1] :].tolist() == [0, 1]
    assert catalogue.popular_in_category.tolist() == [True, False, False]  # the median of 3 and 1 is 2
    assert catalogue.popular_overall.tolist() == [True, True, False]
    card = catalogue.card(2)
    assert (card.item_id, card.title, card.price) == ("ítem 2", None, None)
    assert catalogue.card(2) is card


def test_without_verification_a_damaged_file_is_still_named(folder: Path) -> None:
    for name in ("items.parquet", "user_ids.parquet", "user_vectors.npy", "seen_items.npy"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(b"damaged")
        with pytest.raises(CorruptRelease, match=name):
            load_release(folder, verify=False)
        (folder / name).write_bytes(kept)
    np.save(folder / "item_vectors.npy", np.zeros((1, 2), np.float32))
    with pytest.raises(CorruptRelease, match="item_vectors"):
        load_release(folder, verify=False)


def test_a_release_without_anything_loads(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> None:
    empty = replace(
        contents,
        user_ids=(),
        items=contents.items.clear(),
        user_vectors=np.zeros((0, 0), np.float32),
        item_vectors=np.zeros((0, 0), np.float32),
        seen_indptr=np.zeros(1, np.int64),
        seen_items=np.zeros(0, np.int32),
    )
    store.write(VERSION, empty, draft.model_copy(update={"algorithm": "popularity"}))
    release = load_release(store.directory(VERSION))
    assert release.user_rows == release.item_rows == {}
    assert not release.catalogue.has_catalogue


def test_a_remote_release_needs_a_cache(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not in a local folder"):
        load_release(Lake.open("s3://bucket/lake", scratch=tmp_path).root / VERSION)


def test_optional_parts_come_back(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> None:
    fold_in = np.arange(6, dtype=np.float32).reshape(3, 2)
    items = contents.items.with_columns(vector_source=pl.Series(["model", "content", None]))
    store.write(VERSION, replace(contents, fold_in=fold_in, items=items), draft)
    store.verify(VERSION)
    release = load_release(store.directory(VERSION))
    assert np.array_equal(release.fold_in, fold_in)
    assert release.catalogue.from_content.tolist() == [False, True, False]


def test_a_release_from_before_the_optional_parts_loads_and_verifies(
    store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
) -> None:
    """As an older recsaas wrote it: no columns `vector_source`, `trending` and `listed_at`, no `fold_in.npy`."""
    store.write(VERSION, replace(contents, items=contents.items.drop("vector_source", "trending", "listed_at")), draft)
    folder = Path(store.directory(VERSION))
    pl.read_parquet(folder / "items.parquet").drop("vector_source", "trending", "listed_at").write_parquet(
        folder / "items.parquet"
    )
    manifest = store.manifest(VERSION)
    files = tuple(describe(folder / file.name) for file in manifest.files)
    (folder / "manifest.json").write_bytes(manifest.model_copy(update={"files": files}).to_json())
    store.verify(VERSION)
    release = load_release(folder)
    assert release.fold_in is None
    assert not release.catalogue.from_content.any()
    assert release.catalogue.has_vector.all()


def test_a_damaged_optional_file_is_named(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> None:
    store.write(VERSION, replace(contents, fold_in=np.zeros((3, 2), np.float32)), draft)
    path = Path(store.directory(VERSION)) / "fold_in.npy"
    np.save(path, np.ones((3, 2), np.float32))
    with pytest.raises(CorruptRelease, match=r"fold_in\.npy was changed"):
        load_release(path.parent)
    np.save(path, np.ones((2, 2), np.float32))
    with pytest.raises(CorruptRelease, match="release fold_in"):
        load_release(path.parent, verify=False)
    path.unlink()
    with pytest.raises(CorruptRelease, match=r"fold_in\.npy is missing"):
        store.verify(VERSION)


class TestItemTable:
    @pytest.fixture
    def with_table(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, table: ItemTable
    ) -> Path:
        nobody = {"user_vectors": np.zeros((0, 0), np.float32), "item_vectors": np.zeros((3, 0), np.float32)}
        by_table = draft.model_copy(update={"algorithm": "item_knn"})
        store.write(VERSION, replace(contents, item_table=table, **nobody), by_table)
        return Path(store.directory(VERSION))

    def test_it_comes_back_mapped(self, with_table: Path, table: ItemTable) -> None:
        loaded = load_release(with_table).item_table
        assert loaded is not None and isinstance(loaded.values.base, np.memmap)
        for name, array in table.arrays.items():
            np.testing.assert_array_equal(loaded.arrays[name], array)

    def test_it_is_counted(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, table: ItemTable
    ) -> None:
        sizes = []
        for number, each in enumerate((None, table)):
            version = new_version(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), f"{number:08x}")
            store.write(version, replace(contents, item_table=each), draft)
            sizes.append(load_release(store.directory(version)).bytes_in_memory)
        assert sizes[1] - sizes[0] == table.nbytes

    @pytest.mark.parametrize("file", TABLE_FILES.values())
    def test_a_part_that_is_missing_or_changed_is_named(self, with_table: Path, file: str) -> None:
        (with_table / file).write_bytes(b"damaged")
        with pytest.raises(CorruptRelease, match=f"{file} was changed"):
            load_release(with_table)
        with pytest.raises(CorruptRelease, match=f"{file} is missing or is not a readable array"):
            load_release(with_table, verify=False)
        (with_table / file).unlink()
        with pytest.raises(CorruptRelease, match=f"{file} is missing"):
            load_release(with_table)

    def test_what_does_not_fit_is_neither_written_nor_loaded(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, table: ItemTable, with_table: Path
    ) -> None:
        longer = replace(table, indptr=np.append(table.indptr, 3), prior=np.zeros(4, np.float32))
        with pytest.raises(CorruptArtifact, match="has 4 items and the release 3"):
            store.write(new_version(draft.created_at, "0000000a"), replace(contents, item_table=longer), draft)
        np.save(with_table / TABLE_FILES["items"], np.array([1, 3, 0], np.int32))
        with pytest.raises(CorruptRelease, match="item_table_items: names an item row that does not exist"):
            load_release(with_table, verify=False)

    def test_an_algorithm_that_needs_one_is_not_written_without(
        self, store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft
    ) -> None:
        with pytest.raises(CorruptArtifact, match="ease answers from one"):
            store.write(VERSION, contents, draft.model_copy(update={"algorithm": "ease"}))

    def test_a_copy_without_a_user_keeps_it(self, store: ReleaseStore, with_table: Path, draft: ManifestDraft) -> None:
        left = contents_without(read_contents(store.directory(VERSION)), "ann")
        version = new_version(draft.created_at, "0000000b")
        store.write(version, left, draft.model_copy(update={"algorithm": "item_knn"}))
        before, after = load_release(with_table).item_table, load_release(store.directory(version)).item_table
        assert before is not None and after is not None
        for name, array in before.arrays.items():
            np.testing.assert_array_equal(after.arrays[name], array)
