"""The files of an invented shop as systems in use export them: headers, dialects and quirks are theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from recsaas_assets.sample.shop import generate_shop
from recsaas_assets.sample.shop_systems import Draft, shopify, woocommerce
from recsaas_assets.sample.trackers import ga4, movielens, rees46, retailrocket

SHAPES: Mapping[str, Callable[[Draft], dict[str, bytes]]] = {
    "shopify": shopify,
    "woocommerce": woocommerce,
    "ga4": ga4,
    "rees46": rees46,
    "retailrocket": retailrocket,
    "movielens": movielens,
}
"""By name, what makes the files of a shape: content by kind."""
FILE_NAMES: Mapping[str, Mapping[str, str]] = {
    "shopify": {"items": "products_export.csv", "interactions": "orders_export.csv"},
    "woocommerce": {"items": "wc-product-export.csv", "interactions": "orders-export.csv"},
    "ga4": {"items": "merchant-feed.tsv", "interactions": "ga4-events.csv"},
    "rees46": {"interactions": "2024-May.csv"},
    "retailrocket": {"interactions": "events.csv"},
    "movielens": {"items": "movies.csv", "interactions": "ratings.csv"},
}
_EVENTS_PER_ROW = 8
"""Some shapes have only views or only purchases: so many more events are invented than rows are wanted."""


@dataclass(frozen=True, slots=True)
class ShapedFile:
    """One file of a shape: `kind` is that of the upload, items or interactions."""

    kind: str
    path: Path


def write_shape(shape: str, folder: Path, *, rows: int, end: datetime, seed: int = 7) -> tuple[ShapedFile, ...]:
    """Write the files of an invented shop in one of `SHAPES` into `folder`, `rows` interactions and their catalogue.

    A shape whose system has no catalogue to export has only interactions; ratings have each pair of user and item once,
    so of a tiny shop there are fewer. The same arguments write the same files.
    `end` is the last moment of the history, with an offset.

    Raises:
        ValueError: there is no such shape, or `rows` is below 1.
    """
    if shape not in SHAPES:
        raise ValueError(f"there is no shape {shape}; there are {', '.join(SHAPES)}")
    if rows < 1:
        raise ValueError("a shape needs at least 1 row")
    shop = generate_shop(
        users=max(1, rows // 8), items=max(2, rows // 40), interactions=rows * _EVENTS_PER_ROW, seed=seed, end=end
    )
    draft = Draft(items=shop.items, interactions=shop.interactions, rows=rows, rng=np.random.default_rng(seed))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind, content in SHAPES[shape](draft).items():
        path = folder / FILE_NAMES[shape][kind]
        path.write_bytes(content)
        files.append(ShapedFile(kind, path))
    return tuple(files)
