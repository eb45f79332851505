"""`recsaas bench ingest`: rows a second from a file to its report, and the memory that takes."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.pipeline.ingest_measure import IngestFigures, measure_ingest
from recsaas_assets.commands.console import json_option, notes, print_json, results

CASES = {"clean": 0.0, "1pct_bad": 0.01, "all_bad": 1.0}
"""Share of rows that break a rule."""
HOW_MEASURED = (
    "rows_per_second_*: rows over the fastest of the repeats of inspect_upload, which reads, checks, compares the rows "
    "with each other, writes the parts into a work folder and reports. stored_rows_per_second_*: the same over "
    "store_upload into an empty lake and control DB (SQLite), which also keeps the original, the parts and the hashes "
    "on disk for good. Every case in a process of its own, after a small file that warms it up. peak_memory_bytes: the "
    "largest resident memory of the process of the clean case (VmHWM), imports included, "
    "before the yardstick is read. read_csv_rows_per_second: pl.read_csv of the clean file in that process."
)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(min=1), help="Rows of each file.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1), help="The fastest one counts.")
@click.option("--seed", default=7, show_default=True, help="Of the invented rows.")
@click.option(
    "--file-gigabytes",
    type=click.FloatRange(min=0.01),
    help="Also store one file of this size, with one bad row in a hundred and one repeated in twenty.",
)
@json_option
def ingest(rows: int, repeats: int, seed: int, file_gigabytes: float | None, as_json: bool) -> None:
    """Check and store files of interactions: a clean one, one with a bad row in a hundred, one with only bad rows."""
    figures: dict[str, IngestFigures] = {}
    with tempfile.TemporaryDirectory(prefix="recsaas-bench-") as folder:
        file = Path(folder) / "interactions.csv"
        for name, bad in CASES.items():
            notes.print(f"Measuring {rows:,} rows, {bad:.0%} of them bad …")
            figures[name] = _alone(file, rows=rows, seed=seed, bad=bad, repeats=repeats)
        big = None
        if file_gigabytes is not None:
            notes.print(f"Measuring a file of {file_gigabytes:g} GB …")
            big = _alone(file, gigabytes=file_gigabytes, seed=seed, bad=0.01, repeated=0.05, repeats=0)
    clean = figures["clean"]
    answer: dict[str, object] = {
        **{f"rows_per_second_{name}": each.inspected_rows_per_second for name, each in figures.items()},
        **{f"stored_rows_per_second_{name}": each.stored_rows_per_second for name, each in figures.items()},
        "read_csv_rows_per_second": clean.read_csv_rows_per_second,
        "peak_memory_bytes": clean.peak_memory_bytes,
        "memory_before_bytes": clean.memory_before_bytes,
        "file_bytes": clean.file_bytes,
        "peak_memory_over_file": round(clean.peak_memory_bytes / clean.file_bytes, 2),
        "rows": rows,
        "seed": seed,
        "repeats": repeats,
        "how_measured": HOW_MEASURED,
        "cases": {name: asdict(each) for name, each in figures.items()},
        **({"big_file": asdict(big)} if big is not None else {}),
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if isinstance(value, int):
            results.print(f"{name:34} {value:,}")
    if big is not None:
        results.print(
            f"{big.file_bytes:,} bytes, {big.rows:,} rows: {big.store_seconds:,.0f} s, {big.peak_memory_bytes:,} bytes"
        )


def _alone(file: Path, **options: object) -> IngestFigures:
    """Measure in a process of its own, whose memory nobody else has touched."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        started = time.perf_counter()
        figures = pool.submit(measure_ingest, file, **options).result()  # type: ignore[arg-type]
        notes.print(f"  {time.perf_counter() - started:,.0f} s")
        return figures
