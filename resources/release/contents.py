"""What a release holds beside its manifest: the file names, the columns, and the checks before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.base.errors import CorruptArtifact
from resources.release.item_table import BUNDLE_FILES, TABLE_FILES, ItemTable

MANIFEST = "manifest.json"
USER_IDS = "user_ids.parquet"
ITEMS = "items.parquet"
USER_VECTORS = "user_vectors.npy"
ITEM_VECTORS = "item_vectors.npy"
SEEN_INDPTR = "seen_indptr.npy"
SEEN_ITEMS = "seen_items.npy"
INDEX = "index.faiss"
EVALUATION_JSON = "evaluation.json"
EVALUATION_MARKDOWN = "evaluation.md"
EVALUATION_PLOT = "evaluation.png"
FOLD_IN = "fold_in.npy"
DISLIKED = "disliked.npy"
REPEATS = "repeats.npy"
SECOND_STAGE = "second_stage.txt"
SECOND_STAGE_USERS = "second_stage_users.npy"
SECOND_STAGE_ITEMS = "second_stage_items.npy"
SEQUENCE_ENCODER = "sequence_encoder.npz"
FILE_NAMES = (
    USER_IDS,
    ITEMS,
    USER_VECTORS,
    ITEM_VECTORS,
    SEEN_INDPTR,
    SEEN_ITEMS,
    INDEX,
    EVALUATION_JSON,
    EVALUATION_MARKDOWN,
)
"""Files of every release."""


@dataclass(frozen=True, slots=True)
class OptionalFile:
    """A file that a release may do without, and that older releases never have.

    Attributes:
        field: name of the attribute of `ReleaseContents`; `None` there means that the file is not written.
        rows: what its rows are: float32 `(n_users, …)` or `(n_items, …)`, int32 `(n, 2)` sorted pairs of a user row and
            an item row, float32 `(n_seen, …)` beside `seen_items`, or bytes that nothing here looks into.
    """

    field: str
    name: str
    rows: Literal["users", "items", "pairs", "seen", "bytes"]


OPTIONAL_FILES = (
    OptionalFile("fold_in", FOLD_IN, "items"),
    OptionalFile("disliked", DISLIKED, "pairs"),
    OptionalFile("repeats", REPEATS, "seen"),
    OptionalFile("second_stage", SECOND_STAGE, "bytes"),
    OptionalFile("second_stage_users", SECOND_STAGE_USERS, "users"),
    OptionalFile("second_stage_items", SECOND_STAGE_ITEMS, "items"),
    OptionalFile("evaluation_plot", EVALUATION_PLOT, "bytes"),
    OptionalFile("sequence_encoder", SEQUENCE_ENCODER, "bytes"),
)

ITEM_SCHEMA = {
    "item_row": pl.Int32,
    "item_id": pl.String,
    "title": pl.String,
    "category": pl.String,
    "brand": pl.String,
    "price": pl.Float64,
    "tags": pl.String,
    "image_url": pl.String,
    "available": pl.Boolean,
    "in_catalogue": pl.Boolean,
    "popularity": pl.Float64,
    "has_vector": pl.Boolean,
    "vector_source": pl.String,
    "trending": pl.Float64,
    "listed_at": pl.Float64,
}
OPTIONAL_COLUMNS = ("vector_source", "trending", "listed_at")
"""Columns that older releases do not have; they are null there."""


@dataclass(frozen=True, slots=True)
class ReleaseContents:
    """Arrays and tables of one release, before they are files.

    Attributes:
        user_ids: the user of each user row.
        items: `ITEM_SCHEMA`, one row per item row, sorted by `item_row` = 0, 1, 2, … `vector_source` says where a
            vector comes from: "content", or learned from interactions ("model" or null); `listed_at` is when the item
            came into the shop, in days since 1970 UTC.
        user_vectors: `(n_users, dim)` float32; a user without a vector has zeros. `(0, dim)` when nobody has one.
        item_vectors: `(n_items, dim)` float32; zeros where `has_vector` is false. `(n_items, 0)` without a model.
        seen_indptr: `(n_users + 1,)` int64; user row `u` has `seen_items[seen_indptr[u]:seen_indptr[u + 1]]`.
        seen_items: int32 item rows, each user's most recent last.
        index_bytes: the serialised FAISS index over `item_vectors`, position = item row.
        fold_in: `(n_items, t)` float32, t ≤ dim: what an event with the item adds to the vector of a user who has
            none, see `resources.ranker.fold_in`.
        disliked: `(n, 2)` int32 rows of users and of items they said they do not like, sorted; never answered to them,
            and, other than `seen_items`, never a reason.
        repeats: `(n_seen, 3)` float32 beside `seen_items`: when each of them comes again, see
            `resources.ranker.retrieval.repeats`; needs the manifest's `repeats`.
        second_stage: trees that order the first candidates, see `resources.ranker.second_stage`, with the features of
            the users `(n_users, fu)` and the items `(n_items, fi)`, float32. All three or none.
        sequence_encoder: of a sequence model, see `resources.release.sequence_encoder`; it reads rows of `fold_in`.
        item_table: what answers when the algorithm is one of `TABLE_ALGORITHMS`; with vectors, what the second stage
            finds more candidates in.
        bundles: what an item in a basket says for the others, see `resources.ranker.baskets`; the prior is zero.
    """

    user_ids: tuple[str, ...]
    items: pl.DataFrame
    user_vectors: NDArray[np.float32]
    item_vectors: NDArray[np.float32]
    seen_indptr: NDArray[np.int64]
    seen_items: NDArray[np.int32]
    index_bytes: bytes
    evaluation_json: str
    evaluation_markdown: str
    fold_in: NDArray[np.float32] | None = None
    disliked: NDArray[np.int32] | None = None
    repeats: NDArray[np.float32] | None = None
    second_stage: bytes | None = None
    second_stage_users: NDArray[np.float32] | None = None
    second_stage_items: NDArray[np.float32] | None = None
    evaluation_plot: bytes | None = None
    sequence_encoder: bytes | None = None
    item_table: ItemTable | None = None
    bundles: ItemTable | None = None

    @property
    def file_names(self) -> tuple[str, ...]:
        """Every file that `write_files` writes."""
        optional = (file.name for file in OPTIONAL_FILES if getattr(self, file.field) is not None)
        return (*FILE_NAMES, *optional, *(file for file, _ in self._table_files()))

    def check(self) -> None:
        """Refuse contents that do not fit together.

        Raises:
            CorruptArtifact: names the part that does not fit.
        """
        _check_items(self.items)
        if len(set(self.user_ids)) != len(self.user_ids):
            raise CorruptArtifact("release user_ids: an id is there twice; build the training set again.")
        check_arrays(
            self.user_vectors,
            self.item_vectors,
            self.seen_indptr,
            self.seen_items,
            n_users=len(self.user_ids),
            n_items=self.items.height,
        )
        optional = {file.field: getattr(self, file.field) for file in OPTIONAL_FILES if file.rows != "bytes"}
        check_optional_arrays(
            optional, n_users=len(self.user_ids), n_items=self.items.height, n_seen=len(self.seen_items)
        )
        for table in (self.item_table, self.bundles):
            check_item_table(table, n_items=self.items.height)
        for name, vectors in {
            "user_vectors": self.user_vectors,
            "item_vectors": self.item_vectors,
            **optional,
        }.items():
            if vectors is not None and not np.isfinite(vectors).all():
                raise CorruptArtifact(f"release {name}: a value is not finite; train the model again.")

    def write_files(self, folder: Path) -> None:
        """Write every file except the manifest into `folder`."""
        rows = np.arange(len(self.user_ids), dtype=np.int32)
        users = pl.DataFrame({"user_row": rows, "user_id": pl.Series(self.user_ids, dtype=pl.String)})
        users.write_parquet(folder / USER_IDS)
        items = with_optional_columns(self.items)
        items.select(pl.col(name).cast(dtype) for name, dtype in ITEM_SCHEMA.items()).write_parquet(folder / ITEMS)
        for name, array in (
            (USER_VECTORS, self.user_vectors),
            (ITEM_VECTORS, self.item_vectors),
            (SEEN_INDPTR, self.seen_indptr),
            (SEEN_ITEMS, self.seen_items),
        ):
            np.save(folder / name, np.ascontiguousarray(array), allow_pickle=False)
        for file in OPTIONAL_FILES:
            content = getattr(self, file.field)
            if isinstance(content, bytes):
                (folder / file.name).write_bytes(content)
            elif content is not None:
                np.save(folder / file.name, np.ascontiguousarray(content), allow_pickle=False)
        for name, array in self._table_files():
            np.save(folder / name, np.ascontiguousarray(array), allow_pickle=False)
        (folder / INDEX).write_bytes(self.index_bytes)
        (folder / EVALUATION_JSON).write_text(self.evaluation_json, encoding="utf-8")
        (folder / EVALUATION_MARKDOWN).write_text(self.evaluation_markdown, encoding="utf-8")

    def _table_files(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for table, files in ((self.item_table, TABLE_FILES), (self.bundles, BUNDLE_FILES)):
            if table is not None:
                yield from ((files[name], array) for name, array in table.arrays.items())


def check_arrays(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
    *,
    n_users: int,
    n_items: int,
) -> None:
    """Refuse arrays whose types, shapes or row numbers do not fit together.

    Raises:
        CorruptArtifact: names the array.
    """
    for name, array, dtype, ndim in (
        ("user_vectors", user_vectors, np.float32, 2),
        ("item_vectors", item_vectors, np.float32, 2),
        ("seen_indptr", seen_indptr, np.int64, 1),
        ("seen_items", seen_items, np.int32, 1),
    ):
        if array.dtype != dtype or array.ndim != ndim:
            raise CorruptArtifact(
                f"release {name}: has type {array.dtype} and {array.ndim} dimensions, "
                f"expected {np.dtype(dtype)} and {ndim}; build the release again."
            )
    if user_vectors.shape[0] not in (0, n_users) or user_vectors.shape[1] != item_vectors.shape[1]:
        raise CorruptArtifact(
            f"release user_vectors: shape {user_vectors.shape} does not fit {n_users} users and item vectors of "
            f"shape {item_vectors.shape}; build the release again."
        )
    if item_vectors.shape[0] != n_items:
        raise CorruptArtifact(
            f"release item_vectors: shape {item_vectors.shape} does not fit {n_items} items; build the release again."
        )
    if seen_indptr.size != n_users + 1 or seen_indptr[0] != 0 or seen_indptr[-1] != seen_items.size:
        raise CorruptArtifact(f"release seen_indptr: does not fit {n_users} users; build the release again.")
    if (np.diff(seen_indptr) < 0).any():
        raise CorruptArtifact("release seen_indptr: decreases; build the release again.")
    if seen_items.size and (seen_items.min() < 0 or seen_items.max() >= n_items):
        raise CorruptArtifact("release seen_items: names an item row that does not exist; build the release again.")


def check_optional_arrays(arrays: dict[str, NDArray[Any] | None], *, n_users: int, n_items: int, n_seen: int) -> None:
    """Refuse optional arrays, by field, whose type or number of rows does not fit; `None` fits.

    Raises:
        CorruptArtifact: names the array.
    """
    for file in OPTIONAL_FILES:
        array = arrays.get(file.field)
        if array is None:
            continue
        if file.rows == "pairs":
            _check_pairs(file.field, array, n_users=n_users, n_items=n_items)
            continue
        rows = {"users": n_users, "seen": n_seen}.get(file.rows, n_items)
        if array.dtype != np.float32 or array.ndim != 2 or len(array) != rows:
            raise CorruptArtifact(
                f"release {file.field}: type {array.dtype} and shape {array.shape} do not fit {rows} {file.rows}; "
                "build the release again."
            )


def check_item_table(table: ItemTable | None, *, n_items: int) -> None:
    """Refuse a table that is none, or of another number of items; `None` fits.

    Raises:
        CorruptArtifact: names the array.
    """
    if table is None:
        return
    table.check()
    if table.n_items != n_items:
        raise CorruptArtifact(
            f"release item_table_prior: has {table.n_items} items and the release {n_items}; build the release again."
        )


def _check_pairs(name: str, pairs: NDArray[Any], *, n_users: int, n_items: int) -> None:
    fits = pairs.dtype == np.int32 and pairs.ndim == 2 and pairs.shape[1] == 2
    if not fits or (pairs < 0).any() or (pairs >= (n_users, n_items)).any() or (np.diff(pairs[:, 0]) < 0).any():
        raise CorruptArtifact(
            f"release {name}: does not pair rows of {n_users} users and {n_items} items; build the release again."
        )


def with_optional_columns(items: pl.DataFrame) -> pl.DataFrame:
    """Return the item table with null in the columns that it is too old to have."""
    missing = [name for name in OPTIONAL_COLUMNS if name not in items.columns]
    return items.with_columns(pl.lit(None, ITEM_SCHEMA[name]).alias(name) for name in missing)


def known_names(names: Collection[str]) -> tuple[str, ...]:
    """Return the files to expect in a release whose manifest lists `names`: the required, and the optional ones."""
    optional = (*(file.name for file in OPTIONAL_FILES), *TABLE_FILES.values(), *BUNDLE_FILES.values())
    return (*FILE_NAMES, *(name for name in optional if name in names))


def _check_items(items: pl.DataFrame) -> None:
    missing = [name for name in ITEM_SCHEMA if name not in (*items.columns, *OPTIONAL_COLUMNS)]
    if missing:
        raise CorruptArtifact(f"release items: column {missing[0]} is missing; build the release again.")
    if not (items["item_row"].cast(pl.Int64) == pl.int_range(items.height, eager=True)).all():
        raise CorruptArtifact("release items: item_row must count 0, 1, 2, …; build the release again.")
    if items["item_id"].null_count() or items["item_id"].n_unique() != items.height:
        raise CorruptArtifact("release items: an item_id is missing or there twice; build the release again.")
    for name in ("in_catalogue", "has_vector"):
        if items[name].null_count():
            raise CorruptArtifact(f"release items: {name} must not be null; build the release again.")
