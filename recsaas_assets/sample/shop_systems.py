"""Exports of shop systems: products with their variants, and lines of orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

_SIZES = ("S", "M", "L")
_WOO_VARIATION_IDS = 100_000


@dataclass(frozen=True, slots=True)
class Draft:
    """An invented shop on the way into a shape.

    `items` and `interactions` are frames of `SampleShop`; `rows` interactions are wanted; `rng` decides what is left
    open, such as how many variants a product has.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame
    rows: int
    rng: np.random.Generator

    def order_lines(self) -> pl.DataFrame:
        """So many rows of what was looked at, with the price: a visit is an order, and each look a line of it."""
        looked = self.interactions.filter(pl.col("interaction_type") == "view").drop("price").tail(self.rows)
        return looked.join(self.items.select("item_id", "title", "price"), on="item_id", maintain_order="left")

    def variants(self) -> pl.DataFrame:
        """One row for each variant of an item, 1 to 3 of them: `item_row`, `variant` from 0, `n_variants`."""
        counts = self.rng.integers(1, len(_SIZES) + 1, self.items.height)
        rows = np.repeat(np.arange(self.items.height), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        return pl.DataFrame(
            {"item_row": rows, "variant": np.arange(len(rows)) - first, "n_variants": np.repeat(counts, counts)}
        )


def shopify(draft: Draft) -> dict[str, bytes]:
    """Products: the rows after a product's first say only what differs. Orders: a line names the variant's SKU."""
    variants = _shopify_variants(draft)  # drawn once: an order names a variant that the products have
    return {"items": _shopify_products(variants).write_csv().encode(), "interactions": _shopify_orders(draft, variants)}


def woocommerce(draft: Draft) -> dict[str, bytes]:
    """Products as a German shop exports them; orders as its plugin does: semicolons, decimal commas, Windows-1252."""
    return {
        "items": b"\xef\xbb\xbf" + _woocommerce_products(draft).write_csv().encode(),
        "interactions": _woocommerce_orders(draft).write_csv(separator=";").encode("windows-1252"),
    }


def decimal_comma(price: pl.Expr) -> pl.Expr:
    """Text such as `1249,90` of a number."""
    return price.round(2).map_elements(lambda each: f"{each:.2f}".replace(".", ","), return_dtype=pl.String)


def _handle(item_row: pl.Expr, title: pl.Expr) -> pl.Expr:
    words = title.str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "-").str.strip_chars("-")
    return pl.concat_str(words, (item_row + 1).cast(pl.String), separator="-")


def _shopify_variants(draft: Draft) -> pl.DataFrame:
    items = draft.items.with_row_index("item_row").with_columns(pl.col("item_row").cast(pl.Int64))
    rows = draft.variants().join(items, on="item_row", maintain_order="left")
    size = pl.col("variant").replace_strict(dict(enumerate(_SIZES)), return_dtype=pl.String)
    return rows.with_columns(
        handle=_handle(pl.col("item_row"), pl.col("title")),
        size=size,
        sku=pl.concat_str(pl.col("item_id"), size, separator="-"),
    )


def _shopify_products(variants: pl.DataFrame) -> pl.DataFrame:
    def first(column: pl.Expr) -> pl.Expr:
        return pl.when(pl.col("variant") == 0).then(column).otherwise(pl.lit(""))

    html = pl.concat_str(pl.lit("<p>"), pl.col("description"), pl.lit('</p>\n<ul class="facts"><li>New</li></ul>'))
    return variants.select(
        pl.col("handle").alias("Handle"),
        first(pl.col("title")).alias("Title"),
        first(html).alias("Body (HTML)"),
        first(pl.col("brand")).alias("Vendor"),
        first(pl.col("category")).alias("Type"),
        first(pl.col("tags").str.replace_all("|", ", ", literal=True)).alias("Tags"),
        first(pl.lit("true")).alias("Published"),
        first(pl.lit("Size")).alias("Option1 Name"),
        pl.col("size").alias("Option1 Value"),
        pl.col("sku").alias("Variant SKU"),
        pl.lit("deny").alias("Variant Inventory Policy"),
        (pl.col("item_row") % 7 + 1).alias("Variant Inventory Qty"),
        pl.col("price").map_elements(lambda each: f"{each:.2f}", return_dtype=pl.String).alias("Variant Price"),
        first(pl.concat_str(pl.lit("https://cdn.example/"), pl.col("item_id"), pl.lit(".jpg"))).alias("Image Src"),
        first(pl.lit("active")).alias("Status"),
    )


