"""Writing a table that need not fit into memory to a file that a person named: Parquet or CSV, by its suffix."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from resources.base.errors import InvalidInput
from resources.storage.disk import written_whole

SUFFIXES = (".parquet", ".csv")


def check_table_file(path: Path, *, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Refuse a file that could not be written, before any work is done for it.

    Raises:
        InvalidInput: the suffix is not one of `suffixes`, or there is no such folder.
    """
    if path.suffix.lower() not in suffixes:
        raise InvalidInput(f"{path}: the name must end in {' or '.join(suffixes)}, which says what is written.")
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.absolute().parent}; make it, or choose another one.")


def write_table(path: Path, blocks: Iterable[pl.DataFrame], schema: pl.Schema) -> int:
    """Write the blocks one below the other and return the number of rows; the file appears whole, or not at all.

    Each block is on the disk before the next one is asked for.

    Raises:
        InvalidInput: as `check_table_file`.
    """
    check_table_file(path)
    rows = 0
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as folder:
        parts: list[Path] = []
        for block in blocks:
            rows += block.height
            parts.append(Path(folder) / f"{len(parts):08d}.parquet")
            block.write_parquet(parts[-1])
        table = pl.scan_parquet(parts) if parts else pl.LazyFrame(schema=schema)
        with written_whole(path) as beside:
            if path.suffix.lower() == ".csv":
                table.sink_csv(beside)
            else:
                table.sink_parquet(beside, compression="zstd")
    return rows
