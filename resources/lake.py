"""The lake: typed paths per tenant, and writes that are whole or absent.

A lake is a folder, or anything `universal_pathlib` can address. Nobody outside this file joins tenant paths.

    <lake>/tenants/<tenant>/uploads/<upload id>/   original, accepted/part-*, rejected/part-*, report.json
                            events/<first>-<last>.parquet   exported pieces of the event log
                            raw/<kind>.parquet     what the raw assets hold
                            dbt/<model>.parquet    staging, intermediate, marts
                            training/ model/ evaluation/ index/   artifacts of the newest run
                            releases/<version>/ + current.json
    <lake>/landing/<tenant>/<kind>/<file>          files dropped by the shop
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from upath import UPath

from resources.errors import ConfigurationError, CorruptArtifact
from resources.tenant import TenantId


@dataclass(frozen=True, slots=True)
class TenantLake:
    """Paths of one tenant. `root` is the only place where the tenant's name enters a path."""

    tenant: TenantId
    root: UPath

    def upload(self, upload_id: str) -> UPath:
        """Folder of one upload."""
        return self.root / "uploads" / _segment(upload_id)

    def accepted(self, upload_id: str) -> UPath:
        """Folder with the accepted rows of one upload, as parts in file order."""
        return self.upload(upload_id) / "accepted"

    def rejected(self, upload_id: str) -> UPath:
        """Folder with the rejected rows of one upload, as parts in file order."""
        return self.upload(upload_id) / "rejected"

    @property
    def events(self) -> UPath:
        """Folder with the exported pieces of the event log; the control DB says which of them count."""
        return self.root / "events"

    def raw(self, kind: str) -> UPath:
        """File with every accepted row of `kind`."""
        return self.root / "raw" / f"{_segment(kind)}.parquet"

    @property
    def dbt(self) -> UPath:
        """Folder with one Parquet file per dbt model."""
        return self.root / "dbt"

    @property
    def training(self) -> UPath:
        """Folder of the training set."""
        return self.root / "training"

    @property
    def model(self) -> UPath:
        """Folder of the trained model."""
        return self.root / "model"

    @property
    def evaluation(self) -> UPath:
        """Folder of the evaluation report."""
        return self.root / "evaluation"

    @property
    def index(self) -> UPath:
        """Folder of the retrieval index."""
        return self.root / "index"

    @property
    def releases(self) -> UPath:
        """Folder of the releases and the pointer to the live one."""
        return self.root / "releases"


@dataclass(frozen=True, slots=True)
class Lake:
    """The root of all tenants' files, and a folder of this machine for work in progress and locks."""

    root: UPath
    scratch: Path

    @classmethod
    def open(cls, url: str, *, scratch: Path | None = None) -> Lake:
        """Open the lake at a folder. Without `scratch`, a folder of this user below the system's temporary one.

        Raises:
            ConfigurationError: the address has a scheme that is not supported.
        """
        if "://" in url and not url.startswith("file://"):
            scheme = url.split("://", 1)[0]
            raise ConfigurationError(
                f"RECSAAS_LAKE={url!r}: a lake on {scheme!r} is not supported yet. Set it to a folder."
            )
        root = UPath(url)
        root.mkdir(parents=True, exist_ok=True)
        scratch = scratch or Path(tempfile.gettempdir()) / f"recsaas-{os.getuid()}"
        scratch.mkdir(parents=True, exist_ok=True)
        return cls(root=root, scratch=scratch)

    def tenant(self, tenant: TenantId) -> TenantLake:
        """Paths of one tenant."""
        return TenantLake(tenant=tenant, root=self.root / "tenants" / tenant.value)

    def landing(self, tenant: TenantId, kind: str) -> UPath:
        """Folder into which files of `kind` may be dropped for `tenant`."""
        return self.root / "landing" / tenant.value / _segment(kind)


def write_bytes(path: UPath, data: bytes) -> None:
    """Write `data` so that a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(path, Path):
        path.write_bytes(data)  # an object store shows an object only when its upload is complete
        return
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(beside, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)


def write_json(path: UPath, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def read_json(path: UPath) -> Any:
    """Read a JSON file.

    Raises:
        CorruptArtifact: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{path.name} is missing; run the tenant's pipeline again.") from error
    except ValueError as error:
        raise CorruptArtifact(f"{path.name} is not readable JSON; run the tenant's pipeline again.") from error


def write_parquet(path: UPath, frame: pl.DataFrame) -> None:
    """Write `frame` as Parquet, atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    write_bytes(path, buffer.getvalue())


def read_parquet(path: UPath) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        CorruptArtifact: the file is missing or is not Parquet.
    """
    try:
        with path.open("rb") as handle:
            return pl.read_parquet(handle)
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{path.name} is missing; run the tenant's pipeline again.") from error
    except pl.exceptions.ComputeError as error:
        raise CorruptArtifact(f"{path.name} is not readable Parquet; run the tenant's pipeline again.") from error


def parts(folder: UPath) -> tuple[UPath, ...]:
    """The part files in `folder`, in order; none when there is no such folder."""
    if not folder.exists():
        return ()
    return tuple(sorted(folder.glob("part-*.parquet"), key=lambda path: path.name))


def part_name(number: int) -> str:
    """Name of the part with this number, counted from 0; names sort as numbers do."""
    return f"part-{number:06}.parquet"


def scan_parquet(files: Sequence[UPath]) -> pl.LazyFrame:
    """Read several Parquet files lazily, one after the other; a column that one of them lacks is null there."""
    return pl.concat([pl.scan_parquet(Path(str(file))) for file in files], how="diagonal_relaxed")


def sink_parquet(frame: pl.LazyFrame, path: UPath) -> None:
    """Compute `frame` as a stream and write it, atomically: memory holds a few row groups and not the table."""
    target = Path(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        frame.sink_parquet(beside, compression="zstd", maintain_order=True)
        sync(beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    sync(target.parent)


@contextmanager
def local_file(path: UPath) -> Iterator[Path]:
    """The file as a path of this machine, for code that cannot read from an object store."""
    yield Path(str(path))


def _segment(text: str) -> str:
    """Refuse a path segment that could leave its folder."""
    if not text or text.startswith(".") or any(c in text for c in "/\\\0"):
        raise ValueError(f"not a path segment: {text!r}")
    return text


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