def _shopify_orders(draft: Draft, variants: pl.DataFrame) -> bytes:
    last = variants.filter(pl.col("variant") == pl.col("n_variants") - 1)
    lines = draft.order_lines().join(last.select("item_id", "sku", "size"), on="item_id", maintain_order="left")
    is_first = pl.col("session_id").is_first_distinct()
    time = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ").dt.strftime("%Y-%m-%d %H:%M:%S +0000")
    number = pl.col("session_id").rank("dense").cast(pl.Int64) + 1000
    orders = lines.select(
        pl.concat_str(pl.lit("#"), number.cast(pl.String)).alias("Name"),
        pl.concat_str(pl.col("user_id"), pl.lit("@mail.example")).alias("Email"),
        pl.when(is_first).then(pl.lit("paid")).otherwise(pl.lit("")).alias("Financial Status"),
        pl.when(is_first).then(time).otherwise(pl.lit("")).alias("Paid at"),
        pl.when(is_first).then(pl.lit("EUR")).otherwise(pl.lit("")).alias("Currency"),
        time.alias("Created at"),
        pl.lit(1).alias("Lineitem quantity"),
        pl.concat_str(pl.col("title"), pl.lit(" - "), pl.col("size")).alias("Lineitem name"),
        pl.col("price").map_elements(lambda each: f"{each:.2f}", return_dtype=pl.String).alias("Lineitem price"),
        pl.col("sku").alias("Lineitem sku"),
        pl.lit("true").alias("Lineitem requires shipping"),
    )
    return orders.write_csv().encode()


def _woocommerce_products(draft: Draft) -> pl.DataFrame:
    """A product with several variants has a row of its own, without a price, before those of the variants."""
    items = draft.items.with_row_index("item_row").with_columns(pl.col("item_row").cast(pl.Int64))
    variants = draft.variants().join(items, on="item_row", maintain_order="left")
    several = variants.filter(pl.col("n_variants") > 1)
    parents = variants.unique("item_row", maintain_order=True).with_columns(variant=pl.lit(-1, dtype=pl.Int64))
    rows = pl.concat([parents, several]).sort("item_row", "variant")
    is_variation, is_variable = pl.col("variant") >= 0, pl.col("n_variants") > 1
    own_id = pl.col("item_row") + 1
    variation_id = _WOO_VARIATION_IDS + pl.col("item_row") * len(_SIZES) + pl.col("variant")
    kind = pl.when(is_variation).then(pl.lit("variation")).when(is_variable).then(pl.lit("variable"))
    priced = pl.when(is_variable & ~is_variation).then(pl.lit("")).otherwise(decimal_comma(pl.col("price")))
    return rows.select(
        pl.when(is_variation).then(variation_id).otherwise(own_id).alias("ID"),
        kind.otherwise(pl.lit("simple")).alias("Type"),
        pl.when(is_variation)
        .then(pl.concat_str(pl.col("item_id"), pl.col("variant").cast(pl.String), separator="-"))
        .otherwise(pl.col("item_id"))
        .alias("SKU"),
        pl.concat_str(pl.col("title"), pl.lit(", geprüft")).alias("Name"),
        pl.lit(1).alias("Published"),
        pl.lit(0).alias("Is featured?"),
        pl.lit("visible").alias("Visibility in catalog"),
        pl.concat_str(pl.lit("<p>"), pl.col("description"), pl.lit("</p>")).alias("Description"),
        pl.lit(1).alias("In stock?"),
        pl.when(is_variation).then(own_id % 9 + 1).alias("Stock"),
        pl.lit("").alias("Sale price"),
        priced.alias("Regular price"),
        pl.when(is_variation)
        .then(pl.lit(""))
        .otherwise(pl.concat_str(pl.lit("Technik > "), pl.col("category"), pl.lit(", Neu")))
        .alias("Categories"),
        pl.when(is_variation)
        .then(pl.lit(""))
        .otherwise(pl.col("tags").str.replace_all("|", ", ", literal=True))
        .alias("Tags"),
        pl.concat_str(pl.lit("https://shop.example/"), pl.col("item_id"), pl.lit(".jpg")).alias("Images"),
        pl.when(is_variation).then(pl.concat_str(pl.lit("id:"), own_id.cast(pl.String))).alias("Parent"),
    )


def _woocommerce_orders(draft: Draft) -> pl.DataFrame:
    numbers = draft.items.select("item_id").with_row_index("product", offset=1)
    lines = draft.order_lines().join(numbers, on="item_id", maintain_order="left")
    time = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ").dt.strftime("%Y-%m-%d %H:%M")
    return lines.select(
        (pl.col("session_id").rank("dense").cast(pl.Int64) + 5000).alias("Order ID"),
        time.alias("Order Date"),
        pl.lit("Abgeschlossen").alias("Order Status"),
        pl.col("user_id").str.strip_chars_start("u").cast(pl.Int64).alias("Customer User ID"),
        pl.col("product").alias("Product ID"),
        pl.concat_str(pl.col("title"), pl.lit(", geprüft")).alias("Item Name"),
        pl.lit(1).alias("Quantity"),
        decimal_comma(pl.col("price")).alias("Item Cost"),
    )
