"""The lake: typed paths per tenant, and writes that are whole or absent.

A lake is a folder, or a prefix in an object store (`s3://bucket/prefix`); the functions here work on both. A folder of
a tenant that more than one module uses is a method here; the names of the files in it are their writers'.

    <lake>/tenants/<tenant>/uploads/<upload id>/   original, accepted/part-*, rejected/part-*, report.json
                            upload_jobs/<time>-<job id>     a received file that waits to be checked
                            events/<first>-<last>.parquet   exported pieces of the event log
                            raw/<kind>.parquet     what the raw assets hold
                            dbt/<model>.parquet    staging, intermediate, marts
                            training/ features_at/ model/ evaluation/ index/   artifacts of the newest run
                            search/                trials of the hyper-parameter search, and what it found
                            releases/<version>/ + current.json
                            exports/<export id>.<format>    recommendations of all users, for a download
                            landing/taking/<kind>/  dropped files that a run has moved to where no shop can write
                            landing/refused/<id>.json, <id>/<file>    refused ones, with the reason
                            landing/in_hand/<kind>.json    the one that is being read
    <lake>/landing/<tenant>/<kind>/<file>          files dropped by the shop, which writes here itself
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from upath import UPath

from resources.base.errors import ConfigurationError, CorruptArtifact
from resources.base.tenant import TenantId
from resources.storage.file_store import FileStore
from resources.storage.local_files import LocalFiles

_LOCAL = LocalFiles()


@dataclass(frozen=True, slots=True)
class TenantLake:
    """Paths of one tenant. `root` is the only place where the tenant's name enters a path of the lake.

    `scratch` is the tenant's folder of this machine, for work in progress and for copies of what is in an object store.
    """

    tenant: TenantId
    root: UPath
    scratch: Path

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
    def upload_jobs(self) -> UPath:
        """Folder with the files that wait to be checked, as `<time>-<job id>`."""
        return self.root / "upload_jobs"

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
    def features_at(self) -> UPath:
        """Folder of the features at the times of the split, in the rows of the training set."""
        return self.root / "features_at"

    @property
    def search(self) -> UPath:
        """Folder of the hyper-parameter search."""
        return self.root / "search"

    @property
    def model(self) -> UPath:
        """Folder of the trained model."""
        return self.root / "model"

    @property
    def trained_model(self) -> UPath:
        """File that is there when the folder of the model holds a whole one."""
        return self.model / "model.json"

    @property
    def second_stage(self) -> UPath:
        """Folder of the second-stage ranker; it goes whenever the model does that it was trained on."""
        return self.model / "second_stage"

    @property
    def item_models(self) -> UPath:
        """Folder of the item–item models, in that of the model, so that an erasure takes them along."""
        return self.model / "item_models"

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

    def export(self, export_id: str, suffix: str) -> UPath:
        """File with the recommendations of all users, made for a download."""
        return self.exports / f"{_segment(export_id)}.{suffix}"

    @property
    def exports(self) -> UPath:
        """Folder of these files."""
        return self.root / "exports"

    def taking(self, kind: str) -> UPath:
        """Folder of dropped files that a run has begun to take in."""
        return self.root / "landing" / "taking" / _segment(kind)

    @property
    def refused(self) -> UPath:
        """Folder of dropped files that were refused, and of the reasons."""
        return self.root / "landing" / "refused"

    def in_hand(self, kind: str) -> UPath:
        """File that names the dropped file which is being read, for whoever comes after a death."""
        return self.root / "landing" / "in_hand" / f"{_segment(kind)}.json"


@dataclass(frozen=True, slots=True)
class Lake:
    """The root of all tenants' files, and a folder of this machine for work in progress and locks."""

    root: UPath
    scratch: Path

    @classmethod
    def open(cls, url: str, *, scratch: Path | None = None, s3_endpoint: str = "") -> Lake:
        """Open the lake at a folder or at `s3://bucket/prefix`, which is connected to when it is first used.

        Without `scratch`, a folder of this user below the system's temporary one. Without `s3_endpoint`, AWS.

        Raises:
            ConfigurationError: the address is not one of a lake, or the client for object stores is not installed.
        """
        scratch = scratch or Path(tempfile.gettempdir()) / f"recsaas-{os.getuid()}"
        scratch.mkdir(parents=True, exist_ok=True)
        if url.startswith("s3://"):
            return cls(root=_object_root(url, s3_endpoint, scratch), scratch=scratch)
        if "://" in url and not url.startswith("file://"):
            scheme = url.split("://", 1)[0]
            raise ConfigurationError(
                f"RECSAAS_LAKE={url!r}: a lake on {scheme!r} is not supported. Set it to a folder or s3://bucket/prefix."
            )
        root = UPath(url.removeprefix("file://"))
        root.mkdir(parents=True, exist_ok=True)
        return cls(root=root, scratch=scratch)

    @property
    def address(self) -> dict[str, str]:
        """Address of this lake, with which `at` opens it in another process."""
        endpoint = store_of(self.root).endpoint(self.root)
        return {"url": str(self.root), "scratch": str(self.scratch), "s3_endpoint": endpoint}

    @classmethod
    def at(cls, address: dict[str, str]) -> Lake:
        """Open the lake of this address; see `open`."""
        return cls.open(address["url"], scratch=Path(address["scratch"]), s3_endpoint=address["s3_endpoint"])

    def tenant(self, tenant: TenantId) -> TenantLake:
        """Paths of one tenant."""
        return TenantLake(
            tenant=tenant, root=self.root / "tenants" / tenant.value, scratch=self.scratch / "tenants" / tenant.value
        )

    def landing(self, tenant: TenantId, kind: str) -> UPath:
        """Folder into which files of `kind` may be dropped for `tenant`."""
        return self.landing_root / tenant.value / _segment(kind)

    @property
    def landing_root(self) -> UPath:
        """Folder of everybody's landing folders."""
        return self.root / "landing"


