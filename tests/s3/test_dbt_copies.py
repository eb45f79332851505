"""What dbt gets to read when the lake is an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsaas_assets.features.dbt_runner import SOURCE_FILES, _work_folders
from resources.base.tenant import TenantId
from resources.storage.lake import Lake, write_bytes

SELECTED = ["build", "--exclude-resource-type", "unit_test", "--select", "stg_items", "stg_users"]


@pytest.mark.parametrize(
    ("args", "published"),
    [
        (SELECTED, {"int_sessions"}),
        (["run"], set()),
        (["test", "--select", "unique_stg_items_item_id"], {"stg_items", "stg_users", "int_sessions"}),
    ],
)
def test_copies_of_the_raw_files_and_of_the_models_that_it_does_not_build(
    s3_lake: Lake, args: list[str], published: set[str]
) -> None:
    blue = s3_lake.tenant(TenantId("blue"))
    for name in SOURCE_FILES:
        write_bytes(blue.raw(name), name.encode())
    for name in ("stg_items", "stg_users", "int_sessions"):
        write_bytes(blue.dbt / f"{name}.parquet", name.encode())
    write_bytes(blue.dbt / "build.json", b"{}")
    with _work_folders(blue, args) as folders:
        assert {path.stem: path.read_text() for path in folders.raw.iterdir()} == {name: name for name in SOURCE_FILES}
        assert {path.stem for path in folders.published.iterdir()} == published
        assert list(folders.staging.iterdir()) == []
    assert list(Path(blue.scratch).iterdir()) == []
