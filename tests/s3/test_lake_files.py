"""Files of a lake: the same tests on a folder and on an object store."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from resources.base.errors import Conflict, CorruptArtifact
from resources.base.tenant import TenantId
from resources.storage.lake import (
    Lake,
    fetch_file,
    local_file,
    mark_of,
    move_file,
    part_name,
    parts,
    put_file,
    read_bytes,
    read_json,
    read_parquet,
    scan_parquet,
    sink_parquet,
    sync,
    write_bytes,
    write_bytes_if_unchanged,
    write_json,
    write_parquet,
)
from resources.storage.listing import list_files, remove_folder, stored_file

FRAME = pl.DataFrame({"a": [1, 2, 3], "b": ["ü", None, "日本"]})


def names(lake: Lake) -> list[str]:
    return sorted(file.name for file in list_files(lake.root))


def scratch_is_empty(lake: Lake) -> bool:
    return list(lake.scratch.iterdir()) == []


def test_bytes_come_back_and_are_replaced(lake: Lake) -> None:
    path = lake.root / "a b" / "ünï %+?#.bin"
    for data in (b"one", b"", b"two"):
        write_bytes(path, data)
        assert read_bytes(path) == data
    assert names(lake) == ["a b/ünï %+?#.bin"]
    with pytest.raises(FileNotFoundError):
        read_bytes(lake.root / "nothing")


def test_json_and_parquet_come_back(lake: Lake) -> None:
    write_json(lake.root / "x.json", {"größe": [1, None]})
    assert read_json(lake.root / "x.json") == {"größe": [1, None]}
    write_parquet(lake.root / "x.parquet", FRAME)
    assert read_parquet(lake.root / "x.parquet").equals(FRAME)
    for read in (read_json, read_parquet):
        with pytest.raises(CorruptArtifact, match=r"y is missing; run the tenant's pipeline again"):
            read(lake.root / "y")
        with pytest.raises(CorruptArtifact, match="not readable"):
            read(lake.root / ("x.json" if read is read_parquet else "x.parquet"))


def test_parts_are_written_as_streams_and_read_in_order(lake: Lake) -> None:
    folder = lake.root / "rows"
    assert parts(folder) == ()
    for number in (10, 2, 0):
        sink_parquet(FRAME.lazy().select(pl.lit(number).alias("n"), "a"), folder / part_name(number))
    write_parquet(folder / part_name(11), pl.DataFrame({"extra": ["x"]}))
    write_json(folder / "report.json", {})
    write_json(folder / "part-of" / "part-000003.parquet", {})
    assert [path.name for path in parts(folder)] == [part_name(n) for n in (0, 2, 10, 11)]
    table = scan_parquet(parts(folder)).collect()
    assert table["n"].to_list() == [0, 0, 0, 2, 2, 2, 10, 10, 10, None]
    assert table["extra"].to_list() == [None] * 9 + ["x"]
    assert scratch_is_empty(lake)


def test_a_file_goes_in_and_out_without_lying_in_memory(lake: Lake, tmp_path: Path) -> None:
    local, back, data = tmp_path / "local", tmp_path / "deep" / "back", bytes(range(256)) * 256 * 1024  # 64 MiB
    local.write_bytes(data)
    put_file(local, lake.root / "big")
    fetch_file(lake.root / "big", back)
    assert back.read_bytes() == data
    with local_file(lake.root / "big") as path:
        assert path.name == "big"
        assert path.stat().st_size == len(data)
    assert scratch_is_empty(lake)
    with pytest.raises(FileNotFoundError):
        fetch_file(lake.root / "nothing", tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        put_file(tmp_path / "nothing", lake.root / "nothing")
    assert names(lake) == ["big"]


def test_a_listing_names_everything_below_and_nothing_beside(lake: Lake) -> None:
    assert list(list_files(lake.root / "t")) == []
    for name in ("t/a/1", "t/2", "t-other/3", "top"):
        write_bytes(lake.root / name, name.encode())
    found = {file.name: file.size for file in list_files(lake.root / "t")}
    assert found == {"a/1": 5, "2": 3}


def test_the_mark_of_a_file_changes_with_every_write(lake: Lake) -> None:
    path = lake.root / "t" / "x"
    assert stored_file(path) is None
    write_bytes(path, b"one")
    (listed,) = list_files(lake.root / "t")
    assert stored_file(path) == listed
    write_bytes(path, b"two")
    changed = stored_file(path)
    assert changed is not None
    assert (changed.size, changed.name) == (listed.size, listed.name)
    assert changed.mark != listed.mark


def test_a_file_moves(lake: Lake) -> None:
    write_bytes(lake.root / "a" / "ü.csv", b"x")
    move_file(lake.root / "a" / "ü.csv", lake.root / "b" / "c" / "ä.csv")
    assert names(lake) == ["b/c/ä.csv"]
    assert read_bytes(lake.root / "b" / "c" / "ä.csv") == b"x"


def test_a_folder_goes_with_everything_in_it_and_its_neighbours_stay(lake: Lake) -> None:
    for name in ("t/a/1", "t/2", "t-other/3"):
        write_bytes(lake.root / name, b"x")
    for _ in range(2):
        remove_folder(lake.root / "t")
        assert names(lake) == ["t-other/3"]


def test_a_conditional_write_needs_what_was_seen(lake: Lake) -> None:
    path = lake.root / "pointer"
    write_bytes_if_unchanged(path, b"1", mark_of(path))
    seen = mark_of(path)
    write_bytes_if_unchanged(path, b"2", seen)
    assert read_bytes(path) == b"2"
    if isinstance(path, Path):
        return  # writers on one machine hold a lock instead
    for stale in (seen, None):
        with pytest.raises(Conflict, match="Somebody else"):
            write_bytes_if_unchanged(path, b"3", stale)
    assert read_bytes(path) == b"2"


def test_sync_is_for_folders_of_this_machine(lake: Lake) -> None:
    write_bytes(lake.root / "x", b"")
    sync(lake.root / "x")


def test_a_tenant_has_a_scratch_folder_of_its_own(lake: Lake) -> None:
    blue = lake.tenant(TenantId("blue"))
    assert blue.scratch.is_relative_to(lake.scratch)
    assert blue.scratch != lake.tenant(TenantId("green")).scratch
