"""Tenants that an accepted giant has stopped: they run again after the upgrade, without a hand in the database.

The giants are stored as earlier versions stored them: they judged a file by its compressed size, and millions of rows
of one text compress to next to nothing. Every run has a process of its own, with a limit of memory, as on a small
machine.
The version before ran out of memory in `stg_users` over "users with a page of text each".
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from resources.base.tenant import TenantId
from resources.control_db.uploads import UploadRecord, list_uploads, record_upload
from resources.release.load import load_release
from resources.storage.lake import part_name
from resources.uploads.contract.columns import Kind, accepted_schema
from resources.uploads.contract.report import UploadReport, UploadStatus
from tests.defs.site import Site, open_shop

BLUE = TenantId("blue")
PART_ROWS = 1_000_000
GIB = 1024**3
MEMORY = {"RECSAAS_DBT_MEMORY_BYTES": str(GIB // 2), "RECSAAS_TRAINING_THREADS": "1", "POLARS_MAX_THREADS": "2"}
ROOM = {"RECSAAS_MAX_TRAINING_USERS": "5000", "RECSAAS_MAX_TRAINING_ITEMS": "2000"}


@dataclass(frozen=True)
class Giant:
    """An upload of so many rows; `columns` are expressions over `n`, the number of the row."""

    kind: Kind
    rows: int
    columns: dict[str, pl.Expr]


NUMBER = pl.col("n").cast(pl.String)
GIANTS = {
    "users with a page of text each": Giant(
        Kind.USERS, 600_000, {"user_id": "x" + NUMBER, "extra_note": pl.lit("lorem ipsum " * 340)}
    ),
    "items with a book for a title": Giant(
        Kind.ITEMS, 2_000, {"item_id": "x" + NUMBER, "title": pl.lit("t" * 900_000)}
    ),
    "four million users": Giant(
        Kind.USERS, 4_000_000, {"user_id": "x" + NUMBER, "extra_note": pl.lit("lorem ipsum " * 8)}
    ),
    "users and items that come once": Giant(
        Kind.INTERACTIONS,
        400_000,
        {"user_id": "x" + NUMBER, "item_id": "x" + (pl.col("n") % 200_000).cast(pl.String)},
    ),
    "one user and one item": Giant(Kind.INTERACTIONS, 2_000_000, {"user_id": pl.lit("x"), "item_id": pl.lit("bi001")}),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "home")
    parse_manifest(PROJECT_DIR, site.settings.dbt_target)
    site.create("blue")
    open_shop(site, "blue", "b")
    return site


def accept(site: Site, giant: Giant) -> str:
    """Store a giant with the files and the row that an earlier version left."""
    upload_id = f"{giant.kind}-{'0' * 16}"
    folder = site.lake("blue").upload(upload_id)
    for each in ("accepted", "rejected"):
        (folder / each).mkdir(parents=True)
    own = {"upload_id": pl.lit(upload_id), "row_number": pl.col("n") + 2, "deleted": pl.lit(False)}
    if giant.kind is Kind.INTERACTIONS:
        own |= {
            "interaction_type": pl.lit("view"),
            "timestamp": pl.lit(datetime(2026, 1, 1, tzinfo=UTC)) + pl.duration(seconds=pl.col("n")),
        }
    given = own | giant.columns
    schema = accepted_schema(giant.kind)
    columns = [given.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in schema.items()]
    columns += [given[name].alias(name) for name in given if name not in schema]
    for number, first in enumerate(range(0, giant.rows, PART_ROWS)):
        rows = pl.select(n=pl.int_range(first, min(first + PART_ROWS, giant.rows), dtype=pl.Int64))
        rows.lazy().select(columns).sink_parquet(folder / "accepted" / part_name(number), compression="zstd")
    pl.DataFrame(schema={"rejected_row": pl.Int64, "rejected_reason": pl.String}).write_parquet(
        folder / "rejected" / part_name(0)
    )
    report = UploadReport(
        upload_id=upload_id,
        kind=giant.kind,
        status=UploadStatus.SUCCESS,
        filename="giant.parquet",
        sha256="0" * 64,
        rows_total=giant.rows,
        rows_accepted=giant.rows,
        rows_rejected=0,
        rows_duplicate=0,
    )
    (folder / "report.json").write_text(report.model_dump_json())
    record_upload(
        site.db,
        UploadRecord(
            tenant=BLUE,
            upload_id=upload_id,
            kind=giant.kind.value,
            sha256="0" * 64,
            filename="giant.parquet",
            source="http",
            status="success",
            rows_accepted=giant.rows,
            rows_rejected=0,
            rows_duplicate=0,
            created_at=datetime.now(UTC),
        ),
    )
    return upload_id


def run(site: Site, *, most_bytes: int = 12 * GIB, **more: str) -> tuple[int, str, float]:
    """Run the tenant as a person does; return the exit code, what was said, and the peak memory in MB."""
    environment = {**os.environ, **MEMORY, **ROOM, "RECSAAS_HOME": str(site.home), **more}
    with subprocess.Popen(
        [sys.executable, "-c", "from recsaas_assets.cli import main; main()", "run", "blue"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_limit(most_bytes),
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, usage.ru_maxrss / 1024


def _limit(most_bytes: int) -> Callable[[], None]:
    # Addresses, not pages: torch and DuckDB reserve more than they use.
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


@pytest.mark.parametrize("name", GIANTS)
def test_a_tenant_stopped_by_a_giant_runs_again(site: Site, name: str) -> None:
    giant = GIANTS[name]
    upload_id = accept(site, giant)
    began = time.monotonic()
    code, said, megabytes = run(site)
    seconds = time.monotonic() - began
    assert code == 0, said[-3_000:]
    sys.stdout.write(f"{name}: {giant.rows:,} rows, {seconds:.0f} s, {megabytes:,.0f} MB\n")
    assert megabytes < 6_000
    store = site.releases("blue")
    version = store.current()
    assert version is not None
    release = load_release(store.directory(version), cache=store.cache)
    assert "bu001" in release.user_rows
    cards = (release.catalogue.card(row) for row in range(min(release.catalogue.size, 3_000)))
    assert max(len(card.title or "") for card in cards) <= 2_000
    (record,) = (each for each in list_uploads(site.db, BLUE) if each.upload_id == upload_id)
    assert record.set_aside_reason is None
