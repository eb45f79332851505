"""Rows that the tenant has already: in earlier uploads, in tracked events, in an upload that comes at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from resources.control_db.uploads import list_uploads
from resources.events.log import Event
from resources.storage.lake import write_parquet
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.report import UploadReport
from resources.uploads.deduplication import keys
from resources.uploads.store import rejected_csv, scan_accepted

HEADER = "user_id,item_id,interaction_type,timestamp,quantity,event_id,deleted"
T = "2024-05-01T10:00:00Z"


def figures(report: UploadReport) -> tuple[int, int, int]:
    """Rows accepted, rejected, duplicate."""
    return report.rows_accepted, report.rows_rejected, report.rows_duplicate


def table(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def event(**changes: Any) -> Event:
    time = datetime(2024, 5, 1, 10, tzinfo=UTC)
    return Event(
        **{"event_id": "e", "user_id": "u", "item_id": "i", "interaction_type": "view", "timestamp": time} | changes
    )


def test_an_interaction_of_an_earlier_upload_is_a_duplicate(shop: Any) -> None:
    shop.put("interactions", table(f"u,i,view,{T},1,e1,", f"v,i,view,{T},,,"))
    second = shop.put(
        "interactions",
        table(
            f"u,i,view,{T},2,,",
            "u,i,view,2024-05-02T10:00:00Z,,e1,",
            "w,j,view,2024-05-01T12:00:00+02:00,,e9,",
            f"v,i,view,{T},,e8,",
        ),
    )
    assert (figures(second), shop.lines(second)) == ((1, 0, 3), [4])
    third = shop.put("interactions", table(f"w,j,view,{T},,,", f"x,j,view,{T},,e8,"))
    assert shop.lines(third) == [3]  # e8 came with a duplicate, so it was never stored


@pytest.mark.parametrize("other", ["u,b,view", "u,a,click", "v,a,view"])
def test_lines_of_one_event_id_are_named_and_none_is_lost(shop: Any, other: str) -> None:
    report = shop.put(
        "interactions", table(f"u,a,view,{T},1,order-17,", f"{other},{T},2,order-17,", f"{other},{T},2,,")
    )
    assert (figures(report), shop.lines(report)) == ((2, 1, 0), [2, 4])
    assert report.errors_by_rule == {"event_id.conflict": 1}
    (error,) = report.validation_errors
    assert (error.row, error.column, error.value) == (3, "event_id", "order-17")
    assert "that of line 2 with another user, item or type" in error.error
    retry = shop.put("interactions", table("u,a,view,2024-05-09,5,order-17,"), minutes=1)
    assert figures(retry) == (0, 0, 1)
    later = shop.put("interactions", table(f"{other},{T},2,order-17,"), minutes=2)
    assert (figures(later), later.errors_by_rule) == ((0, 1, 0), {"event_id.conflict": 1})
    assert "that of an interaction that is stored with another" in later.validation_errors[0].error


def test_tenants_and_kinds_do_not_see_each_others_rows(shop: Any, shops: Any) -> None:
    content = table(f"u,i,view,{T},1,e1,")
    shop.put("interactions", content)
    assert figures(type(shop)(shop.lake, shop.db, shops[1]).put("interactions", content)) == (1, 0, 0)


def test_a_tracked_event_is_a_duplicate_in_a_file(shop: Any) -> None:
    shop.track(
        event(), event(event_id="f", item_id="j"), event(event_id="g", interaction_type="impression", item_id="k")
    )
    report = shop.put(
        "interactions",
        table(f"u,i,view,{T},,,", "u,j,view,2024-05-02T10:00:00Z,,f,", f"u,k,view,{T},,g,", f"u,j,view,{T},,h,"),
    )
    assert (figures(report), shop.lines(report)) == ((1, 0, 3), [4])
    assert report.quality.uniqueness == 0.25
    without_ids = shop.put("interactions", f"user_id,item_id,interaction_type,timestamp\nu,i,view,{T}\nu,m,view,{T}\n")
    assert shop.lines(without_ids) == [3]


def test_an_item_is_a_duplicate_only_of_its_newest_row(shop: Any) -> None:
    assert figures(shop.put("items", "item_id,title\n1,Lamp\n2,Chair\n")) == (2, 0, 0)
    # Columns that are empty, or absent, say the same.
    assert figures(shop.put("items", "item_id,title,price,colour\n1,Lamp,,\n2,Chair,5,\n", minutes=1)) == (1, 0, 1)
    assert figures(shop.put("items", "item_id,title\n2,Chair\n", minutes=2)) == (1, 0, 0)
    assert figures(shop.put("items", "item_id,title\n2,Chair\n3,Rug\n", minutes=3)) == (1, 0, 1)
    assert figures(shop.put("users", "user_id,age\nann,4\n")) == (1, 0, 0)
    assert figures(shop.put("users", "user_id,age\nann,4\nbob,5\n", minutes=1)) == (1, 0, 1)


def test_what_was_deleted_may_come_again(shop: Any) -> None:
    def put(minutes: int, *rows: str) -> list[int]:
        return list(shop.lines(shop.put("interactions", table(*rows), minutes=minutes)))

    first, other = f"u,i,view,{T},1,e1,", f"v,i,view,{T},,,"
    assert put(0, first, other) == [2, 3]
    assert put(1, f"u,i,view,{T},,,true") == [2]
    assert put(2, f"u,i,view,{T},2,e1,", other) == [2]  # the other row is still there
    assert put(3, f"x,x,click,{T},,e1,yes") == [2]  # by its event id, whatever else the row says
    assert put(4, f"u,i,view,{T},3,,") == [2]
    assert put(5, f"u,i,view,{T},3,e1,") == []


def test_one_file_corrects_a_row_by_deleting_it_and_adding_it_again(shop: Any) -> None:
    shop.put("interactions", table(f"u,i,purchase,{T},1,,", f"v,i,purchase,{T},1,,"))
    report = shop.put("interactions", table(f"u,i,purchase,{T},3,,", f"u,i,purchase,{T},,,1", f"v,i,purchase,{T},1,,"))
    assert (figures(report), report.statistics.deletions) == ((2, 0, 1), 1)
    assert report.statistics.interaction_types == {"purchase": 1}
    assert figures(shop.put("interactions", table(f"u,i,purchase,{T},9,,"), minutes=1)) == (0, 0, 1)


def test_a_tracked_event_that_was_deleted_may_come_again(shop: Any) -> None:
    shop.track(event(), minutes=0)
    shop.put("interactions", table(f"u,i,view,{T},,,true"), minutes=1)
    shop.track(event(event_id="later", item_id="j"), minutes=2)
    report = shop.put("interactions", table(f"u,i,view,{T},,,", f"u,j,view,{T},,,"), minutes=3)
    assert shop.lines(report) == [2]


def test_a_deleted_item_needs_no_title_and_may_come_again(shop: Any) -> None:
    shop.put("items", "item_id,title\n1,Lamp\n2,Chair\n")
    gone = shop.put("items", "item_id,deleted\n1,true\n2,no\n", minutes=1)
    assert gone.errors_by_rule == {"title.empty": 1}
    assert (gone.statistics.deletions, gone.statistics.unique_items) == (1, 0)
    row = scan_accepted(shop.lake, shop.tenant, gone.upload_id).collect().row(0, named=True)
    assert (row["item_id"], row["title"], row["deleted"]) == ("1", None, True)
    bought = shop.put("interactions", f"user_id,item_id,interaction_type,timestamp\nu,1,view,{T}\nu,2,view,{T}\n")
    assert bought.statistics.unknown_items == 1
    assert shop.lines(shop.put("items", "item_id,title\n1,Lamp\n2,Chair\n9,Rug\n", minutes=2)) == [2, 4]


def test_rejected_rows_are_mended_and_sent_alone(shop: Any) -> None:
    first = shop.put("items", "item_id,title,price\n1,Lamp,5\n2,,7\n3,Rug,-1\n4,=1+1,-2\n")
    assert figures(first) == (1, 3, 0)
    download = b"".join(rejected_csv(shop.lake, shop.tenant, first.upload_id)).decode("utf-8-sig")
    assert "'=1+1" in download
    mended = download.replace("2,,7", "2,Chair,7").replace(",-1", ",1").replace(",-2", ",2")
    second = shop.put("items", mended, minutes=1)
    assert figures(second) == (3, 0, 0)
    assert scan_accepted(shop.lake, shop.tenant, second.upload_id).collect()["title"].to_list() == [
        "Chair",
        "Rug",
        "=1+1",
    ]


def test_only_checking_compares_with_what_is_stored_and_stores_nothing(shop: Any) -> None:
    shop.put("interactions", table(f"u,i,view,{T},,,"))
    before = sorted(path.relative_to(shop.lake.root) for path in shop.lake.root.rglob("*"))
    report = shop.put("interactions", table(f"u,i,view,{T},,,", f"u,j,view,{T},,,"), validate_only=True)
    assert (figures(report), report.validate_only, report.storage_location) == ((1, 0, 1), True, None)
    again = shop.put("interactions", table(f"u,i,view,{T},,,"), validate_only=True)
    assert (figures(again), again.validate_only, again.already_stored) == ((1, 0, 0), True, True)
    assert sorted(path.relative_to(shop.lake.root) for path in shop.lake.root.rglob("*")) == before
    assert list((shop.lake.scratch / "uploads").iterdir()) == []
    assert len(list_uploads(shop.db, shop.tenant)) == 1


def test_rejected_rows_are_looked_at_again_when_the_rules_have_changed(shop: Any) -> None:
    content = table(f"u,i,view,{T},,,", f"u,i,bestellt,{T},,,")
    first = shop.put("interactions", content)
    own = TenantSettings(interaction_types={"bestellt": "purchase"})
    second = shop.put("interactions", content, settings=own, minutes=1)
    assert (figures(first), figures(second), second.already_stored) == ((1, 1, 0), (1, 0, 1), False)
    assert first.upload_id != second.upload_id
    again = shop.put("interactions", content, settings=own, minutes=2)
    assert (again.upload_id, again.already_stored) == (second.upload_id, True)
    assert shop.put("interactions", content, minutes=3).upload_id == first.upload_id
    clean = shop.put("interactions", table(f"u,k,view,{T},,,"))
    assert shop.put("interactions", table(f"u,k,view,{T},,,"), settings=own).upload_id == clean.upload_id


def test_equal_rows_that_come_at_the_same_time_count_once(shop: Any) -> None:
    rows = [f"u{n},i,view,{T},,," for n in range(2_000)]
    files = [table(*rows), table(*reversed(rows)), table(*rows, f"v,i,view,{T},,,")]
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda content: shop.put("interactions", content), files))
    assert sum(report.rows_accepted for report in reports) == 2_001
    assert sum(report.rows_duplicate for report in reports) == 4_000
    stored = pl.concat(scan_accepted(shop.lake, shop.tenant, report.upload_id) for report in reports).collect()
    assert stored["user_id"].n_unique() == stored.height == 2_001


@pytest.mark.parametrize("lost", ["missing", "other polars"])
def test_lost_hashes_are_made_again(shop: Any, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    first = shop.put("interactions", table(f"u,i,view,{T},,e1,", f"v,i,view,{T},,,"))
    path = shop.lake.tenant(shop.tenant).upload(first.upload_id) / "keys.parquet"
    stored = pl.read_parquet(path)
    if lost == "missing":
        path.unlink()
    else:
        monkeypatch.setattr(keys, "scheme", lambda: "0000")
    assert figures(shop.put("interactions", table(f"u,i,view,{T},7,e1,", f"v,i,view,{T},,,"))) == (0, 0, 2)
    assert pl.read_parquet(path).height == stored.height


def test_equal_hashes_alone_make_no_duplicate(shop: Any) -> None:
    """A stored row that was erased since, or another one with the same hash, is compared as it is."""
    first = shop.put("interactions", table(f"u,i,view,{T},,,", f"v,i,view,{T},,,"))
    (part,) = shop.lake.tenant(shop.tenant).accepted(first.upload_id).iterdir()
    stored = pl.read_parquet(part)
    write_parquet(part, stored.filter(user_id="v").with_columns(user_id=pl.lit("x")))
    assert figures(shop.put("interactions", table(f"u,i,view,{T},1,,", f"v,i,view,{T},1,,"))) == (2, 0, 0)
