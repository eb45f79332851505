"""Load a release for answering: memory-mapped arrays, id maps built once, the catalogue in columns."""

from __future__ import annotations

import os
import shutil
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from upath import UPath

from resources.base.errors import ConfigurationError, CorruptArtifact, CorruptRelease
from resources.release.catalogue import Catalogue
from resources.release.contents import (
    ITEM_SCHEMA,
    ITEM_VECTORS,
    ITEMS,
    MANIFEST,
    OPTIONAL_FILES,
    SEEN_INDPTR,
    SEEN_ITEMS,
    SEQUENCE_ENCODER,
    USER_IDS,
    USER_VECTORS,
    check_arrays,
    check_item_table,
    check_optional_arrays,
    known_names,
    with_optional_columns,
)
from resources.release.item_table import BUNDLE_FILES, TABLE_FILES, ItemTable
from resources.release.manifest import TABLE_ALGORITHMS, ReleaseManifest
from resources.release.sequence_encoder import SequenceEncoder
from resources.release.verified import verify_once
from resources.storage.disk import work_folder
from resources.storage.lake import fetch_file, local_path

_COPIES_KEPT = 3  # the live one, the one before it, and the one that is being loaded


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """One release in memory; read-only, so that any number of threads may share it.

    The arrays are those of `ReleaseContents`, memory-mapped: pages are read when used and shared between workers. An
    optional one is `None` when the release does not have it.
    """

    manifest: ReleaseManifest
    directory: Path
    user_rows: dict[str, int]
    item_rows: dict[str, int]
    catalogue: Catalogue
    user_vectors: NDArray[np.float32]
    item_vectors: NDArray[np.float32]
    seen_indptr: NDArray[np.int64]
    seen_items: NDArray[np.int32]
    bytes_in_memory: int
    fold_in: NDArray[np.float32] | None = None
    disliked: NDArray[np.int32] | None = None
    repeats: NDArray[np.float32] | None = None
    second_stage_users: NDArray[np.float32] | None = None
    second_stage_items: NDArray[np.float32] | None = None
    item_table: ItemTable | None = None
    bundles: ItemTable | None = None
    sequence_encoder: SequenceEncoder | None = None

    @property
    def version(self) -> str:
        """Version of the release."""
        return self.manifest.version

    def user_vector(self, user_id: str | None) -> NDArray[np.float32] | None:
        """Return the user's vector `(dim,)`; `None` for an unknown user and for one without a vector."""
        row = self.user_rows.get(user_id) if user_id is not None else None
        if row is None or row >= len(self.user_vectors):
            return None
        vector = self.user_vectors[row]
        return vector if np.count_nonzero(vector) else None  # a fifth of the time of `any`

    def history(self, user_id: str | None) -> NDArray[np.int32]:
        """Return the item rows that the user has interacted with, most recent last; empty for an unknown user."""
        row = self.user_rows.get(user_id) if user_id is not None else None
        if row is None:
            return self.seen_items[:0]
        return self.seen_items[self.seen_indptr[row] : self.seen_indptr[row + 1]]

    def repeats_of(self, user_id: str | None) -> NDArray[np.float32] | None:
        """Return what is known of when each item of `history` comes again, `(n, 3)`; `None` where nothing does."""
        row = self.user_rows.get(user_id) if user_id is not None else None
        if row is None or self.repeats is None or self.manifest.repeats is None:
            return None
        return self.repeats[self.seen_indptr[row] : self.seen_indptr[row + 1]]

    def disliked_items(self, user_row: int | None) -> NDArray[np.int32]:
        """Return the item rows that the user in this row, `None` for an unknown one, has said not to like."""
        if self.disliked is None or user_row is None:
            return self.seen_items[:0]
        users = self.disliked[:, 0]  # a view that np.searchsorted would copy whole
        start = bisect_left(users, user_row)
        return self.disliked[start : bisect_right(users, user_row, lo=start), 1]


def load_release(
    directory: Path | UPath, *, verify: bool = True, cache: Path | None = None, marks: Path | None = None
) -> LoadedRelease:
    """Load the release in `directory`.

    `verify` compares every byte with the manifest first. A directory in an object store is copied into the folder
    `cache` (one per tenant, `ReleaseStore.cache`) once, because an array can only be mapped from a local file; a copy
    that turns out damaged is made anew, and all but the newest three go. With `marks` (`ReleaseStore.marks`) the bytes
    are read once per machine and not by every process, see `resources.release.verified`.

    Raises:
        CorruptRelease: a file is missing, changed, or does not fit the others; the message names it.
        ConfigurationError: `directory` is not local and there is no `cache`.
    """
    name = f"release {directory.name}"
    folder = local_path(directory)
    if folder is not None:
        manifest = _manifest(folder, name)
        if verify:
            verify_once(folder, manifest, marks)
    else:
        folder, manifest = _cached(directory, cache, name, marks)
    users = _table(folder, USER_IDS, {"user_row": pl.Int32, "user_id": pl.String}, name)
    items = _table(folder, ITEMS, ITEM_SCHEMA, name)
    user_ids: list[str] = users["user_id"].to_list()
    item_ids: list[str] = items["item_id"].to_list()
    arrays = [_array(folder, file, name) for file in (USER_VECTORS, ITEM_VECTORS, SEEN_INDPTR, SEEN_ITEMS)]
    listed = {file.name for file in manifest.files}
    present = [file for file in OPTIONAL_FILES if file.rows != "bytes" and file.name in listed]
    optional = {file.field: _array(folder, file.name, name) for file in present}
    table, bundles = _item_table(folder, manifest, name), _bundles(folder, listed, name)
    try:
        encoder = _sequence_encoder(folder, manifest, optional.get("fold_in"), name)
        check_arrays(*arrays, n_users=len(user_ids), n_items=len(item_ids))
        check_optional_arrays({**optional}, n_users=len(user_ids), n_items=len(item_ids), n_seen=len(arrays[-1]))
        check_item_table(table, n_items=len(item_ids))
        check_item_table(bundles, n_items=len(item_ids))
    except CorruptArtifact as error:
        raise CorruptRelease(f"{name} of tenant {manifest.tenant}: {error.message}") from error
    catalogue = Catalogue(items, by_table=manifest.algorithm in TABLE_ALGORITHMS)
    return LoadedRelease(
        manifest=manifest,
        directory=folder,
        user_rows=dict(zip(user_ids, range(len(user_ids)), strict=True)),
        item_rows=dict(zip(item_ids, range(len(item_ids)), strict=True)),
        catalogue=catalogue,
        **dict(zip(("user_vectors", "item_vectors", "seen_indptr", "seen_items"), arrays, strict=True)),
        bytes_in_memory=catalogue.bytes_in_memory
        + _id_map_bytes(users["user_id"])
        + _id_map_bytes(items["item_id"])
        + sum(array.nbytes for array in (*arrays, *optional.values()))
        + sum(part.nbytes for part in (table, bundles, encoder) if part is not None),
        item_table=table,
        bundles=bundles,
        sequence_encoder=encoder,
        **optional,
    )


