"""The ledger of uploads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from resources.base.errors import TenantNotFound, UploadNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.uploads import (
    UploadRecord,
    counting_uploads,
    find_upload,
    get_upload,
    list_uploads,
    list_uploads_page,
    mark_ingested,
    mark_left_out,
    pending_uploads,
    record_upload,
    set_aside_upload,
    withdraw_upload,
)

pytestmark = pytest.mark.databases

Shops = tuple[TenantId, TenantId]


def record(tenant: TenantId, upload_id: str, now: datetime, *, kind: str = "items", accepted: int = 3) -> UploadRecord:
    return UploadRecord(
        tenant=tenant,
        upload_id=upload_id,
        kind=kind,
        sha256="ab" * 32,
        filename="Artikel ü.csv",
        source="http",
        status="partial",
        rows_accepted=accepted,
        rows_rejected=2,
        rows_duplicate=1,
        created_at=now,
    )


def test_a_record_comes_back_with_its_place(db: ControlDb, shops: Shops, now: datetime) -> None:
    sent = record(shops[0], "items-1", now)
    stored = record_upload(db, sent)
    assert stored.sequence > 0
    assert stored == replace(sent, sequence=stored.sequence)
    assert get_upload(db, shops[0], "items-1") == find_upload(db, shops[0], "items-1") == stored


def test_the_same_upload_again_changes_nothing(db: ControlDb, shops: Shops, now: datetime) -> None:
    first = record_upload(db, record(shops[0], "items-1", now))
    again = record_upload(db, record(shops[0], "items-1", now, accepted=99))
    assert again == first
    assert list_uploads(db, shops[0]) == (first,)


def test_tenants_may_store_the_same_file_and_see_only_their_own(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    record_upload(db, record(blue, "items-1", now))
    assert find_upload(db, green, "items-1") is None
    with pytest.raises(UploadNotFound, match="green has no upload 'items-1'"):
        get_upload(db, green, "items-1")
    record_upload(db, record(green, "items-1", now, accepted=7))
    assert get_upload(db, blue, "items-1").rows_accepted == 3
    assert get_upload(db, green, "items-1").rows_accepted == 7
    assert [upload.tenant for upload in list_uploads(db, green)] == [green]


def test_an_upload_of_nobody_is_not_acknowledged(db: ControlDb, now: datetime) -> None:
    with pytest.raises(TenantNotFound, match="nobody"):
        record_upload(db, record(TenantId("nobody"), "items-1", now))


def test_uploads_are_listed_in_order_and_by_kind(db: ControlDb, shops: Shops, now: datetime) -> None:
    assert list_uploads(db, shops[0]) == ()
    for name, kind in (("b", "items"), ("a", "users"), ("c", "items")):
        record_upload(db, record(shops[0], name, now, kind=kind))
    assert [upload.upload_id for upload in list_uploads(db, shops[0])] == ["b", "a", "c"]
    assert [upload.upload_id for upload in list_uploads(db, shops[0], kind="items")] == ["b", "c"]
    assert list_uploads(db, shops[0], kind="interactions") == ()


def test_pages_newest_first_repeat_nothing_and_miss_nothing(db: ControlDb, shops: Shops, now: datetime) -> None:
    for n in range(5):
        record_upload(db, record(shops[n % 2], f"u{n}", now))
    before, seen = None, []
    while page := list_uploads_page(db, shops[0], limit=2, before=before):
        assert len(page) <= 2
        seen += [upload.upload_id for upload in page]
        before = page[-1].sequence
    assert seen == ["u4", "u2", "u0"]


def test_pending_are_those_with_rows_that_no_run_took(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    record_upload(db, record(green, "g", now))
    record_upload(db, record(blue, "empty", now, accepted=0))
    record_upload(db, record(blue, "a", now))
    record_upload(db, record(blue, "b", now))
    assert [upload.upload_id for upload in pending_uploads(db)] == ["g", "a", "b"]
    mark_ingested(db, blue, ["a", "g", "unknown"], run_id="run-1")
    assert [upload.upload_id for upload in pending_uploads(db)] == ["g", "b"]


def test_the_first_run_that_took_an_upload_stays_noted(db: ControlDb, shops: Shops, now: datetime) -> None:
    record_upload(db, record(shops[0], "a", now))
    mark_ingested(db, shops[0], ["a"], run_id="run-1")
    mark_ingested(db, shops[0], ["a"], run_id="run-2")
    mark_ingested(db, shops[0], [], run_id="run-3")
    assert get_upload(db, shops[0], "a").ingested_run == "run-1"


def test_a_withdrawn_upload_stays_listed_and_counts_no_more(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue, green = shops
    record_upload(db, record(blue, "items-1", now))
    kept = record_upload(db, record(blue, "items-2", now))
    with pytest.raises(UploadNotFound):
        withdraw_upload(db, green, "items-1", now=now)
    first = withdraw_upload(db, blue, "items-1", now=now + timedelta(hours=1))
    again = withdraw_upload(db, blue, "items-1", now=now + timedelta(hours=2))
    assert first == again
    assert first.withdrawn_at == now + timedelta(hours=1)
    assert counting_uploads(db, blue) == (kept,)
    assert len(list_uploads(db, blue)) == 2


def test_what_no_run_has_taken_in_needs_no_run_to_leave_it_out(db: ControlDb, shops: Shops, now: datetime) -> None:
    blue = shops[0]
    record_upload(db, record(blue, "items-1", now))
    withdraw_upload(db, blue, "items-1", now=now)
    assert pending_uploads(db) == ()
    record_upload(db, record(blue, "items-2", now))
    mark_ingested(db, blue, ["items-2"], run_id="one")
    set_aside_upload(db, blue, "items-2", reason="too much", now=now)
    assert [(each.upload_id, each.set_aside_reason) for each in pending_uploads(db)] == [("items-2", "too much")]
    mark_left_out(db, blue, ["items-1", "items-2"], run_id="two")
    mark_left_out(db, blue, ["items-1", "items-2"], run_id="three")
    assert pending_uploads(db) == ()
    assert get_upload(db, blue, "items-2").left_out_run == "two"
