"""Known exports of shop systems, trackers and data sets, recognised by their headers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from resources.uploads.contract.columns import Kind
from resources.uploads.headers.words import key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A known export: `headers` that it always has, and what its columns are.

    `columns` maps its headers onto the contract; of several headers of one column the first with text in a row counts.
    `types` maps its names of interactions, and a file without such a column is of `default_type`. `stock` is the header
    of a number of pieces, `hidden` of the opposite of available, `categories` and `tags` those of lists, each with the
    separator of its entries. `variants`: several rows may be one product; `sku` is the header of a variant's own id,
    and `parent` that of the product that it belongs to, named by `id:` and its id, or by its own `sku`.
    """

    name: str
    kind: Kind
    headers: tuple[str, ...]
    columns: Mapping[str, str]
    default_type: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    stock: str | None = None
    hidden: str | None = None
    categories: tuple[str, str] | None = None
    tags: tuple[str, str] | None = None
    variants: bool = False
    sku: str | None = None
    parent: str | None = None


PRESETS: tuple[Preset, ...] = (
    Preset(
        name="Shopify products",
        kind=Kind.ITEMS,
        headers=("Handle", "Title", "Vendor", "Variant Price"),
        columns={
            "Handle": "item_id",
            "Title": "title",
            "Body (HTML)": "description",
            "Vendor": "brand",
            "Product Category": "category",
            "Type": "category",
            "Variant Price": "price",
            "Image Src": "image_url",
            "Published": "available",
        },
        tags=("Tags", ","),
        variants=True,
        sku="Variant SKU",
    ),
    Preset(
        name="Shopify orders",
        kind=Kind.INTERACTIONS,
        headers=("Name", "Email", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price"),
        columns={
            "Customer ID": "user_id",
            "Email": "user_id",
            "Lineitem sku": "item_id",
            "Created at": "timestamp",
            "Lineitem quantity": "quantity",
            "Lineitem price": "price",
        },
        default_type="purchase",
    ),
    Preset(
        name="WooCommerce products",
        kind=Kind.ITEMS,
        headers=("ID", "Type", "SKU", "Name", "Published", "Regular price", "Categories"),
        columns={
            "ID": "item_id",
            "Name": "title",
            "Description": "description",
            "Short description": "description",
            "Sale price": "price",
            "Regular price": "price",
            "Images": "image_url",
            "Brands": "brand",
            "In stock?": "available",
        },
        categories=("Categories", ","),
        tags=("Tags", ","),
        variants=True,
        sku="SKU",
        parent="Parent",
    ),
    Preset(
        name="WooCommerce orders",
        kind=Kind.INTERACTIONS,
        headers=("Order ID", "Order Date", "Product ID", "Quantity"),
        columns={
            "Customer ID": "user_id",
            "Customer User ID": "user_id",
            "Customer Email": "user_id",
            "Billing Email": "user_id",
            "Email (Billing)": "user_id",
            "Product ID": "item_id",
            "Order Date": "timestamp",
            "Quantity": "quantity",
            "Item Cost": "price",
            "Item Price": "price",
        },
        default_type="purchase",
    ),
    Preset(
        name="Magento products",
        kind=Kind.ITEMS,
        headers=("sku", "attribute_set_code", "product_type", "name", "price"),
        columns={
            "sku": "item_id",
            "name": "title",
            "description": "description",
            "price": "price",
            "base_image": "image_url",
            "created_at": "created_at",
            "manufacturer": "brand",
            "is_in_stock": "available",
        },
        categories=("categories", ","),
    ),
    Preset(
        name="PrestaShop products",
        kind=Kind.ITEMS,
        headers=("Product ID", "Active (0/1)", "Name *", "Categories (x,y,z...)"),
        columns={
            "Product ID": "item_id",
            "Name *": "title",
            "Description": "description",
            "Manufacturer": "brand",
            "Price tax included": "price",
            "Price tax excluded": "price",
            "Image URLs (x,y,z...)": "image_url",
            "Active (0/1)": "available",
        },
        categories=("Categories (x,y,z...)", ","),
        tags=("Tags (x,y,z...)", ","),
    ),
    Preset(
        name="Google Merchant products",
        kind=Kind.ITEMS,
        headers=("id", "title", "link", "image_link", "availability"),
        columns={
            "item_group_id": "item_id",
            "id": "item_id",
            "title": "title",
            "description": "description",
            "product_type": "category",
            "google_product_category": "category",
            "brand": "brand",
            "image_link": "image_url",
            "sale_price": "price",
            "price": "price",
            "availability": "available",
        },
        variants=True,
        sku="id",
    ),
    Preset(
        name="GA4 events",
        kind=Kind.INTERACTIONS,
        headers=("event_name", "event_timestamp", "user_pseudo_id"),
        columns={
            "user_id": "user_id",
            "user_pseudo_id": "user_id",
            "item_id": "item_id",
            "items.item_id": "item_id",
            "event_name": "interaction_type",
            "event_timestamp": "timestamp",
            "ga_session_id": "session_id",
            "quantity": "quantity",
            "items.quantity": "quantity",
            "price": "price",
            "items.price": "price",
        },
        types={
            "view_item": "view",
            "view_item_list": "ignore",
            "select_item": "click",
            "add_to_cart": "add_to_cart",
            "add_to_wishlist": "like",
            "remove_from_cart": "ignore",
            "view_cart": "ignore",
            "begin_checkout": "ignore",
            "purchase": "purchase",
        },
    ),
    Preset(
        name="Segment track calls",
        kind=Kind.INTERACTIONS,
        headers=("event", "anonymous_id", "user_id"),
        columns={
            "user_id": "user_id",
            "anonymous_id": "user_id",
            "product_id": "item_id",
            "properties_product_id": "item_id",
            "event": "interaction_type",
            "timestamp": "timestamp",
            "original_timestamp": "timestamp",
            "sent_at": "timestamp",
            "received_at": "timestamp",
            "message_id": "event_id",
        },
    ),
    Preset(
        name="REES46 events",
        kind=Kind.INTERACTIONS,
        headers=("event_time", "event_type", "product_id", "user_id", "user_session"),
        columns={
            "event_time": "timestamp",
            "event_type": "interaction_type",
            "product_id": "item_id",
            "user_id": "user_id",
            "user_session": "session_id",
            "price": "price",
        },
        types={"view": "view", "cart": "add_to_cart", "purchase": "purchase", "remove_from_cart": "ignore"},
    ),
    Preset(
        name="Retailrocket events",
        kind=Kind.INTERACTIONS,
        headers=("timestamp", "visitorid", "event", "itemid", "transactionid"),
        columns={
            "timestamp": "timestamp",
            "visitorid": "user_id",
            "event": "interaction_type",
            "itemid": "item_id",
        },
        types={"view": "view", "addtocart": "add_to_cart", "transaction": "purchase"},
    ),
    Preset(
        name="MovieLens ratings",
        kind=Kind.INTERACTIONS,
        headers=("userId", "movieId", "rating", "timestamp"),
        columns={"userId": "user_id", "movieId": "item_id", "rating": "rating", "timestamp": "timestamp"},
        default_type="rating",
    ),
    Preset(
        name="MovieLens movies",
        kind=Kind.ITEMS,
        headers=("movieId", "title", "genres"),
        columns={"movieId": "item_id", "title": "title"},
        tags=("genres", "|"),
    ),
    Preset(
        name="Online Retail",
        kind=Kind.INTERACTIONS,
        headers=("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"),
        columns={
            "CustomerID": "user_id",
            "StockCode": "item_id",
            "InvoiceDate": "timestamp",
            "Quantity": "quantity",
            "UnitPrice": "price",
        },
        default_type="purchase",
    ),
    Preset(
        name="Online Retail II",
        kind=Kind.INTERACTIONS,
        headers=("Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Customer ID"),
        columns={
            "Customer ID": "user_id",
            "StockCode": "item_id",
            "InvoiceDate": "timestamp",
            "Quantity": "quantity",
            "Price": "price",
        },
        default_type="purchase",
    ),
    Preset(
        name="Instacart products",
        kind=Kind.ITEMS,
        headers=("product_id", "product_name", "aisle_id", "department_id"),
        columns={"product_id": "item_id", "product_name": "title", "department_id": "category"},
    ),
    Preset(
        name="Amazon Personalize interactions",
        kind=Kind.INTERACTIONS,
        headers=("USER_ID", "ITEM_ID", "EVENT_TYPE", "TIMESTAMP", "EVENT_VALUE"),
        columns={
            "USER_ID": "user_id",
            "ITEM_ID": "item_id",
            "EVENT_TYPE": "interaction_type",
            "TIMESTAMP": "timestamp",
        },
    ),
    Preset(
        name="Amazon reviews",
        kind=Kind.INTERACTIONS,
        headers=("rating", "asin", "parent_asin", "user_id", "timestamp"),
        columns={"user_id": "user_id", "parent_asin": "item_id", "rating": "rating", "timestamp": "timestamp"},
        default_type="rating",
    ),
    Preset(
        name="Gorse feedback",
        kind=Kind.INTERACTIONS,
        headers=("FeedbackType", "UserId", "ItemId", "Timestamp"),
        columns={
            "FeedbackType": "interaction_type",
            "UserId": "user_id",
            "ItemId": "item_id",
            "Timestamp": "timestamp",
        },
        types={"read": "view", "star": "like", "favorite": "like"},
    ),
    Preset(
        name="Gorse items",
        kind=Kind.ITEMS,
        headers=("ItemId", "IsHidden", "Categories", "Timestamp", "Labels", "Description"),
        columns={"ItemId": "item_id", "Description": "title", "Timestamp": "created_at"},
        hidden="IsHidden",
        categories=("Categories", "|"),
    ),
    Preset(
        name="RecBole interactions",
        kind=Kind.INTERACTIONS,
        headers=("user_id:token", "item_id:token", "timestamp:float"),
        columns={
            "user_id:token": "user_id",
            "item_id:token": "item_id",
            "timestamp:float": "timestamp",
            "rating:float": "rating",
        },
    ),
    Preset(
        name="RecBole items",
        kind=Kind.ITEMS,
        headers=("item_id:token", "movie_title:token_seq", "class:token_seq"),
        columns={"item_id:token": "item_id", "movie_title:token_seq": "title"},
        tags=("class:token_seq", " "),
    ),
)
"""Every known export, one entry each; docs/data.md lists them."""


def find_preset(kind: Kind, headers: tuple[str, ...]) -> Preset | None:
    """Return the known export of `kind` with these headers: the one that needs most of them, None when two do."""
    exact = {header.strip().lower() for header in headers}
    keys = {key_of(header) for header in headers}
    fitting = [each for each in PRESETS if each.kind is kind and _fits(each, exact, keys)]
    most = max((len(each.headers) for each in fitting), default=0)
    best = [each for each in fitting if len(each.headers) == most]
    return best[0] if len(best) == 1 else None


def _fits(preset: Preset, exact: AbstractSet[str], keys: AbstractSet[str]) -> bool:
    # A type in the header is what tells RecBole's files from others.
    return all(each.lower() in exact if ":" in each else key_of(each) in keys for each in preset.headers)
