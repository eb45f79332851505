"""Known exports: recognised by their headers alone, and read without anybody's help."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from resources.control_db.uploads import counting_uploads
from resources.tenants.settings import TenantSettings, UploadSettings
from resources.uploads.contract.columns import INTERACTION_TYPES, Kind, columns
from resources.uploads.deduplication.variants import variant_ids, with_items_of_variants
from resources.uploads.headers.layout import missing_columns, read_headers
from resources.uploads.headers.presets import PRESETS, Preset, find_preset
from resources.uploads.headers.words import key_of


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_found_by_its_headers_and_leads_to_columns_that_there_are(preset: Preset) -> None:
    headers = tuple(dict.fromkeys((*preset.headers, *preset.columns)))
    if preset.categories is not None:
        headers = tuple(dict.fromkeys((*headers, preset.categories[0])))
    assert find_preset(preset.kind, headers) is preset
    assert set(preset.columns.values()) <= {column.name for column in columns(preset.kind)}
    assert set(preset.types.values()) <= {*INTERACTION_TYPES, "ignore"}
    layout = read_headers(preset.kind, headers, UploadSettings())
    assert layout.preset == preset.name
    assert [column.name for column in missing_columns(preset.kind, layout)] == []
    assert len({key_of(header) for header in preset.columns}) == len(preset.columns)


def test_one_header_less_is_another_file() -> None:
    assert find_preset(Kind.INTERACTIONS, ("userId", "movieId", "rating")) is None
    assert find_preset(Kind.ITEMS, ("item_id", "title")) is None


SHOPIFY = """Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price
scarf,Scarf,<p>Soft</p>,acme,Winter,"wool, blue",true,Size,S,SC-S,30
scarf,,,,,,,,M,SC-M,25
hat,Hat,,acme,Winter,,false,Title,Default Title,HA,12
scarf,,,,,,,,L,SC-L,35
"""


def test_variants_of_one_product_are_one_item(inspect: Any) -> None:
    found = inspect("items", SHOPIFY.replace("scarf,,,,,,,,L", "scarf,Scarf,,,,,,,L"))
    report = found.report
    assert (report.rows_total, report.rows_accepted, report.rows_rejected, report.rows_duplicate) == (4, 2, 0, 2)
    scarf, hat = found.accepted.sort("item_id", descending=True).iter_rows(named=True)
    assert (scarf["title"], scarf["price"], scarf["brand"], scarf["available"]) == ("Scarf", 25.0, "acme", True)
    assert (scarf["tags"], scarf["category"]) == ("wool|blue", "Winter")
    assert scarf["extra_variant_skus"] == "SC-S|SC-M|SC-L"
    assert (hat["title"], hat["available"], hat["extra_variant_skus"]) == ("Hat", False, "HA")
    notes = {each.code: each for each in report.notes}
    assert notes["known_export"].examples == ("Shopify products",)
    assert notes["variant_rows"].count == 2


def test_a_row_without_title_far_from_its_product_is_rejected_and_named(inspect: Any) -> None:
    report = inspect("items", SHOPIFY).report
    assert (report.rows_accepted, report.rows_rejected) == (2, 1)
    assert [(each.row, each.column) for each in report.validation_errors] == [(5, "title")]


def test_continuations_go_over_the_borders_of_batches(inspect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.uploads.parsing.csv_reader.BLOCK_BYTES", 64)
    rows = "".join(f"p{n},Title {n},{n}\np{n},,{n + 1}\np{n},,{n + 2}\n" for n in range(200))
    found = inspect("items", f"item_id,title,price\n{rows}")
    assert (found.report.rows_accepted, found.report.rows_duplicate, found.report.rows_rejected) == (200, 400, 0)
    assert found.accepted["price"].to_list() == [float(n) for n in range(200)]


def test_equal_ids_with_other_contents_are_a_conflict_in_any_other_file(inspect: Any) -> None:
    report = inspect("items", "item_id,title,price\n1,A,2\n1,A,3\n").report
    assert report.errors_by_rule == {"item_id.repeated": 1}


def test_strict_rejects_rows_without_title(inspect: Any) -> None:
    settings = TenantSettings(uploads=UploadSettings(strictness="strict"))
    report = inspect("items", "item_id,title,price\n1,A,2\n1,,3\n", settings=settings).report
    assert report.errors_by_rule == {"title.empty": 1}


def test_a_group_is_the_item_and_its_rows_are_variants(inspect: Any) -> None:
    found = inspect(
        "items",
        "id,item_group_id,title,link,image_link,availability,price\n"
        "s-1,shirt,Shirt red,https://x.test/1,https://x.test/1.jpg,true,20\n"
        "m,,Mug,https://x.test/2,https://x.test/2.jpg,true,8\n"
        "s-2,shirt,Shirt blue,https://x.test/3,https://x.test/3.jpg,true,18\n",
    )
    rows = {row["item_id"]: row for row in found.accepted.iter_rows(named=True)}
    assert set(rows) == {"shirt", "m"}
    assert (rows["shirt"]["price"], rows["shirt"]["extra_variant_skus"]) == (18.0, "s-1|s-2")


def test_pieces_in_stock_say_what_is_available(inspect: Any) -> None:
    found = inspect("items", "item_id,title,Stock\n1,A,3\n2,B,0\n3,C,-2\n4,D,7.0\n5,E,\n")
    assert found.accepted["available"].to_list() == [True, False, False, True, True]
    assert found.accepted["extra_stock"].to_list() == ["3", "0", "-2", "7.0", None]


def test_of_several_categories_the_first_counts_and_all_are_kept(inspect: Any) -> None:
    found = inspect(
        "items",
        "ID,Type,SKU,Name,Published,In stock?,Regular price,Sale price,Categories,Tags\n"
        '7,simple,CAP,Cap,1,1,15,12,"Clothing > Hats, Sale","red, warm"\n',
    )
    (row,) = found.accepted.iter_rows(named=True)
    assert (row["item_id"], row["category"], row["tags"]) == ("7", "Clothing > Hats", "red|warm")
    assert (row["extra_categories"], row["extra_variant_skus"], row["price"]) == ("Clothing > Hats, Sale", "CAP", 12.0)


def test_of_two_columns_for_one_the_first_with_text_counts(inspect: Any) -> None:
    found = inspect(
        "interactions",
        "event_name,event_timestamp,user_pseudo_id,user_id,item_id\n"
        "view_item,1717164300,anon,ann,a\npurchase,1717164301,anon,,a\n",
    )
    assert found.accepted["user_id"].to_list() == ["ann", "anon"]
    assert found.accepted["interaction_type"].to_list() == ["view", "purchase"]


def test_rejected_rows_of_a_preset_can_be_mended_and_sent_again(inspect: Any) -> None:
    orders = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,a,A,1,2024-05-01T08:26:00Z,2,17,UK\n2,,B,1,2024-05-01T08:27:00Z,2,18,UK\n"
    )
    first = inspect("interactions", orders)
    assert (first.report.rows_accepted, first.report.errors_by_rule) == (1, {"item_id.empty": 1})
    mended = first.csv.decode("utf-8-sig").replace("2,,B", "2,b,B")
    again = inspect("interactions", mended)
    assert (again.report.rows_accepted, again.report.rows_rejected) == (1, 0)
    assert again.accepted.select("user_id", "item_id", "interaction_type").row(0) == ("18", "b", "purchase")


def test_an_event_with_a_variant_is_known_and_means_its_item(shop: Any) -> None:
    shop.put("items", SHOPIFY.replace("scarf,,,,,,,,L", "scarf,Scarf,,,,,,,L"))
    events = "user_id,item_id,interaction_type,timestamp\n"
    events += "".join(f"u1,{item},view,2024-05-0{day}\n" for day, item in enumerate(("SC-M", "scarf", "HA", "no"), 1))
    assert shop.put("interactions", events, minutes=1).statistics.unknown_items == 1
    found = variant_ids(shop.lake, counting_uploads(shop.db, shop.tenant, kind="items"))
    assert dict(found.select("variant_id", "item_id").iter_rows()) == {
        "SC-S": "scarf",
        "SC-M": "scarf",
        "SC-L": "scarf",
        "HA": "hat",
    }
    rows = pl.LazyFrame({"item_id": ["SC-M", "scarf", "no"], "quantity": [1, 2, 3]})
    assert with_items_of_variants(rows, found).collect().rows() == [("scarf", 1), ("scarf", 2), ("no", 3)]


def test_an_id_that_is_an_item_itself_is_no_variant(shop: Any) -> None:
    shop.put("items", SHOPIFY.replace("scarf,,,,,,,,L,SC-L", "SC-M,Another,,,,,,,L,SC-L"))
    found = variant_ids(shop.lake, counting_uploads(shop.db, shop.tenant, kind="items"))
    assert "SC-M" not in found["variant_id"].to_list()


def test_a_variation_belongs_to_the_product_that_it_names(inspect: Any) -> None:
    found = inspect(
        "items",
        "ID,Type,SKU,Name,Published,In stock?,Regular price,Categories,Parent\n"
        "12,variable,SH,Shirt,1,1,,Tops,\n13,variation,SH-S,Shirt - S,1,1,20,,id:12\n"
        "20,simple,CAP,Cap,1,1,9,Hats,\n14,variation,SH-M,Shirt - M,1,0,18,,SH\n30,variation,X-S,Lost,1,1,5,,X\n",
    )
    rows = {row["item_id"]: row for row in found.accepted.iter_rows(named=True)}
    assert set(rows) == {"12", "20", "30"}
    assert (rows["12"]["title"], rows["12"]["price"], rows["12"]["category"]) == ("Shirt", 18.0, "Tops")
    assert rows["12"]["extra_variant_skus"] == "SH|SH-S|SH-M"
    assert (found.report.rows_accepted, found.report.rows_duplicate) == (3, 2)
