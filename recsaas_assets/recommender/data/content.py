"""Content of items: the catalogue as numbers that a regression can use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import sparse

CONTENT_COLUMNS = ("title", "category", "brand", "tags", "price")
_PRICE_BINS = 10
_LEAST_ITEMS = 2
_MOST_FEATURES = 20_000


def content_matrix(catalogue: pl.DataFrame, item_ids: Sequence[str]) -> sparse.csr_array:
    """Features of the items, shape (n_items, n_features) float32; each row has length 1, or 0 when nothing is known.

    A feature is a category, a brand, a tag, a word of the title, or one of ten price bins with equally many items. It
    counts ln(n_items / items with it), as what all items share tells none apart (Spärck Jones, 1972). Features of a
    single item are left out, as nothing can be learned from them, and beyond 20,000 the rarest are. The order of
    the features depends on the catalogue alone.

    Args:
        catalogue: item_id and `CONTENT_COLUMNS`, as in `stg_items`; items of ``item_ids`` that are not in it have no
            features.
    """
    rows = pl.DataFrame({"item_id": pl.Series(item_ids, dtype=pl.String)}).with_row_index("row")
    known = rows.join(catalogue.select("item_id", *CONTENT_COLUMNS), on="item_id")
    tokens = pl.concat(
        [
            _texts(known, "category", pl.concat_list("category")),
            _texts(known, "brand", pl.concat_list("brand")),
            _texts(known, "tags", pl.col("tags").str.split("|")),
            _texts(known, "title", pl.col("title").str.extract_all(r"\p{L}{2,}|\p{N}{2,}")),
            _price_bins(known),
        ]
    ).unique()
    frequent = (
        tokens.group_by("token")
        .len("items")
        .filter(pl.col("items") >= _LEAST_ITEMS)
        .sort("items", "token", descending=[True, False])
        .head(_MOST_FEATURES)
        .with_row_index("feature")
    )
    placed = tokens.join(frequent, on="token").with_columns(
        weight=(pl.lit(max(known.height, 1)) / pl.col("items")).log()
    )
    matrix = sparse.csr_array(
        (placed["weight"].to_numpy(), (placed["row"].to_numpy(), placed["feature"].to_numpy())),
        shape=(len(item_ids), frequent.height),
        dtype=np.float32,
    )
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    unit = sparse.csr_array(sparse.diags_array(scale) @ matrix, dtype=np.float32)
    unit.sort_indices()
    return unit


def _texts(known: pl.DataFrame, kind: str, texts: pl.Expr) -> pl.DataFrame:
    """Row and token of every text; texts are compared without case and outer blanks."""
    folded = pl.col("token").str.strip_chars().str.to_lowercase()
    return (
        known.select("row", token=texts)
        .explode("token")
        .drop_nulls()
        .with_columns(token=folded)
        .filter(pl.col("token") != "")
        .with_columns(token=pl.lit(f"{kind}=") + pl.col("token"))
    )


def _price_bins(known: pl.DataFrame) -> pl.DataFrame:
    priced = known.select("row", pl.col("price").cast(pl.Float64)).filter(pl.col("price").is_finite())
    place = (pl.col("price").rank("min") - 1) * _PRICE_BINS // pl.len()
    return priced.select("row", token=pl.lit("price=") + place.cast(pl.Int64).cast(pl.String))
