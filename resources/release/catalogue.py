"""The items of a loaded release: filtering is arithmetic on arrays, and a card is made only when it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.release.category_paths import CategoryPaths, fold

_CARD_LIMIT = 20_000
_FEW_CODES = 12
"""So many categories are found faster one by one than all at once."""
_CARD_COLUMNS = ("item_id", "title", "category", "brand", "price", "image_url")


@dataclass(frozen=True, slots=True)
class ItemCard:
    """An item as an answer shows it; everything but the id may be unknown."""

    item_id: str
    title: str | None
    category: str | None
    brand: str | None
    price: float | None
    image_url: str | None


@dataclass(frozen=True, slots=True)
class Codes:
    """A text column as numbers: `codes` (n_items,) int32, −1 for null; `of` maps the folded text to its number."""

    codes: NDArray[np.int32]
    of: dict[str, int]


@dataclass(frozen=True, slots=True)
class Postings:
    """A column of sets as lists of rows: tag number `t` is on `rows[starts[t]:starts[t + 1]]`."""

    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    of: dict[str, int]


class Catalogue:
    """Columns of `items.parquet`, all `(n_items,)` in item-row order.

    Attributes:
        price: float64, NaN where unknown.
        available, in_catalogue, has_vector: bool; an unknown availability counts as available.
        from_content: bool, the items whose vector was not learned but made from the columns of the catalogue.
        ranked: bool, the items that the model ranks: those with a vector; in a release that answers from an item table
            (`by_table`) those that were met when it was fitted.
        popularity: float64 ≥ 0, unknown counts as 0; `most_popular` is the greatest.
        popular_rows: int32, every item row, most popular first, ties by row.
        trending_rows: int32, the rows in the upper half by popularity whose interactions grow, the fastest first; empty
            for a release without this signal.
        popular_in_category, popular_overall: bool, whether the item has interactions and is in the upper half of its
            category, or of the shop, by popularity.
        category_paths: the categories as a tree; `category_separator` is what stands between the parts of a path, found
            from the categories when it is not given.
        has_catalogue: whether the tenant ever uploaded items; without a catalogue ids are served as they are.
    """

    def __init__(self, frame: pl.DataFrame, *, category_separator: str | None = None, by_table: bool = False) -> None:
        self._frame = frame.select(*_CARD_COLUMNS, "tags")
        self._cards: dict[int, ItemCard] = {}
        self._cards_lock = Lock()
        self.size = frame.height
        self.price: NDArray[np.float64] = frame["price"].fill_null(float("nan")).to_numpy().astype(np.float64)
        self.available = _flags(frame["available"].fill_null(True))
        self.in_catalogue = _flags(frame["in_catalogue"])
        self.has_vector = _flags(frame["has_vector"])
        self.from_content = self.has_vector & _flags(frame["vector_source"].eq_missing("content"))
        self.ranked = self.has_vector & ~self.from_content if by_table else self.has_vector
        self.has_catalogue = bool(self.in_catalogue.any())
        popularity = frame["popularity"].fill_null(0.0).fill_nan(0.0).clip(lower_bound=0.0)
        self.popularity: NDArray[np.float64] = popularity.to_numpy().astype(np.float64)
        self.most_popular = float(self.popularity.max(initial=0.0))
        self.popular_rows: NDArray[np.int32] = np.argsort(-self.popularity, kind="stable").astype(np.int32)
        self.category = _codes(frame["category"])
        self.category_paths = CategoryPaths(self.category.of, separator=category_separator)
        self.brand = _codes(frame["brand"])
        self.tags = _postings(frame["tags"])
        self.popular_overall = _upper_half(self.popularity, np.zeros(self.size, dtype=np.int32))
        self.popular_in_category = _upper_half(self.popularity, self.category.codes)
        growth: NDArray[np.float64] = frame["trending"].fill_null(0.0).fill_nan(0.0).to_numpy().astype(np.float64)
        fastest = np.argsort(-growth, kind="stable").astype(np.int32)
        self.trending_rows = fastest[(growth > 0)[fastest] & self.popular_overall[fastest]]

    def in_category(self, text: str) -> NDArray[np.bool_]:
        """Return `(n_items,)` bool: the items of a category, and of those below it where categories are paths."""
        of, codes = self.category.of, self.category.codes
        wanted = [of[each] for each in self.category_paths.below(text)]
        mask = np.zeros(self.size, dtype=np.bool_)
        if len(wanted) <= _FEW_CODES:
            for code in wanted:
                mask |= codes == code
            return mask
        chosen = np.zeros(len(of) + 1, dtype=np.bool_)  # the last one is of items without a category, whose code is −1
        chosen[wanted] = True
        mask |= chosen[codes]
        return mask

    def tags_of(self, row: int) -> str | None:
        """Return the item's tags as the upload wrote them, separated by the vertical bar."""
        tags: str | None = self._frame["tags"][row]
        return tags

    def item_ids(self, rows: NDArray[np.integer]) -> list[str]:
        """Return the ids of the items in `rows`, `(n,)`."""
        found: list[str] = self._frame["item_id"].gather(rows).to_list()
        return found

    def card(self, row: int) -> ItemCard:
        """Return what to show of the item in `row`; the 20,000 cards made last are kept."""
        card = self._cards.get(row)
        if card is None:
            card = ItemCard(*self._frame.row(row)[: len(_CARD_COLUMNS)])
            with self._cards_lock:
                if len(self._cards) >= _CARD_LIMIT:
                    del self._cards[next(iter(self._cards))]
                self._cards[row] = card
        return card

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the columns, the arrays, and the cards when all that may be kept are."""
        arrays: tuple[NDArray[Any], ...] = (
            self.price,
            self.available,
            self.in_catalogue,
            self.has_vector,
            self.from_content,
            *(() if self.ranked is self.has_vector else (self.ranked,)),
            self.popularity,
            self.popular_rows,
            self.trending_rows,
            self.category.codes,
            self.brand.codes,
            self.tags.rows,
            self.tags.starts,
            self.popular_overall,
            self.popular_in_category,
        )
        texts = 3 * len(self.category.of) + len(self.brand.of) + len(self.tags.of)
        cards = min(self.size, _CARD_LIMIT)
        return int(self._frame.estimated_size()) + sum(array.nbytes for array in arrays) + 150 * texts + 500 * cards


def _flags(column: pl.Series) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(), dtype=np.bool_)


def _codes(column: pl.Series) -> Codes:
    numbers, of = _numbered(column)
    return Codes(codes=numbers, of=of)


def _numbered(column: pl.Series) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Number the distinct folded texts in order of first appearance; null and blank get −1."""
    distinct = column.drop_nulls().unique(maintain_order=True)
    of: dict[str, int] = {}
    numbers = []
    for text in distinct.to_list():
        folded = fold(text)
        numbers.append(of.setdefault(folded, len(of)) if folded else -1)
    coded = column.replace_strict(distinct, pl.Series(numbers, dtype=pl.Int32), default=None, return_dtype=pl.Int32)
    return coded.fill_null(-1).to_numpy().astype(np.int32), of


def _postings(column: pl.Series) -> Postings:
    """Split tags at the vertical bar, the separator of the upload contract."""
    split = (
        pl.DataFrame({"row": pl.int_range(len(column), eager=True, dtype=pl.Int32), "tag": column})
        .drop_nulls("tag")
        .with_columns(pl.col("tag").str.split("|"))
        .explode("tag")
    )
    numbers, of = _numbered(split["tag"])
    rows = split["row"].to_numpy()[numbers >= 0]
    numbers = numbers[numbers >= 0]
    order = np.argsort(numbers, kind="stable")
    starts = np.zeros(len(of) + 1, dtype=np.int64)
    np.cumsum(np.bincount(numbers, minlength=len(of)), out=starts[1:])
    return Postings(rows=rows[order].astype(np.int32), starts=starts, of=of)


def _upper_half(popularity: NDArray[np.float64], group: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which items have a popularity above 0 and at least the median of their group; group −1 is no group."""
    frame = pl.DataFrame({"popularity": popularity, "group": group})
    upper = frame.select(
        (pl.col("popularity") > 0)
        & (pl.col("group") >= 0)
        & (pl.col("popularity") >= pl.col("popularity").median().over("group"))
    )
    return _flags(upper.to_series())
