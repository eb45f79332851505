"""The footer of Parquet is read as it was written, and whatever stands there costs little and ends in one error."""

from __future__ import annotations

import io
import random
from pathlib import Path
from time import process_time

import polars as pl
import pytest

from resources.uploads.parsing.parquet_footer import BadFooter, Footer, read_footer


def footer(data: bytes) -> Footer:
    return read_footer(io.BytesIO(data), size=len(data))


def written(frame: pl.DataFrame, **options: object) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def framed(thrift: bytes) -> bytes:
    return b"PAR1" + thrift + len(thrift).to_bytes(4, "little") + b"PAR1"


def test_rows_columns_and_bytes_of_every_row_group() -> None:
    frame = pl.DataFrame({"a": range(1000), "b": ["x" * 50] * 1000, "c": [None] * 1000})
    found = footer(written(frame, row_group_size=300, compression="uncompressed", use_pyarrow=False))
    assert found.columns == 3
    assert sum(group.rows for group in found.row_groups) == found.rows == 1000
    assert len(found.row_groups) > 1
    assert found.bytes > 0


def test_nested_columns_count_by_their_leaves() -> None:
    frame = pl.DataFrame({"a": [[1, 2]], "b": [{"x": 1, "y": "z"}]})
    assert footer(written(frame)).columns == 3


def test_what_is_small_compressed_is_known_before_it_is_read() -> None:
    data = written(pl.DataFrame({"a": [f"{n}" + "x" * 1_000_000 for n in range(20)]}), compression="zstd")
    assert len(data) < 200_000
    assert footer(data).bytes > 20_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1" + b"\0" * 100,
        framed(b""),
        b"PAR1" + (2**32 - 1).to_bytes(4, "little") + b"PAR1",
        framed(b"\x19\xfc" + b"\xff" * 9 + b"\x01"),  # row groups: a list of 2^64 structures
        framed(b"\x49\xf5" + b"\xff\xff\xff\xff\x0f"),  # a list of four billion numbers
        framed(b"\x48\xff\xff\xff\xff\x0f"),  # bytes beyond the end
        framed(b"\x1c" * 5000),  # structures in structures
        framed(b"\x4b\xff\xff\x03\xcc" + b"\x1c" * 100),
        framed(b"\x15" + b"\xff" * 20),  # a number without end
        framed(b"\x1f\x00"),
    ],
)  # fmt: skip
def test_a_footer_that_is_none(data: bytes) -> None:
    started = process_time()
    with pytest.raises(BadFooter):
        footer(data)
    assert process_time() - started < 1


def test_negative_sizes_are_none() -> None:
    row_group = b"\x36\x01\x00"  # field 3, i64, -1
    with pytest.raises(BadFooter, match="negative"):
        footer(framed(b"\x49\x1c" + row_group + b"\x00"))


@pytest.mark.parametrize("name", ["base", "crash212", "signal6-12-3849"])
def test_files_that_kill_other_readers(name: str) -> None:
    file = Path(__file__).parents[5] / "shared" / "cases" / "hostile" / f"{name}.parquet"
    if not file.exists():
        pytest.skip(f"no hostile files at {file.parent}")
    assert footer(file.read_bytes()).rows == 2


def test_mutations_end_in_a_footer_or_in_the_one_error() -> None:
    random_bytes = random.Random(20)
    frame = pl.DataFrame({"a": range(100), "b": ["x"] * 100, "c": [[1.5]] * 100})
    sound = written(frame, row_group_size=10)
    start = len(sound) - 8 - int.from_bytes(sound[-8:-4], "little")
    broken = 0
    for _ in range(1_000):
        data = bytearray(sound)
        for _ in range(random_bytes.randint(1, 4)):
            data[random_bytes.randrange(start, len(data))] = random_bytes.randrange(256)
        try:
            footer(bytes(data))
        except BadFooter:
            broken += 1
    assert 0 < broken < 1_000
