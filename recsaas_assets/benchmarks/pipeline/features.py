"""`recsaas bench features`: where a dbt build of a large tenant spends its time and its memory."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.table import Table

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.processes.memory import peak_memory_bytes
from resources.storage.lake import Lake, TenantLake, sink_parquet, write_parquet
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import TIME, Kind, accepted_schema

_DAYS = 365
_TYPES = ("view", "click", "add_to_cart", "purchase")
_BATCH = 1_000_000
_UPLOADS = 10


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=10_000_000, show_default=True, help="Interactions.")
@click.option("--users", type=click.IntRange(min=1), default=500_000, show_default=True, help="Users.")
@click.option("--items", type=click.IntRange(min=1), default=50_000, show_default=True, help="Items.")
@click.option("--memory-gb", type=click.FloatRange(min=0.1), help="Memory for DuckDB; the setting when left out.")
@json_option
def features(rows: int, users: int, items: int, memory_gb: float | None, as_json: bool) -> None:
    """Build every model with its tests for one invented tenant, and show seconds per model and test."""
    from recsaas_assets.features.dbt_invocation import PROJECT_DIR
    from recsaas_assets.features.dbt_manifest import parse_manifest
    from recsaas_assets.features.dbt_runner import run_dbt

    memory = int(memory_gb * 1e9) if memory_gb else load_settings().dbt_memory_bytes
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lake = Lake.open(str(home / "lake"), scratch=home / "scratch").tenant(TenantId("bench"))
        notes.print(f"Inventing {rows:,} interactions …")
        _write_raw(lake, rows=rows, users=users, items=items)
        parse_manifest(PROJECT_DIR, home / "dbt")
        before = peak_memory_bytes()
        notes.print("Building …")
        started, cpu = time.monotonic(), time.process_time()
        result = run_dbt(
            ["build", "--exclude-resource-type", "unit_test"],
            tenant_lake=lake,
            target_dir=home / "dbt",
            memory_bytes=memory,
        )
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
        answer = {
            "rows": rows,
            "users": users,
            "items": items,
            "memory_limit_bytes": memory,
            "build_seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1),
            "rows_per_second": round(rows / seconds),
            "peak_memory_bytes": peak_memory_bytes(),
            "peak_memory_before_bytes": before,
            "raw_file_bytes": lake.raw("interactions").stat().st_size,
            "model_seconds": {node.name: round(node.seconds, 2) for node in result.models()},
            "test_seconds": {node.name: round(node.seconds, 2) for node in result.tests() if node.seconds >= 0.1},
            "machine": machine(),
        }
    if as_json:
        print_json(answer)
        return
    table = Table("model", "seconds")
    for node in result.models():
        table.add_row(node.name, f"{node.seconds:.1f}")
    results.print(table)
    results.print(f"{rows:,} interactions in {seconds:.0f} s; peak memory {peak_memory_bytes() / 1e9:.1f} GB.")


def _write_raw(lake: TenantLake, *, rows: int, users: int, items: int) -> None:
    """Raw files as the raw assets write them: uploads one after the other, popular items more often."""
    from recsaas_assets.ingestion.raw_tables import settings_table

    rng = np.random.default_rng(7)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    uploads = [
        {
            "upload_id": f"interactions-{number:016}",
            "kind": "interactions",
            "sequence": number,
            "created_at": first.replace(month=number),
            "rows_accepted": rows,
            "rows_rejected": 0,
            "rows_duplicate": 0,
        }
        for number in range(1, _UPLOADS + 1)
    ]
    batches = [_interactions(rng, min(_BATCH, rows - at), users, items, first) for at in range(0, rows, _BATCH)]
    named = [
        batch.with_columns(
            upload_id=pl.lit(uploads[number % _UPLOADS]["upload_id"]),
            received_at=pl.lit(uploads[number % _UPLOADS]["created_at"], TIME),
            row_number=pl.int_range(2, pl.len() + 2, dtype=pl.Int64),
        )
        for number, batch in enumerate(batches)
    ]
    sink_parquet(pl.concat([frame.lazy() for frame in named]), lake.raw("interactions"))
    catalogue = pl.DataFrame({"n": np.arange(items)}).select(
        item_id=pl.format("item-{}", "n"),
        title=pl.format("Item {}", "n"),
        category=pl.format("category-{}", pl.col("n") % 50),
        price=(pl.col("n") % 100 + 1).cast(pl.Float64),
        available=pl.lit(True),
        upload_id=pl.lit("items-1"),
        row_number=pl.col("n") + 2,
    )
    write_parquet(lake.raw("items"), _contract(catalogue, Kind.ITEMS))
    write_parquet(
        lake.raw("users"), _contract(pl.DataFrame({"user_id": []}, schema={"user_id": pl.String}), Kind.USERS)
    )
    write_parquet(lake.raw("raw_uploads"), pl.DataFrame(uploads))
    write_parquet(lake.raw("tenant_settings"), settings_table(TenantSettings()))


def _interactions(rng: np.random.Generator, n: int, users: int, items: int, first: datetime) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "user": rng.integers(0, users, n),
            "item": (items * rng.random(n) ** 3).astype(np.int64),
            "kind": rng.integers(0, len(_TYPES), n),
            "second": rng.integers(0, _DAYS * 86_400, n),
            "price": rng.integers(1, 100, n).astype(np.float64),
        }
    )
    return _contract(
        frame.select(
            user_id=pl.format("user-{}", "user"),
            item_id=pl.format("item-{}", "item"),
            interaction_type=pl.col("kind").replace_strict(dict(enumerate(_TYPES)), return_dtype=pl.String),
            timestamp=pl.lit(first) + pl.duration(seconds="second"),
            price="price",
        ),
        Kind.INTERACTIONS,
    )


def _contract(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """The frame with every column of a raw table."""
    schema = {**accepted_schema(kind), "deleted": pl.Boolean(), "received_at": TIME}
    columns = [
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    ]
    return frame.select(columns).with_columns(pl.col("deleted").fill_null(False))