def _manifest(folder: Path, name: str) -> ReleaseManifest:
    try:
        return ReleaseManifest.from_json((folder / MANIFEST).read_bytes(), name=name)
    except FileNotFoundError as error:
        raise CorruptRelease(f"{name}: {MANIFEST} is missing. {_NEXT_STEP}") from error


def _table(folder: Path, file: str, schema: dict[str, Any], name: str) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(folder / file, memory_map=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CorruptRelease(f"{name}: {file} is missing or is not readable Parquet. {_NEXT_STEP}") from error
    if file == ITEMS:
        frame = with_optional_columns(frame)
    if frame.schema != pl.Schema(schema):
        raise CorruptRelease(f"{name}: {file} does not have the columns of this format. {_NEXT_STEP}")
    return frame


def _array(folder: Path, file: str, name: str) -> NDArray[Any]:
    try:
        mapped = np.load(folder / file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CorruptRelease(f"{name}: {file} is missing or is not a readable array. {_NEXT_STEP}") from error
    return np.asarray(mapped)  # a plain view of the same pages: slicing np.memmap is several times slower


def _item_table(folder: Path, manifest: ReleaseManifest, name: str) -> ItemTable | None:
    """Map the table of a release; `None` when it has none and none is needed."""
    listed = {file.name for file in manifest.files}
    if listed.isdisjoint(TABLE_FILES.values()) and manifest.algorithm not in TABLE_ALGORITHMS:
        return None
    return ItemTable.of({array: _array(folder, file, name) for array, file in TABLE_FILES.items()})


def _bundles(folder: Path, listed: set[str], name: str) -> ItemTable | None:
    if listed.isdisjoint(BUNDLE_FILES.values()):
        return None
    return ItemTable.of({array: _array(folder, file, name) for array, file in BUNDLE_FILES.items()})


def _sequence_encoder(
    folder: Path, manifest: ReleaseManifest, inputs: NDArray[Any] | None, name: str
) -> SequenceEncoder | None:
    """Read the encoder of a sequence model, whose inputs are `fold_in`; `None` for every other model."""
    if manifest.algorithm != "sequence":
        return None
    try:
        data = (folder / SEQUENCE_ENCODER).read_bytes()
    except OSError as error:
        raise CorruptRelease(f"{name}: {SEQUENCE_ENCODER} is missing or cannot be read. {_NEXT_STEP}") from error
    return SequenceEncoder.from_bytes(data, width=0 if inputs is None else inputs.shape[-1])


def _cached(directory: Path | UPath, cache: Path | None, name: str, marks: Path | None) -> tuple[Path, ReleaseManifest]:
    """Return the verified copy of a release of an object store in `cache/<version>`, made when there is none."""
    if cache is None:
        raise ConfigurationError(f"{name} is not in a local folder; set a folder to cache it in.")
    target = cache / directory.name
    if target.is_dir():
        try:
            manifest = _manifest(target, name)
            verify_once(target, manifest, marks)
        except CorruptRelease:
            shutil.rmtree(target, ignore_errors=True)
        else:
            os.utime(target)
            return target, manifest
    with work_folder(cache, "fetching") as staging:
        _fetch(directory, MANIFEST, staging / "copy", name)
        manifest = _manifest(staging / "copy", name)
        for file in known_names({file.name for file in manifest.files}):
            _fetch(directory, file, staging / "copy", name)
        verify_once(staging / "copy", manifest, marks)  # a folder that is moved keeps what the mark holds
        try:
            (staging / "copy").rename(target)
        except OSError:
            if not target.is_dir():  # else another process was quicker with the same immutable files
                raise
    copies = [path for path in cache.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for old in sorted(copies, key=lambda path: path.stat().st_mtime, reverse=True)[_COPIES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)  # what is mapped from it stays mapped
    return target, manifest


def _fetch(directory: Path | UPath, file: str, target: Path, name: str) -> None:
    try:
        fetch_file(directory / file, target / file)
    except FileNotFoundError as error:
        raise CorruptRelease(f"{name}: {file} is missing. {_NEXT_STEP}") from error


def _id_map_bytes(ids: pl.Series) -> int:
    """Estimate a dict of ids: about 50 bytes a string object, its text, and about 100 for its place in the dict."""
    return 150 * len(ids) + int(ids.str.len_bytes().sum() or 0)


_NEXT_STEP = "Promote another release, or run the tenant's pipeline again."
