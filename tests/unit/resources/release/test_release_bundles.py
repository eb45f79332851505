"""The table of items that go together, and when items came into the shop, as parts of a release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resources.base.errors import CorruptArtifact, CorruptRelease
from resources.erasure.places.releases import contents_without, read_contents
from resources.release.contents import ReleaseContents
from resources.release.item_table import BUNDLE_FILES, ItemTable
from resources.release.load import load_release
from resources.release.manifest import BundleFigures, ManifestDraft, ReleaseManifest
from resources.release.store import ReleaseStore, new_version

FIGURES = BundleFigures(evidence="carts", baskets=7, pairs=3)


@pytest.fixture
def version(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, table: ItemTable) -> str:
    version = new_version(draft.created_at, "00000001")
    other = replace(table, values=table.values * 2)
    store.write(
        version, replace(contents, bundles=table, item_table=other), draft.model_copy(update={"bundles": FIGURES})
    )
    return version


def test_both_tables_come_back_each_as_itself(store: ReleaseStore, version: str, table: ItemTable) -> None:
    release = load_release(store.directory(version))
    assert release.manifest.bundles == FIGURES
    assert release.bundles is not None and isinstance(release.bundles.values.base, np.memmap)
    assert release.item_table is not None and not np.array_equal(release.item_table.values, table.values)
    for name, array in table.arrays.items():
        np.testing.assert_array_equal(release.bundles.arrays[name], array)
    store.verify(version)


def test_a_release_without_them_has_none(store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft) -> None:
    version = new_version(draft.created_at, "00000002")
    manifest = store.write(version, contents, draft)
    assert not {file.name for file in manifest.files} & set(BUNDLE_FILES.values())
    release = load_release(store.directory(version))
    assert release.bundles is None and release.manifest.bundles is None
    old = manifest.model_dump(mode="json")
    del old["bundles"]  # as a release was written before there were bundles
    assert ReleaseManifest.model_validate(old).bundles is None


@pytest.mark.parametrize("file", BUNDLE_FILES.values())
def test_a_part_that_is_missing_or_changed_is_named(store: ReleaseStore, version: str, file: str) -> None:
    path = Path(store.directory(version)) / file
    path.write_bytes(b"damaged")
    with pytest.raises(CorruptRelease, match=f"{file} was changed"):
        load_release(path.parent)
    path.unlink()
    with pytest.raises(CorruptRelease, match=f"{file} is missing"):
        load_release(path.parent, verify=False)


def test_a_table_of_other_items_is_not_written(
    store: ReleaseStore, contents: ReleaseContents, draft: ManifestDraft, table: ItemTable
) -> None:
    longer = replace(table, indptr=np.append(table.indptr, 3), prior=np.zeros(4, np.float32))
    with pytest.raises(CorruptArtifact, match="has 4 items and the release 3"):
        store.write(new_version(draft.created_at, "00000003"), replace(contents, bundles=longer), draft)


def test_a_copy_without_a_user_keeps_what_many_did(
    store: ReleaseStore, version: str, draft: ManifestDraft, table: ItemTable
) -> None:
    left = contents_without(read_contents(store.directory(version)), "ann")
    assert left.bundles is not None and left.user_ids == ("böb",)
    for name, array in table.arrays.items():
        np.testing.assert_array_equal(left.bundles.arrays[name], array)
    assert store.manifest(version).draft().bundles == FIGURES


def test_when_items_came_is_known_by_row(store: ReleaseStore, version: str) -> None:
    listed = load_release(store.directory(version)).catalogue.listed_at
    np.testing.assert_array_equal(listed, [20454.5, 20000.0, np.nan])
