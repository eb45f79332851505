"""One process of `recsaas bench ingest`: it invents a file, checks it, stores it, and measures itself."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.processes.memory import peak_memory_bytes
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.compare import inspect_upload
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import store_upload

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SHOP = TenantId("bench")
_AT_ONCE = 1_000_000
_MAX_BYTES = 1 << 50


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """Figures of one file. Those of inspection and of the yardstick are 0 when only storing was measured.

    The CPU seconds are of all threads, and hardly depend on what else the machine does.
    """

    rows: int
    file_bytes: int
    rows_accepted: int
    rows_rejected: int
    rows_duplicate: int
    inspected_rows_per_second: int
    stored_rows_per_second: int
    read_csv_rows_per_second: int
    inspect_cpu_seconds: float
    store_cpu_seconds: float
    store_seconds: float
    memory_before_bytes: int
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class _Timed:
    seconds: float
    cpu_seconds: float
    result: Any


def measure_ingest(
    file: Path,
    *,
    seed: int,
    bad: float,
    repeats: int,
    rows: int = 0,
    gigabytes: float = 0.0,
    repeated: float = 0.0,
) -> IngestFigures:
    """Write the file and measure; with 0 `repeats` only storing, once.

    Args:
        bad: share of rows that break a rule.
        repeated: share of rows that stand in the file twice.
    """
    # Inventing rows takes memory, too, so it is done elsewhere.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(write_interactions, file, rows, int(gigabytes * 1e9), seed, bad, repeated).result()
    with tempfile.TemporaryDirectory(dir=file.parent) as warm:
        small = Path(warm) / "small.csv"
        small.write_text("user_id,item_id,interaction_type,timestamp\nu,i,view,2025-05-01\nu,,view,2025-05-01\n")
        _store(small)
    before = peak_memory_bytes()
    inspected = _fastest(lambda: _inspect(file), repeats)
    stored = _fastest(lambda: _store(file), max(1, repeats))
    report = stored.result
    peak = peak_memory_bytes()
    read = _fastest(lambda: pl.read_csv(file).height, repeats)
    return IngestFigures(
        rows=report.rows_total,
        file_bytes=file.stat().st_size,
        rows_accepted=report.rows_accepted,
        rows_rejected=report.rows_rejected,
        rows_duplicate=report.rows_duplicate,
        inspected_rows_per_second=round(report.rows_total / inspected.seconds) if repeats else 0,
        stored_rows_per_second=round(report.rows_total / stored.seconds),
        read_csv_rows_per_second=round(report.rows_total / read.seconds) if repeats else 0,
        inspect_cpu_seconds=round(inspected.cpu_seconds, 3),
        store_cpu_seconds=round(stored.cpu_seconds, 3),
        store_seconds=round(stored.seconds, 3),
        memory_before_bytes=before,
        peak_memory_bytes=peak,
    )


def write_interactions(file: Path, rows: int, size: int, seed: int, bad: float, repeated: float) -> None:
    """Write invented interactions as CSV: `rows` of them, or as many as fill `size` bytes."""
    rng = np.random.default_rng(seed)
    written = 0
    with file.open("wb") as handle:
        while written < rows or handle.tell() < size:
            n = min(_AT_ONCE, rows - written) if rows else _AT_ONCE
            frame = _interactions(rng, n, bad)
            frame.write_csv(handle, include_header=not written)
            frame.head(int(n * repeated)).write_csv(handle, include_header=False)
            written += n


def _interactions(rng: np.random.Generator, rows: int, bad: float) -> pl.DataFrame:
    start = int((_NOW - timedelta(days=700)).timestamp())
    wrong = pl.Series(rng.random(rows) < bad)
    frame = pl.DataFrame(
        {
            "user_id": rng.integers(0, 200_000, rows),
            "item_id": rng.integers(0, 50_000, rows),
            "interaction_type": rng.choice(np.array(["view", "click", "add_to_cart", "purchase"]), rows),
            "timestamp": start + rng.integers(0, 700 * 86_400, rows),
            "price": rng.integers(100, 99_999, rows) / 100,
        }
    )
    return frame.with_columns(
        pl.format("user-{}", "user_id").alias("user_id"),
        # Two rules broken in one row: an id that is missing, and a price below 0.
        pl.when(wrong).then(pl.lit("")).otherwise(pl.format("item-{}", "item_id")).alias("item_id"),
        pl.from_epoch("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pl.when(wrong).then(-pl.col("price")).otherwise("price").alias("price"),
    )


def _inspect(file: Path) -> UploadReport:
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        return inspect_upload(
            IncomingUpload(Kind.INTERACTIONS, file, filename=file.name, origin="cli", received_at=_NOW),
            UploadPolicy(TenantSettings(), max_bytes=_MAX_BYTES),
            work=Path(work),
        ).report


def _store(file: Path) -> UploadReport:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        db = open_control_db(f"sqlite:///{folder}/control.db")
        create_tenant(db, _SHOP, name="Bench", now=_NOW)
        try:
            return store_upload(
                TenantStore(Lake.open(f"{folder}/lake", scratch=Path(folder) / "scratch"), db, _SHOP),
                IncomingUpload(Kind.INTERACTIONS, file, filename=file.name, origin="cli", received_at=_NOW),
                UploadPolicy(TenantSettings(), max_bytes=_MAX_BYTES),
            )
        finally:
            db.close()


def _fastest(work: Callable[[], Any], repeats: int) -> _Timed:
    """The fastest of the repeats: the others were disturbed. Zeros for no repeat."""
    timed = []
    for _ in range(repeats):
        started, cpu = time.perf_counter(), time.process_time()
        result = work()
        timed.append(_Timed(time.perf_counter() - started, time.process_time() - cpu, result))
    return min(timed, key=lambda each: each.seconds, default=_Timed(0.0, 0.0, None))
