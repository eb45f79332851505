"""Exports of trackers, and public data sets that shops and students try first."""

from __future__ import annotations

import polars as pl

from recsaas_assets.sample.shop_systems import Draft

_GA4_NAMES = {"view": "view_item", "click": "select_item", "add_to_cart": "add_to_cart", "purchase": "purchase"}
_REES46_NAMES = {"view": "view", "click": "view", "add_to_cart": "cart", "purchase": "purchase"}
_RETAILROCKET_NAMES = {"view": "view", "click": "view", "add_to_cart": "addtocart", "purchase": "transaction"}
_OTHER_EVERY = 25
"""One in so many rows is of a type that recommends nothing, such as begin_checkout."""


def ga4(draft: Draft) -> dict[str, bytes]:
    """Events of BigQuery, one row for each item, with microseconds; the catalogue is the feed for Google Merchant."""
    events = _numbered(draft)
    micros = pl.col("seconds") * 1_000_000 + (pl.col("row") * 7919) % 1_000_000
    other = pl.col("row") % _OTHER_EVERY == _OTHER_EVERY - 1
    name = pl.col("interaction_type").replace_strict(_GA4_NAMES, return_dtype=pl.String)
    frame = events.select(
        pl.from_epoch("seconds", "s").dt.strftime("%Y%m%d").alias("event_date"),
        micros.alias("event_timestamp"),
        pl.when(other).then(pl.lit("begin_checkout")).otherwise(name).alias("event_name"),
        pl.concat_str(1_000_000_000 + pl.col("user") * 7, pl.lit("."), 1_700_000_000 + pl.col("user")).alias(
            "user_pseudo_id"
        ),
        pl.lit("").alias("user_id"),
        pl.concat_str(1_710_000_000 + pl.col("visit")).alias("ga_session_id"),
        pl.col("item_id"),
        pl.col("price"),
        pl.when(pl.col("interaction_type") == "purchase").then(1).alias("quantity"),
    )
    stock = pl.when("available").then(pl.lit("in_stock")).otherwise(pl.lit("out_of_stock"))
    feed = draft.items.select(
        pl.col("item_id").alias("id"),
        "title",
        "description",
        pl.concat_str(pl.lit("https://shop.example/p/"), "item_id").alias("link"),
        pl.concat_str(pl.lit("https://shop.example/i/"), "item_id", pl.lit(".jpg")).alias("image_link"),
        stock.alias("availability"),
        pl.col("price").map_elements(lambda each: f"{each:.2f} EUR", return_dtype=pl.String),
        "brand",
        pl.concat_str(pl.lit("Electronics > "), "category").alias("product_type"),
        pl.lit("new").alias("condition"),
    )
    return {"items": feed.write_csv(separator="\t").encode(), "interactions": frame.write_csv().encode()}


def rees46(draft: Draft) -> dict[str, bytes]:
    """The logs of REES46: ` UTC` behind each time, categories in two forms, some sessions empty, no catalogue."""
    other = pl.col("row") % _OTHER_EVERY == _OTHER_EVERY - 1
    name = pl.col("interaction_type").replace_strict(_REES46_NAMES, return_dtype=pl.String)
    code = pl.concat_str(pl.lit("electronics."), pl.col("category").str.to_lowercase().str.replace_all(r"[^a-z]+", "_"))
    frame = _numbered(draft).select(
        pl.from_epoch("seconds", "s").dt.strftime("%Y-%m-%d %H:%M:%S UTC").alias("event_time"),
        pl.when(other).then(pl.lit("remove_from_cart")).otherwise(name).alias("event_type"),
        (1_000_000 + pl.col("item")).alias("product_id"),
        pl.lit(2053013555631882655).alias("category_id"),
        code.alias("category_code"),
        pl.col("brand").str.to_lowercase(),
        pl.col("price"),
        (512_000_000 + pl.col("user")).alias("user_id"),
        pl.when(pl.col("row") % 500 == 3).then(None).otherwise("session_id").alias("user_session"),
    )
    return {"interactions": frame.write_csv().encode()}


def retailrocket(draft: Draft) -> dict[str, bytes]:
    """The events of Retailrocket: milliseconds, numbers as ids, a transaction's id where something was bought."""
    name = pl.col("interaction_type").replace_strict(_RETAILROCKET_NAMES, return_dtype=pl.String)
    frame = _numbered(draft).select(
        (pl.col("seconds") * 1000 + (pl.col("row") * 7919) % 1000).alias("timestamp"),
        (pl.col("user") + 250_000).alias("visitorid"),
        name.alias("event"),
        (pl.col("item") + 300_000).alias("itemid"),
        pl.when(pl.col("interaction_type") == "purchase").then("visit").alias("transactionid"),
    )
    return {"interactions": frame.write_csv().encode()}


def movielens(draft: Draft) -> dict[str, bytes]:
    """Ratings in steps of a half, without a type, and films with genres; a title may hold a comma and a year."""
    looked = _numbered(draft, only="view").unique(["user", "item"], maintain_order=True)
    steps = (pl.col("row") * 2654435761 + pl.col("item") * 40503) % 8 + 3
    ratings = looked.select(
        pl.col("user").alias("userId"),
        pl.col("item").alias("movieId"),
        (steps / 2).alias("rating"),
        pl.col("seconds").alias("timestamp"),
    )
    movies = draft.items.with_row_index("row", offset=1).select(
        pl.col("row").alias("movieId"),
        pl.concat_str(pl.col("title"), pl.lit(" ("), 1970 + pl.col("row") % 50, pl.lit(")")).alias("title"),
        pl.when(pl.col("row") % 60 == 0)
        .then(pl.lit("(no genres listed)"))
        .otherwise(pl.concat_str("category", "brand", separator="|"))
        .alias("genres"),
    )
    return {
        "items": movies.write_csv().encode(),
        "interactions": ratings.sort("userId", "movieId").write_csv().encode(),
    }


def _numbered(draft: Draft, *, only: str | None = None) -> pl.DataFrame:
    """So many events with numbers for their ids: `row` from 0, `user`, `item` and `visit` from 1, `seconds`."""
    items = draft.items.select("item_id", "category", "brand", pl.col("price").alias("listed"))
    numbered = items.with_row_index("item", offset=1).with_columns(pl.col("item").cast(pl.Int64))
    events = draft.interactions if only is None else draft.interactions.filter(pl.col("interaction_type") == only)
    if only is not None:  # each pair of user and item once
        events = events.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    seconds = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ").dt.epoch("s")
    return (
        events.tail(draft.rows)
        .drop("price")
        .join(numbered.rename({"listed": "price"}), on="item_id", maintain_order="left")
        .with_row_index("row")
        .with_columns(
            pl.col("row").cast(pl.Int64),
            user=pl.col("user_id").str.strip_chars_start("u").cast(pl.Int64),
            visit=pl.col("session_id").str.strip_chars_start("s").cast(pl.Int64) + 1,
            seconds=seconds,
        )
    )
