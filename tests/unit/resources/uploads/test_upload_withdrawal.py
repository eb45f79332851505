"""A withdrawn upload: its rows stop counting everywhere, and what was sent may be sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsaas_assets.ingestion.raw_tables import taken_in, uploads_table, write_raw_table
from resources.base.errors import Conflict, TooLarge, UploadNotFound
from resources.base.settings import Settings
from resources.catalogue.items import ItemCatalogue, ItemQuery
from resources.control_db.uploads import find_upload, list_uploads, mark_ingested, mark_left_out
from resources.decisions.store import open_decisions
from resources.jobs.kinds.uploads import ReceivedUpload
from resources.storage.lake import scan_parquet
from resources.stores.tenant_store import TenantStore
from resources.training.readiness import measure_readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import DEFAULT_LIMITS, UploadLimits
from resources.uploads.jobs import submit_upload
from resources.uploads.lineage import trace_upload
from resources.uploads.tenant_quality import tenant_quality
from resources.uploads.withdraw import Withdrawal, withdraw
from tests.unit.resources.uploads.conftest import NOW

HEADER = "user_id,item_id,interaction_type,timestamp\n"
T = "2024-05-01T10:00:00Z"
A, B, C = f"u,i,view,{T}\n", f"v,i,view,{T}\n", f"w,j,view,{T}\n"


def after(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def take_back(shop: Any, upload_id: str, minutes: int) -> Withdrawal:
    return withdraw(shop.db, shop.tenant, upload_id, now=after(minutes))


def raw_ids(shop: Any, kind: Kind) -> list[str]:
    write_raw_table(TenantStore(shop.lake, shop.db, shop.tenant), kind)
    column = "item_id" if kind is Kind.ITEMS else "user_id"
    rows = scan_parquet([shop.lake.tenant(shop.tenant).raw(kind.value)]).select(column).collect()
    return list(rows[column])


def test_rows_of_a_withdrawn_upload_are_in_no_table_and_count_nowhere(shop: Any) -> None:
    items = shop.put("items", "item_id,title\n1,Lamp\n2,Chair\n")
    first = shop.put("interactions", HEADER + A + B)
    shop.put("interactions", HEADER + C, minutes=1)
    assert raw_ids(shop, Kind.INTERACTIONS) == ["u", "v", "w"]
    done = take_back(shop, first.upload_id, 2)
    assert done.upload.withdrawn_at == after(2)
    take_back(shop, items.upload_id, 3)
    assert raw_ids(shop, Kind.INTERACTIONS) == ["w"]
    assert raw_ids(shop, Kind.ITEMS) == []
    assert measure_readiness(TenantStore(shop.lake, shop.db, shop.tenant)).counts.interactions == 1
    assert ItemCatalogue(shop.lake, shop.db).page(shop.tenant, ItemQuery()) == ()
    quality = tenant_quality(TenantStore(shop.lake, shop.db, shop.tenant), now=after(4))
    assert [each.rows_accepted for each in quality.uploads] == [1]


def test_the_catalogue_forgets_withdrawn_items_at_once(shop: Any) -> None:
    catalogue = ItemCatalogue(shop.lake, shop.db)
    shop.put("items", "item_id,title,price\n1,Lamp,5\n")
    wrong = shop.put("items", "item_id,title,price\n1,Lamp,500\n2,Ghost,1\n", minutes=1)
    assert [(item.item_id, item.price) for item in catalogue.page(shop.tenant, ItemQuery())] == [("1", 500), ("2", 1)]
    take_back(shop, wrong.upload_id, 2)
    assert [(item.item_id, item.price) for item in catalogue.page(shop.tenant, ItemQuery())] == [("1", 5)]
    # What is compared with afterwards is the row before it.
    assert shop.put("items", "item_id,title,price\n1,Lamp,5\n2,Ghost,1\n", minutes=3).rows_duplicate == 1


def test_the_same_rows_count_anew_in_the_same_file_and_in_another_one(shop: Any) -> None:
    first = shop.put("interactions", HEADER + A + B)
    take_back(shop, first.upload_id, 1)
    assert shop.put("interactions", HEADER + B, minutes=2).rows_accepted == 1
    again = shop.put("interactions", HEADER + A + B, minutes=3)
    assert (again.upload_id != first.upload_id, again.already_stored) == (True, False)
    assert (again.rows_accepted, again.rows_duplicate) == (1, 1)
    assert shop.put("interactions", HEADER + A + B, minutes=4).already_stored
    take_back(shop, again.upload_id, 5)
    third = shop.put("interactions", HEADER + A + B, minutes=6)
    assert third.upload_id not in (first.upload_id, again.upload_id)
    assert len(list_uploads(shop.db, shop.tenant)) == 4


def test_a_file_whose_rows_repeated_a_withdrawn_upload_can_be_sent_again(shop: Any) -> None:
    first = shop.put("interactions", HEADER + A + B)
    second = shop.put("interactions", HEADER + A + C, minutes=1)
    shop.put("interactions", HEADER + f"x,x,view,{T}\n", minutes=2)
    assert second.rows_duplicate == 1
    assert take_back(shop, first.upload_id, 3).send_again == (second.upload_id,)
    assert raw_ids(shop, Kind.INTERACTIONS) == ["w", "x"]
    again = shop.put("interactions", HEADER + A + C, minutes=4)
    assert (again.rows_accepted, again.rows_duplicate) == (1, 1)
    assert sorted(raw_ids(shop, Kind.INTERACTIONS)) == ["u", "w", "x"]
    assert shop.put("interactions", HEADER + A + C, minutes=5).already_stored


def test_a_deletion_that_is_withdrawn_gives_the_rows_back(shop: Any) -> None:
    shop.put("users", "user_id,country\nann,DE\n")
    gone = shop.put("users", "user_id,deleted\nann,true\n", minutes=1)
    take_back(shop, gone.upload_id, 2)
    assert raw_ids(shop, Kind.USERS) == ["ann"]
    assert shop.put("users", "user_id,country\nann,DE\nbob,DE\n", minutes=3).rows_duplicate == 1


def test_a_check_that_began_before_the_withdrawal_does_not_undo_it(shop: Any) -> None:
    first = shop.put("interactions", HEADER + A)
    take_back(shop, first.upload_id, 5)
    # The worker died between the commit and the end of its job, which another one begins anew.
    assert shop.put("interactions", HEADER + A, minutes=0).already_stored
    assert raw_ids(shop, Kind.INTERACTIONS) == []


def test_a_withdrawal_while_a_run_goes_on_is_for_the_next_one(shop: Any) -> None:
    first = shop.put("interactions", HEADER + A)
    taken = write_raw_table(TenantStore(shop.lake, shop.db, shop.tenant), Kind.INTERACTIONS).uploads
    take_back(shop, first.upload_id, 1)
    mark_ingested(shop.db, shop.tenant, [each.upload_id for each in taken], run_id="one")
    (record,) = list_uploads(shop.db, shop.tenant)
    assert (taken_in(record), record.ingested_run, record.left_out_run) == (True, "one", None)
    raw = write_raw_table(TenantStore(shop.lake, shop.db, shop.tenant), Kind.INTERACTIONS)
    assert (raw.rows, raw.uploads, [each.upload_id for each in raw.left_out]) == (0, (), [first.upload_id])
    mark_left_out(shop.db, shop.tenant, [first.upload_id], run_id="two")
    assert uploads_table([u for u in list_uploads(shop.db, shop.tenant) if taken_in(u)]).height == 0


def test_history_and_trace_stay(shop: Any, tmp_path: Path) -> None:
    first = shop.put("interactions", HEADER + A)
    take_back(shop, first.upload_id, 1)
    decisions = open_decisions(f"sqlite:///{tmp_path}/decisions.db")
    trace = trace_upload(TenantStore(shop.lake, shop.db, shop.tenant), decisions, first.upload_id)
    assert (trace.withdrawn_at, trace.rows_accepted, trace.live) == (after(1), 1, False)
    assert "withdrawn" in trace.notes[0]
    decisions.close()


def test_what_is_not_there_cannot_be_withdrawn(shop: Any, tmp_path: Path) -> None:
    with pytest.raises(UploadNotFound):
        take_back(shop, "items-0000000000000000", 1)
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n1,Lamp\n")
    sha = "ab" * 32
    received = ReceivedUpload(
        kind=Kind.ITEMS.value,
        filename="items.csv",
        source="http",
        sha256=sha,
        validate_only=False,
        bytes_total=file.stat().st_size,
    )
    submit_upload(TenantStore(shop.lake, shop.db, shop.tenant), file, received, now=datetime.now(UTC))
    with pytest.raises(Conflict, match="still being checked"):
        take_back(shop, f"items-{sha[:16]}", 1)
    assert find_upload(shop.db, shop.tenant, f"items-{sha[:16]}") is None


def test_a_tenant_has_room_for_so_many_rows_and_a_withdrawal_makes_some(shop: Any) -> None:
    first = shop.put("interactions", HEADER + A + B, limits=UploadLimits(max_tenant_rows=3))
    with pytest.raises(TooLarge) as refusal:
        shop.put("users", "user_id\nu\nv\n", minutes=1, limits=UploadLimits(max_tenant_rows=3))
    for part in ("2 new rows", "2 rows are stored", "at most 3", f"{first.upload_id} with 2", "withdraw"):
        assert part in refusal.value.message
    with pytest.raises(TooLarge):
        shop.put("users", "user_id\nu\nv\n", minutes=1, limits=UploadLimits(max_tenant_rows=3), validate_only=True)
    # What is stored already says nothing new and needs no room.
    assert (
        shop.put(
            "interactions", HEADER + A + B + "w,j\n", minutes=2, limits=UploadLimits(max_tenant_rows=2)
        ).rows_accepted
        == 0
    )
    take_back(shop, first.upload_id, 3)
    assert shop.put("users", "user_id\nu\nv\n", minutes=4, limits=UploadLimits(max_tenant_rows=3)).rows_accepted == 2


def test_the_default_limits_are_those_of_the_settings() -> None:
    assert UploadLimits.of(Settings()) == DEFAULT_LIMITS
