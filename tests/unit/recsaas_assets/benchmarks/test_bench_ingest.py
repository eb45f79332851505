"""`recsaas bench ingest`: real figures of a small file, and the answer's shape."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsaas_assets.benchmarks.pipeline import ingest as command
from recsaas_assets.benchmarks.pipeline.ingest_measure import IngestFigures, measure_ingest, write_interactions

FIGURES = IngestFigures(
    rows=1000,
    file_bytes=50_000,
    rows_accepted=990,
    rows_rejected=10,
    rows_duplicate=0,
    inspected_rows_per_second=1_200_000,
    stored_rows_per_second=700_000,
    read_csv_rows_per_second=9_000_000,
    inspect_cpu_seconds=0.1,
    store_cpu_seconds=0.2,
    store_seconds=0.3,
    memory_before_bytes=10**8,
    peak_memory_bytes=2 * 10**8,
)


@pytest.mark.e2e
def test_figures_come_from_a_real_upload(tmp_path: Path) -> None:
    figures = measure_ingest(tmp_path / "f.csv", seed=1, bad=1.0, repeats=1, rows=300)
    assert (figures.rows, figures.rows_rejected, figures.rows_accepted) == (300, 300, 0)
    assert min(figures.inspected_rows_per_second, figures.stored_rows_per_second, figures.read_csv_rows_per_second) > 0
    assert figures.peak_memory_bytes >= figures.memory_before_bytes > 10**7
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


def test_the_same_seed_invents_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_interactions(tmp_path / name, 50, 0, seed, 0.5, 0.1)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    assert a.count(b"\n") == 1 + 50 + 5
    write_interactions(tmp_path / "big", 0, 1, 1, 0.0, 0.0)
    assert (tmp_path / "big").read_bytes().count(b"\n") == 1_000_001


def test_the_answer_has_what_the_bars_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def measured(file: Path, **options: Any) -> IngestFigures:
        asked.append(options)
        return replace(FIGURES, inspected_rows_per_second=len(asked))

    monkeypatch.setattr(command, "_alone", measured)
    ran = CliRunner().invoke(command.ingest, ["--json", "--rows", "1000", "--file-gigabytes", "5", "--seed", "3"])
    assert ran.exit_code == 0, ran.output
    answer = json.loads(ran.stdout)
    cases = ("clean", "1pct_bad", "all_bad")
    assert [answer[f"rows_per_second_{case}"] for case in cases] == [1, 2, 3]
    assert (answer["rows"], answer["seed"], answer["peak_memory_bytes"], answer["file_bytes"]) == (
        1000,
        3,
        2 * 10**8,
        50_000,
    )
    assert answer["read_csv_rows_per_second"] == 9_000_000
    assert answer["big_file"]["peak_memory_bytes"] == 2 * 10**8
    assert [each["bad"] for each in asked] == [0.0, 0.01, 1.0, 0.01]