def _object_root(url: str, endpoint: str, scratch: Path) -> UPath:
    bucket = url.removeprefix("s3://").split("/", 1)[0]
    if not bucket:
        raise ConfigurationError(f"RECSAAS_LAKE={url!r} names no bucket. Set it to s3://bucket/prefix.")
    try:
        # Only here: a lake in a folder does without the client for object stores and its import time.
        from resources.storage.object_store import open_root
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"RECSAAS_LAKE={url!r} needs the package {error.name}. Install recsaas[pipeline] or recsaas[serving]."
        ) from error
    return open_root(url.rstrip("/"), endpoint=endpoint, scratch=scratch)


def store_of(path: Path | UPath) -> FileStore:
    """The store that `path` lies in; nothing else has to know which of the two it is."""
    if isinstance(path, Path):
        return _LOCAL
    store: FileStore = path.fs.files
    return store


def local_path(path: Path | UPath) -> Path | None:
    """Return `path` as a path of this machine, or `None` when it is in an object store."""
    return store_of(path).local_path(UPath(path))


def write_bytes(path: UPath, data: bytes) -> None:
    """Write `data` so that a reader sees the old file or the new one, never half of it."""
    store_of(path).write_bytes(path, data)


def read_bytes(path: UPath) -> bytes:
    """Read a file, in one request where the lake is an object store. Raises FileNotFoundError when there is none."""
    return store_of(path).read_bytes(path)


def mark_of(path: UPath) -> str | None:
    """Mark of a file as it is now, for `write_bytes_if_unchanged`; None on a disk, and for a file that is not there."""
    return store_of(path).mark_of(path)


def write_bytes_if_unchanged(path: UPath, data: bytes, mark: str | None) -> None:
    """Write `data` if the file is still the one that `mark_of` saw.

    This is how writers on several machines keep out of each other's way in an object store, which has no locks. On a
    disk it writes: writers there hold a lock.

    Raises:
        Conflict: somebody else has written the file since, and nothing was changed.
    """
    store_of(path).write_bytes_if_unchanged(path, data, mark)


def put_file(local: Path, path: UPath) -> None:
    """Copy a file of this machine into the lake: it appears there whole or not at all, and never lies in memory."""
    store_of(path).put_file(local, path)


def fetch_file(path: Path | UPath, local: Path) -> None:
    """Copy a file of the lake to this machine. Raises FileNotFoundError when there is none."""
    local.parent.mkdir(parents=True, exist_ok=True)
    store_of(path).fetch_file(UPath(path), local)


def move_file(path: UPath, target: UPath) -> None:
    """Give a file of the lake another place in it; in an object store it is copied there, by the store itself."""
    store_of(path).move_file(path, target)


def local_file(path: UPath) -> AbstractContextManager[Path]:
    """The file as a path of this machine, for code that cannot read from an object store; there it is a copy."""
    return store_of(path).local_file(path)


def write_json(path: UPath, value: Any) -> None:
    """Write `value` as JSON, atomically."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def read_json(path: UPath) -> Any:
    """Read a JSON file.

    Raises:
        CorruptArtifact: the file is missing or is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{path.name} is missing; run the tenant's pipeline again.") from error
    except ValueError as error:
        raise CorruptArtifact(f"{path.name} is not readable JSON; run the tenant's pipeline again.") from error


def write_parquet(path: UPath, frame: pl.DataFrame) -> None:
    """Write `frame` as Parquet, atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    write_bytes(path, buffer.getvalue())


def read_parquet(path: UPath, *, columns: list[str] | None = None) -> pl.DataFrame:
    """Read a Parquet file, or some columns of it.

    Raises:
        CorruptArtifact: the file is missing or is not Parquet.
    """
    try:
        with store_of(path).open(path) as handle:
            return pl.read_parquet(handle, columns=columns)
    except FileNotFoundError as error:
        raise CorruptArtifact(f"{path.name} is missing; run the tenant's pipeline again.") from error
    except pl.exceptions.ComputeError as error:
        raise CorruptArtifact(f"{path.name} is not readable Parquet; run the tenant's pipeline again.") from error


def parts(folder: UPath) -> tuple[UPath, ...]:
    """The part files in `folder`, in order; none when there is no such folder."""
    return tuple(sorted(folder.glob("part-*.parquet"), key=lambda path: path.name))


def part_name(number: int) -> str:
    """Name of the part with this number, counted from 0; names sort as numbers do."""
    return f"part-{number:06}.parquet"


def scan_parquet(files: Sequence[Path | UPath]) -> pl.LazyFrame:
    """Read several Parquet files lazily, one after the other; a column that one of them lacks is null there."""
    return pl.concat([store_of(file).scan_parquet(UPath(file)) for file in files], how="diagonal_relaxed")


def sink_parquet(frame: pl.LazyFrame, path: UPath) -> None:
    """Compute `frame` as a stream and write it, atomically: memory holds a few row groups and not the table."""
    store_of(path).sink_parquet(frame, path)


def sync(path: Path | UPath) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut; an object store has no need for it."""
    store_of(path).sync(UPath(path))


def _segment(text: str) -> str:
    """Refuse a path segment that could leave its folder."""
    if not text or text.startswith(".") or any(c in text for c in "/\\\0"):
        raise ValueError(f"not a path segment: {text!r}")
    return text
