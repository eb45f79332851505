"""Files and changes by API in any order: what counts is what was acknowledged last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsaas_assets.ingestion.raw_tables import write_raw_table
from resources.catalogue.rows import ROW_SCHEMA, change_rows, newest_rows
from resources.control_db.idempotency import WriteKey
from resources.control_db.items import ItemChange, ItemEdit, append_item_changes, list_item_changes
from resources.control_db.versions import state_version
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from tests.unit.resources.catalogue.conftest import NOW, ItemShop

pytestmark = pytest.mark.databases

HEADER = "item_id,title,price,category\n"


def test_a_patch_changes_what_it_names_of_an_uploaded_item(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\nmug,Mug,5,kitchen\n")
    shop.patch("lamp", price=12.0)
    assert shop.catalogue() == {"lamp": ("Lamp", 12.0, "light"), "mug": ("Mug", 5.0, "kitchen")}


def test_a_later_upload_wins_over_a_patch_and_a_later_patch_over_the_upload(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\n")
    shop.patch("lamp", price=12.0, title="Patched")
    shop.upload(f"{HEADER}lamp,Lamp,11,light\n")
    assert shop.catalogue() == {"lamp": ("Lamp", 11.0, "light")}
    shop.patch("lamp", category=None)
    assert shop.catalogue() == {"lamp": ("Lamp", 11.0, None)}


def test_an_upload_may_say_again_what_it_said_before_a_change(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\nmug,Mug,5,kitchen\n")
    shop.patch("lamp", price=12.0)
    report = shop.upload(f"{HEADER}mug,Mug,5,kitchen\nlamp,Lamp,10,light\n")
    assert (report.rows_accepted, report.rows_duplicate) == (1, 1)
    assert shop.catalogue()["lamp"] == ("Lamp", 10.0, "light")
    report = shop.upload(f"{HEADER}lamp,Lamp,10,light\npen,Pen,1,desk\n")
    assert (report.rows_accepted, report.rows_duplicate) == (1, 1)  # nothing has changed the lamp since


def test_the_same_file_again_counts_after_a_change_and_only_then(shop: ItemShop) -> None:
    csv = f"{HEADER}lamp,Lamp,10,light\nmug,Mug,5,kitchen\n"
    shop.upload(csv)
    assert shop.upload(csv).already_stored
    shop.patch("lamp", price=12.0)
    again = shop.upload(csv)
    assert (again.already_stored, again.rows_accepted, again.rows_duplicate) == (False, 1, 1)
    assert shop.catalogue()["lamp"] == ("Lamp", 10.0, "light")
    retried = shop.upload(csv)
    assert (retried.already_stored, retried.upload_id) == (True, again.upload_id)
    shop.delete("mug")
    assert shop.upload(csv).rows_accepted == 1
    assert shop.catalogue() == {"lamp": ("Lamp", 10.0, "light"), "mug": ("Mug", 5.0, "kitchen")}


def test_a_file_acknowledged_before_a_change_loses_to_it_however_late_it_is_checked(shop: ItemShop) -> None:
    received = shop.later()
    shop.upload(f"{HEADER}lamp,Old,1,light\n")
    shop.patch("lamp", price=12.0)
    shop.upload(f"{HEADER}lamp,From the large file,3,light\nbed,Bed,9,sleep\n", now=received)
    assert shop.catalogue() == {"lamp": ("Old", 12.0, "light"), "bed": ("Bed", 9.0, "sleep")}


def test_a_deleted_item_stays_deleted_until_somebody_describes_it_anew(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\n")
    shop.delete("lamp")
    shop.patch("lamp", price=1.0)  # it was under way when the item was deleted
    assert shop.catalogue() == {}
    shop.put("lamp", title="New lamp")
    assert shop.catalogue() == {"lamp": ("New lamp", None, None)}
    shop.delete("lamp")
    shop.upload(f"{HEADER}lamp,Lamp again,10,light\n")
    assert shop.catalogue() == {"lamp": ("Lamp again", 10.0, "light")}


def test_a_change_is_later_than_what_is_stored_whatever_the_clock_says(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\n", now=NOW + timedelta(days=1))
    shop.append(ItemEdit("lamp", "patch", {"price": 11.0}), now=NOW)
    shop.append(ItemEdit("lamp", "patch", {"price": 12.0}), now=NOW - timedelta(days=1))
    first, second = list_item_changes(shop.db, shop.tenant)
    assert NOW + timedelta(days=1) < first.created_at < second.created_at
    assert shop.catalogue() == {"lamp": ("Lamp", 12.0, "light")}


def test_unknown_items_of_interactions_know_what_the_api_added_and_deleted(shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Lamp,10,light\nmug,Mug,5,kitchen\n")
    shop.put("pen", title="Pen")
    shop.delete("mug")
    shop.patch("lamp", price=1.0)
    header = "user_id,item_id,interaction_type,timestamp\n"
    rows = "".join(f"u,{item},view,2025-05-01T00:00:00Z\n" for item in ("lamp", "mug", "pen", "bed"))
    assert shop.upload(header + rows, kind=Kind.INTERACTIONS).statistics.unknown_items == 2


def test_two_shops_never_see_each_others_items(shop: ItemShop, other_shop: ItemShop) -> None:
    shop.upload(f"{HEADER}lamp,Blue lamp,10,light\n")
    other_shop.upload(f"{HEADER}lamp,Green lamp,20,light\n")
    shop.delete("lamp")
    other_shop.patch("lamp", price=21.0)
    assert shop.catalogue() == {}
    assert other_shop.catalogue() == {"lamp": ("Green lamp", 21.0, "light")}
    raw = write_raw_table(TenantStore(shop.lake, shop.db, other_shop.tenant), Kind.ITEMS)
    rows = pl.read_parquet(str(shop.lake.tenant(other_shop.tenant).raw("items")))
    assert rows.select("item_id", "title", "price", "upload_id").rows()[1:] == [
        ("lamp", "Green lamp", 21.0, "item_changes")
    ]
    assert raw.last_item_change == list_item_changes(shop.db, other_shop.tenant)[-1].seq


def test_writers_at_once_lose_nothing_and_a_key_counts_once(shop: ItemShop) -> None:
    key = WriteKey.of("k", "the same request")

    def write(number: int) -> bool:
        edit = ItemEdit(f"i{number}", "put", {"title": str(number)})
        shop.append(edit, now=NOW)
        once = ItemEdit("once", "put", {"title": "Once"})
        return append_item_changes(shop.db, shop.tenant, [once], now=NOW, key=key).repeated

    with ThreadPoolExecutor(8) as pool:
        repeated = list(pool.map(write, range(16)))
    changes = list_item_changes(shop.db, shop.tenant)
    assert repeated.count(False) == 1
    assert sorted(change.item_id for change in changes) == sorted(["once", *(f"i{n}" for n in range(16))])
    times = [change.created_at for change in changes]
    assert times == sorted(set(times))
    assert state_version(shop.db, shop.tenant) == len(changes)


@dataclass
class Model:
    """The catalogue as a person would keep it: one thing after the other."""

    items: dict[str, dict[str, object]] = field(default_factory=dict)

    def apply(self, action: str, item_id: str, fields: dict[str, object]) -> None:
        if action == "delete":
            self.items.pop(item_id, None)
        elif action != "patch":
            self.items[item_id] = {"title": None, "price": None, **fields}
        elif item_id in self.items:
            self.items[item_id] |= fields


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["upload", "upload", "put", "patch", "patch", "delete", "upload delete"]),
        st.sampled_from(["a", "b", "ü"]),
        st.sampled_from([{"title": "A", "price": 1.0}, {"title": "B"}, {"price": 2.0}, {"price": None}]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_any_order_of_files_and_changes_gives_what_one_after_the_other_does(
    steps: list[tuple[str, str, dict[str, object]]],
) -> None:
    model, uploaded, changes = Model(), [], []
    for place, (action, item_id, fields) in enumerate(steps, start=1):
        at = NOW + timedelta(minutes=place)
        model.apply(action.removeprefix("upload "), item_id, fields)
        if action.startswith("upload"):
            deleted = action != "upload"
            row = {"item_id": item_id, **({} if deleted else fields), "deleted": deleted, "received_at": at}
            uploaded.append({**row, "upload_id": f"items-{place}", "row_number": 2, "sequence": place})
        else:
            changes.append(ItemChange(item_id, action, {} if action == "delete" else fields, place, at))  # type: ignore[arg-type]
    base = pl.LazyFrame(uploaded, schema={**ROW_SCHEMA, "sequence": pl.Int64()})
    rows = newest_rows(base, change_rows(changes, base)).collect()
    assert {row["item_id"]: {"title": row["title"], "price": row["price"]} for row in rows.iter_rows(named=True)} == (
        model.items
    )
