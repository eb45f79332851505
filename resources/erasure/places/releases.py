"""A user in releases: each release that knows them is copied without them, and the copy takes its place."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from upath import UPath

from resources.base.errors import CorruptRelease
from resources.erasure.places.matching import count_in_table, rows_of
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.release.contents import (
    DISLIKED,
    EVALUATION_JSON,
    EVALUATION_MARKDOWN,
    INDEX,
    ITEM_VECTORS,
    ITEMS,
    OPTIONAL_FILES,
    SEEN_INDPTR,
    SEEN_ITEMS,
    USER_IDS,
    USER_VECTORS,
    ReleaseContents,
)
from resources.release.folder import describe
from resources.release.item_table import BUNDLE_FILES, TABLE_FILES, ItemTable
from resources.release.manifest import Derivation, ReleaseManifest
from resources.release.store import ReleaseStore, ReleaseSummary
from resources.storage.lake import read_bytes, read_parquet

_STAMP = len("20250601T120000Z-")


def traces_in_releases(subject: Subject) -> Iterator[Trace]:
    """Look at every release. One that cannot be read may hold the user, so it is removed.

    Raises:
        CorruptRelease: the live release cannot be read; another one has to be promoted first.
    """
    store = ReleaseStore(subject.folder)
    for summary in reversed(store.list()):  # the oldest first: what it replaces has its new name by then
        version = summary.version
        try:
            rows = _rows(store, summary, subject.user_id)
        except CorruptRelease:
            if summary.is_current:
                raise
            done = "removed, because it is damaged and may hold the user"
            yield Trace(UserData(place=f"releases/{version}", rows=0, done=done), partial(store.remove, version))
            continue
        if rows:
            copy = copy_name(version, subject.work_id)
            done = f"replaced by {copy}, which has neither the user's id nor vector nor history"
            finding = UserData(place=f"releases/{version}", rows=rows, done=done)
            yield Trace(finding, partial(_replace, store, version, copy, subject), retrain=True)


def releases_with(store: ReleaseStore, user_id: str) -> tuple[ReleaseManifest, ...]:
    """Manifests of the releases that know the user, oldest first; those that cannot be read are left out."""
    found = []
    for summary in reversed(store.list()):
        if summary.manifest is not None and count_in_table(store.directory(summary.version) / USER_IDS, user_id):
            found.append(summary.manifest)
    return tuple(found)


def seen_items_in(directory: UPath, user_id: str) -> tuple[str, ...]:
    """Items that a release knows the user to have met: those the user dislikes, then the others, most recent last."""
    known = read_parquet(directory / USER_IDS).select(rows_of(user_id).arg_true()).to_series().to_list()
    if not known:
        return ()
    row = known[0]
    start, end = _array(directory / SEEN_INDPTR)[row : row + 2]
    rows = _array(directory / SEEN_ITEMS)[start:end]
    if (directory / DISLIKED).exists():
        disliked = _array(directory / DISLIKED)
        rows = np.concatenate([disliked[disliked[:, 0] == row, 1], rows])
    items = read_parquet(directory / ITEMS)["item_id"]
    return tuple(items[int(item)] for item in rows)


def copy_name(version: str, work_id: str) -> str:
    """Version of the copy: it sorts where the release did, and the same work finds it again after a crash."""
    return version[:_STAMP] + hashlib.sha256(f"{work_id}:{version}".encode()).hexdigest()[:8]


def read_contents(directory: UPath) -> ReleaseContents:
    """Read the files of a release that was verified."""
    optional: dict[str, Any] = {}
    for file in OPTIONAL_FILES:
        if (directory / file.name).exists():
            path = directory / file.name
            optional[file.field] = read_bytes(path) if file.rows == "bytes" else _array(path)
    for field, files in (("item_table", TABLE_FILES), ("bundles", BUNDLE_FILES)):
        if all((directory / name).exists() for name in files.values()):
            optional[field] = ItemTable.of({part: _array(directory / name) for part, name in files.items()})
    return ReleaseContents(
        user_ids=tuple(read_parquet(directory / USER_IDS)["user_id"].to_list()),
        items=read_parquet(directory / ITEMS),
        user_vectors=_array(directory / USER_VECTORS),
        item_vectors=_array(directory / ITEM_VECTORS),
        seen_indptr=_array(directory / SEEN_INDPTR),
        seen_items=_array(directory / SEEN_ITEMS),
        index_bytes=read_bytes(directory / INDEX),
        evaluation_json=read_bytes(directory / EVALUATION_JSON).decode(),
        evaluation_markdown=read_bytes(directory / EVALUATION_MARKDOWN).decode(),
        **optional,
    )


def contents_without(contents: ReleaseContents, user_id: str) -> ReleaseContents:
    """The contents with the user's rows taken out of ids, vectors, histories and dislikes; items and index stay.

    There are two in a release that an earlier version made from two forms of the id.
    """
    rows = pl.DataFrame({"user_id": contents.user_ids}).select(rows_of(user_id).arg_true()).to_series()
    for row in reversed(rows.to_list()):
        contents = _without_row(contents, row)
    return contents


def _without_row(contents: ReleaseContents, row: int) -> ReleaseContents:
    start, end = contents.seen_indptr[row : row + 2]
    indptr = np.delete(contents.seen_indptr, row + 1)
    indptr[row + 1 :] -= end - start
    of_users = {
        file.field: np.delete(getattr(contents, file.field), row, axis=0)
        for file in OPTIONAL_FILES
        if file.rows == "users" and getattr(contents, file.field) is not None
    }
    disliked = contents.disliked
    if disliked is not None:
        disliked = disliked[disliked[:, 0] != row]
        disliked[:, 0] -= disliked[:, 0] > row
    vectors, repeats = contents.user_vectors, contents.repeats
    return replace(
        contents,
        user_ids=contents.user_ids[:row] + contents.user_ids[row + 1 :],
        user_vectors=np.delete(vectors, row, axis=0) if len(vectors) else vectors,
        seen_indptr=indptr,
        seen_items=np.delete(contents.seen_items, np.s_[start:end]),
        disliked=disliked,
        repeats=None if repeats is None else np.delete(repeats, np.s_[start:end], axis=0),
        **of_users,
    )


def _rows(store: ReleaseStore, summary: ReleaseSummary, user_id: str) -> int:
    """Rows of the user: none, or some in a release whose every byte is as it was written."""
    if summary.manifest is None:
        raise CorruptRelease(summary.problem or f"release {summary.version} cannot be read.")
    users = store.directory(summary.version) / USER_IDS
    try:
        intact = describe(users) in summary.manifest.files
    except FileNotFoundError:
        intact = False
    rows = count_in_table(users, user_id) if intact else 0
    if rows or not intact:
        store.verify(summary.version)
    return rows


def _replace(store: ReleaseStore, version: str, copy: str, subject: Subject) -> None:
    if not _is_there(store, copy):
        manifest = store.verify(version)
        derived = Derivation(release=version, erasure=subject.work_id)
        replaces = manifest.replaces and _renamed(store, manifest.replaces, subject.work_id)
        draft = manifest.draft().model_copy(update={"derived_from": derived, "replaces": replaces})
        contents = contents_without(read_contents(store.directory(version)), subject.user_id)
        store.write(copy, contents, draft)
    store.replace(version, copy)


def _is_there(store: ReleaseStore, copy: str) -> bool:
    return any(summary.version == copy and summary.problem is None for summary in store.list())


def _renamed(store: ReleaseStore, version: str, work_id: str) -> str:
    """The name that an older release has got or will get, when it is known that it does."""
    copy = copy_name(version, work_id)
    return copy if any(summary.version == copy for summary in store.list()) else version


def _array(path: UPath) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    return array
