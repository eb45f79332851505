"""What a file does to the process that reads it is one clear error, for whoever stores it."""

from __future__ import annotations

import errno
import gzip
import io
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy.exc import OperationalError

from resources.base.errors import TenantNotFound, TooLarge, UploadRefused
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import PATIENT_SECONDS
from resources.control_db.uploads import list_uploads
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import AT_ONCE_ROWS, TakesLong, UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.parsing.uploaded_file import SMALL_TEXT_BYTES
from resources.uploads.store import store_upload
from resources.uploads.store_in_child import children, main, store_in_child
from tests.unit.resources.uploads.conftest import NOW, Shop, incoming, left

pytestmark = pytest.mark.e2e
HOSTILE = Path(__file__).parents[5] / "shared" / "cases" / "hostile"
HEADER = "user_id,item_id,interaction_type,timestamp\n"
PLENTY = UploadLimits()
AT_ONCE = UploadLimits(cpu_seconds=30, at_once_bytes=32 * 1024**2)


def put(
    shop: Shop, content: bytes | Path, *, name: str = "a.parquet", limits: UploadLimits = PLENTY, **more: Any
) -> Any:
    everyday: dict[str, Any] = {"origin": "http", "max_bytes": 2**31, "filename": name, "limits": limits}
    kind = more.pop("kind", Kind.INTERACTIONS)
    return store_in_child(shop.store, *incoming(kind, content, **{**everyday, **more}), **left(more))


def interactions(rows: int) -> pl.DataFrame:
    row = pl.int_range(rows, eager=True)
    return pl.select(user_id=row % 1000, item_id=row, interaction_type=pl.lit("view"), timestamp=1_700_000_000 + row)


def parquet(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def refused(shop: Shop, *args: Any, **options: Any) -> UploadRefused:
    with pytest.raises(UploadRefused) as refusal:
        put(shop, *args, **options)
    assert list_uploads(shop.db, shop.tenant) == ()
    assert list((shop.lake.scratch / "uploads").glob("*")) == []
    return refusal.value


def test_a_child_stores_what_this_process_would(shop: Shop, shops: tuple[TenantId, TenantId]) -> None:
    data = parquet(interactions(5_000))
    stored = put(shop, data)
    assert stored.rows_accepted == 5_000
    given = incoming(Kind.INTERACTIONS, data, filename="a.parquet", origin="http")
    alone = store_upload(TenantStore(shop.lake, shop.db, shops[1]), *given)
    differ = {"storage_location"}
    assert stored.model_dump(exclude=differ) == alone.model_dump(exclude=differ)
    (record,) = list_uploads(shop.db, shop.tenant)
    assert (record.source, record.created_at) == ("http", NOW)
    again = put(shop, data, now=NOW + timedelta(days=1))
    assert isinstance(again, UploadReport)
    assert again.already_stored


@pytest.mark.parametrize("name", ["signal6-12-3849", "crash212"])
def test_a_file_that_kills_its_reader(shop: Shop, name: str) -> None:
    if not HOSTILE.is_dir():
        pytest.skip(f"no hostile files at {HOSTILE}")
    refusal = refused(shop, HOSTILE / f"{name}.parquet")
    assert refusal.reason in ("not_parquet", "missing_column")
    assert put(shop, (HOSTILE / "base.parquet").read_bytes()).rows_total == 2


def test_processor_time_is_bounded(shop: Shop) -> None:
    limits = UploadLimits(cpu_seconds=1, at_once_bytes=2**30)
    refusal = refused(shop, f"{HEADER}{'a,b' * 3}\n".encode() + b"a,b\n" * 900_000, name="a.csv", limits=limits)
    assert refusal.reason == "too_expensive"
    assert "1 seconds of processor time" in refusal.message
    assert "split it" in refusal.message


def test_memory_is_bounded(shop: Shop) -> None:
    one_line = HEADER.encode() + b"a," * 20_000_000
    refusal = refused(shop, one_line, name="a.csv", limits=UploadLimits(memory_bytes=256 * 1024**2))
    assert refusal.reason == "too_expensive"
    assert "bytes of memory" in refusal.message


def test_what_cost_little_to_send_may_take_little_to_read() -> None:
    assert PLENTY.cpu_seconds_for(1) < PLENTY.cpu_seconds_for(32 * 1024**2) < PLENTY.cpu_seconds_for(2 * 1024**3)
    assert PLENTY.cpu_seconds_for(2 * 1024**3) == PLENTY.cpu_seconds
    assert AT_ONCE.cpu_seconds_for(1) == 30


def test_the_limits_are_those_of_the_settings() -> None:
    assert UploadLimits.of(Settings()) == PLENTY
    assert UploadLimits.of(Settings(), at_once=True) == AT_ONCE


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (interactions(AT_ONCE_ROWS + 1), {}),
        (pl.DataFrame({"item_id": range(100), "title": ["x" * 1_000_000] * 100}), {"compression": "zstd"}),
    ],
)
def test_a_short_file_that_takes_long_is_not_checked_at_once(
    shop: Shop, frame: pl.DataFrame, options: dict[str, Any]
) -> None:
    kind = Kind.ITEMS if "title" in frame.columns else Kind.INTERACTIONS
    with pytest.raises(TakesLong):
        put(shop, parquet(frame, **options), limits=AT_ONCE, kind=kind)
    assert list_uploads(shop.db, shop.tenant) == ()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_rows_of_text_are_counted_while_they_are_read(shop: Shop, name: str) -> None:
    text = b"user_id\n" + b"1\n" * (AT_ONCE_ROWS + 1)
    with pytest.raises(TakesLong):
        put(shop, gzip.compress(text) if name.endswith("gz") else text, name=name, limits=AT_ONCE, kind=Kind.USERS)


