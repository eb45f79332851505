"""Exports of other systems: the same each time, as many rows as asked for, and taken as they are."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsaas_assets.commands.data.sample import sample
from recsaas_assets.sample.shapes import SHAPES, ShapedFile, write_shape
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.compare import inspect_upload
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport

END = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = 1_200


def inspect(file: ShapedFile) -> UploadReport:
    with tempfile.TemporaryDirectory() as work:
        return inspect_upload(
            IncomingUpload(Kind(file.kind), file.path, filename=file.path.name, origin="cli", received_at=END),
            UploadPolicy(TenantSettings(), max_bytes=10**8),
            work=Path(work),
        ).report


def written(shape: str, folder: Path, **options: int) -> dict[str, ShapedFile]:
    return {file.kind: file for file in write_shape(shape, folder, end=END, **{"rows": ROWS, **options})}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_writes_the_same_files_and_another_seed_others(shape: str, tmp_path: Path) -> None:
    first, again = written(shape, tmp_path / "first"), written(shape, tmp_path / "again")
    other = written(shape, tmp_path / "other", seed=8)
    for kind, file in first.items():
        assert file.path.read_bytes() == again[kind].path.read_bytes()
        assert file.path.read_bytes() != other[kind].path.read_bytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_interaction_is_read_without_editing(shape: str, tmp_path: Path) -> None:
    file = written(shape, tmp_path)["interactions"]
    rows = len(file.path.read_bytes().splitlines()) - 1
    assert rows == ROWS or (shape == "movielens" and ROWS * 0.8 < rows < ROWS)
    report = inspect(file)
    ignored = rows - report.rows_accepted
    assert report.rows_rejected == 0, report.validation_errors[:3]
    assert ignored <= (rows // 20 if shape in ("ga4", "rees46") else 0), "only what recommends nothing is left out"
    assert report.statistics.unique_users > 10
    assert report.statistics.last_timestamp is not None
    assert (END - report.statistics.last_timestamp).days < 3


@pytest.mark.parametrize("shape", ["shopify", "woocommerce", "ga4", "movielens"])
def test_a_product_with_its_variants_is_one_item(shape: str, tmp_path: Path) -> None:
    report = inspect(written(shape, tmp_path)["items"])
    assert report.rows_rejected == 0, report.validation_errors[:3]
    assert report.rows_accepted == ROWS // 40


def test_the_command_offers_every_shape() -> None:
    (option,) = [each for each in sample.params if each.name == "shape"]
    assert list(option.type.choices) == list(SHAPES)  # type: ignore[attr-defined]


def test_an_unknown_shape_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are shopify, woocommerce"):
        write_shape("magento", tmp_path, rows=1, end=END)
