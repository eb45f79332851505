"""Content of items: the catalogue as numbers that a map onto vectors can learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

CONTENT_COLUMNS = ("title", "category", "brand", "tags", "price")
_PRICE_BINS = 10
_LEAST_ITEMS = 2
_MOST_FEATURES = 20_000
_WORD = r"\p{L}{2,}|\p{N}{2,}"
_PIECE = 4
_LONGEST_WORD = 24
_LEVELS = 5


@dataclass(frozen=True, slots=True, eq=False)
class ItemContent:
    """What the catalogue says of every item; rows of both matrices have length 1, or 0 when nothing is known.

    A feature counts ln(n_items / items with it), as what all items share tells none apart (Spärck Jones, 1972).
    Features of a single item are left out, as nothing can be learned from them, and beyond 20,000 the rarest are.

    Attributes:
        words: (n_items, f) float32: the levels of the category, the brand, the tags, the words of the title, and one of
            ten price bins with equally many items.
        details: (n_items, g) float32: two words of the title that follow each other, and four characters in a row of a
            word, its beginning and end counting as characters: MUGS and MUG share some, as do a word and its compounds
            (Bojanowski et al. 2017).
        category: (n_items,) int32, the same number for the same category; −1: unknown.
    """

    words: sparse.csr_array
    details: sparse.csr_array
    category: npt.NDArray[np.int32]


def item_content(catalogue: pl.DataFrame, item_ids: Sequence[str]) -> ItemContent:
    """Content of the items; the order of features and the numbers of categories depend on the catalogue alone.

    Args:
        catalogue: item_id and `CONTENT_COLUMNS`, as in `stg_items`; items of ``item_ids`` that are not in it have no
            features.
    """
    rows = pl.DataFrame({"item_id": pl.Series(item_ids, dtype=pl.String)}).with_row_index("row")
    known = rows.join(catalogue.select("item_id", *CONTENT_COLUMNS), on="item_id")
    title = pl.col("title").str.to_lowercase().str.extract_all(_WORD)
    titles = known.select("row", word=title).explode("word").drop_nulls()
    described = [
        _texts(known, "category", _levels()),
        _texts(known, "brand", pl.concat_list("brand")),
        _texts(known, "tags", pl.col("tags").str.split("|")),
        titles.select("row", token=pl.lit("title=") + pl.col("word")),
        _price_bins(known),
    ]
    size = len(item_ids), max(known.height, 1)
    detailed = pl.concat([_neighbours(titles), _pieces(titles)])
    return ItemContent(_weighed(pl.concat(described), *size), _weighed(detailed, *size), _category(known, rows))


def _weighed(tokens: pl.DataFrame, n_rows: int, n_known: int) -> sparse.csr_array:
    """TF-IDF with rows of length 1 from row and token, a token once an item."""
    tokens = tokens.unique()
    frequent = (
        tokens.group_by("token")
        .len("items")
        .filter(pl.col("items") >= _LEAST_ITEMS)
        .sort("items", "token", descending=[True, False])
        .head(_MOST_FEATURES)
        .with_row_index("feature")
    )
    placed = tokens.join(frequent, on="token").with_columns(weight=(pl.lit(n_known) / pl.col("items")).log())
    matrix = sparse.csr_array(
        (placed["weight"].to_numpy(), (placed["row"].to_numpy(), placed["feature"].to_numpy())),
        shape=(n_rows, frequent.height),
        dtype=np.float32,
    )
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    unit = sparse.csr_array(sparse.diags_array(scale) @ matrix, dtype=np.float32)
    unit.sort_indices()
    return unit


def _levels() -> pl.Expr:
    """`a > b > c` as the levels a, a>b, a>b>c; shops write `>`, `/` or `|` between them."""
    parts = pl.col("category").str.replace_all(r"\s*[>/|]+\s*", ">").str.split(">")
    return pl.concat_list([parts.list.head(level).list.join(">") for level in range(1, _LEVELS + 1)])


def _texts(known: pl.DataFrame, kind: str, texts: pl.Expr) -> pl.DataFrame:
    """Row and token of every text; texts are compared without case and outer blanks."""
    return (
        known.select("row", token=texts)
        .explode("token")
        .drop_nulls()
        .with_columns(token=_folded("token"))
        .filter(pl.col("token") != "")
        .with_columns(token=pl.lit(f"{kind}=") + pl.col("token"))
    )


def _folded(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().str.to_lowercase()


def _neighbours(titles: pl.DataFrame) -> pl.DataFrame:
    """Row and token of two words that follow each other."""
    pairs = titles.with_columns(after=pl.col("word").shift(-1).over("row")).drop_nulls()
    return pairs.select("row", token=pl.format("{} {}", "word", "after"))


def _pieces(titles: pl.DataFrame) -> pl.DataFrame:
    """Row and token of the pieces of every word."""
    words = titles.select("row", token=pl.format("^{}$", pl.col("word").str.head(_LONGEST_WORD))).unique()
    pieces = [
        words.filter(pl.col("token").str.len_chars() >= start + _PIECE).with_columns(
            pl.col("token").str.slice(start, _PIECE)
        )
        for start in range(_LONGEST_WORD + 3 - _PIECE)
    ]
    return pl.concat(pieces)


def _price_bins(known: pl.DataFrame) -> pl.DataFrame:
    priced = known.select("row", pl.col("price").cast(pl.Float64)).filter(pl.col("price").is_finite())
    place = (pl.col("price").rank("min") - 1) * _PRICE_BINS // pl.len()
    return priced.select("row", token=pl.lit("price=") + place.cast(pl.Int64).cast(pl.String))


def _category(known: pl.DataFrame, rows: pl.DataFrame) -> npt.NDArray[np.int32]:
    named = known.select("row", category=_folded("category")).filter(pl.col("category") != "")
    coded = named.with_columns(code=pl.col("category").rank("dense").cast(pl.Int32) - 1)
    codes = np.full(rows.height, -1, dtype=np.int32)
    codes[coded["row"].to_numpy()] = coded["code"].to_numpy()
    return codes