def test_a_row_group_that_would_not_fit_into_memory_is_refused_before_it_is_read(shop: Shop) -> None:
    texts = pl.DataFrame({"item_id": range(300), "title": [f"{n}" + "x" * 1_000_000 for n in range(300)]})
    limits = UploadLimits(memory_bytes=1024**3)
    whole = parquet(texts, compression="zstd")
    assert len(whole) < 10**6
    refusal = refused(shop, whole, limits=limits, kind=Kind.ITEMS)
    assert refusal.reason == "too_expensive"
    assert "smaller row groups" in refusal.message
    report = put(shop, parquet(texts.head(30), compression="zstd", row_group_size=10), limits=limits, kind=Kind.ITEMS)
    assert report.rows_total == 30


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz"])
def test_rows_of_a_file_are_bounded(shop: Shop, name: str) -> None:
    frame = interactions(3_000)
    text = frame.write_csv().encode()
    data = {"a.parquet": parquet(frame), "a.csv": text, "a.csv.gz": gzip.compress(text)}[name]
    with pytest.raises(TooLarge, match=r"2,999 rows; split it"):
        put(shop, data, name=name, limits=UploadLimits(max_rows=2_999))
    assert put(shop, data, name=name, limits=UploadLimits(max_rows=3_000)).rows_accepted == 3_000


def test_errors_are_those_of_this_process(shop: Shop) -> None:
    data = parquet(interactions(10))
    given = incoming(Kind.INTERACTIONS, data, filename="a.parquet")
    with pytest.raises(TenantNotFound):
        store_in_child(TenantStore(shop.lake, shop.db, TenantId("nobody")), *given)
    with pytest.raises(TooLarge):
        put(shop, data, max_bytes=10)
    with pytest.raises(FileNotFoundError):
        put(shop, Path("/there/is/no/such.parquet"))


def test_a_damaged_footer_is_told(shop: Shop) -> None:
    data = parquet(interactions(10))
    refusal = refused(shop, data[:-12] + b"\xff" * 4 + data[-8:])
    assert refusal.reason == "not_parquet"
    assert "export it again" in refusal.message


def test_whoever_waits_may_break_off(shop: Shop) -> None:
    def enough(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        put(shop, parquet(interactions(200_000)), on_progress=enough)
    assert list((shop.lake.scratch / "uploads").glob("*")) == []


def test_a_full_disk_is_no_fault_of_the_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)")

    def here(_module: str, request: dict[str, Any], **_: Any) -> Any:
        return main(request, lambda _: None)

    monkeypatch.setattr("resources.uploads.store_in_child.store_upload", full)
    monkeypatch.setattr(children(), "run", here)
    with pytest.raises(OSError) as error:
        put(shop, parquet(interactions(10)))
    assert error.value.errno == errno.ENOSPC


def test_trivial_text_needs_no_child(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children(), "run", None)
    text = HEADER + "a,b,view,1700000000\n" * 10
    assert len(text) < SMALL_TEXT_BYTES
    assert put(shop, text.encode(), name="a.csv").rows_total == 10


def test_a_panic_of_the_reader_is_no_error_of_ours(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: Any, **__: Any) -> Any:
        raise pl.exceptions.PanicException("index out of bounds")

    monkeypatch.setattr("resources.uploads.store.inspect_file", panics)
    refusal = refused(shop, HEADER.encode() + b"a,b,view,1\n", name="a.csv")
    assert refusal.reason == "not_csv"


def test_a_write_lock_held_by_somebody_is_an_outage_while_somebody_waits_for_the_answer(shop: Shop) -> None:
    """A job waits for half a minute; whoever asked the service is told to try again."""
    children().start()
    put(shop, gzip.compress(b"item_id,title\n1,Lamp\n"), name="warm.csv.gz", kind=Kind.ITEMS)
    file = str(shop.db.engine.url.database)
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="locked"):
            put(shop, gzip.compress(b"item_id,title\n2,Desk\n"), name="a.csv.gz", kind=Kind.ITEMS, limits=AT_ONCE)
        assert time.monotonic() - began < PATIENT_SECONDS
        holder.execute("ROLLBACK")
