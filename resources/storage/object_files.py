"""The files of a lake in an object store; names of folders are beginnings of keys."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import botocore.session
import polars as pl
from upath import UPath

from resources.base.errors import ConfigurationError
from resources.storage.disk import work_folder
from resources.storage.file_store import FileStore, StoredFile
from resources.storage.object_errors import NO_CREDENTIALS

PIECE_BYTES = 16 * 1024**2
_PIECES_AT_ONCE = 4
_PAGE, _DELETED_AT_ONCE = 1000, 1000
_CREDENTIALS_CHECKED_SECONDS = 300


class ObjectFiles(FileStore):
    """Objects below paths whose file system is an `ObjectStore`. `scratch` is a folder for files on their way."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def local_path(self, path: UPath) -> Path | None:
        return None

    def endpoint(self, path: UPath) -> str:
        return str(path.storage_options.get("endpoint_url", ""))

    def open(self, path: UPath) -> AbstractContextManager[BinaryIO]:
        return io.BytesIO(self.read_bytes(path))

    def read_bytes(self, path: UPath) -> bytes:
        data: bytes = path.fs.cat_file(path.path)
        return data

    def write_bytes(self, path: UPath, data: bytes) -> None:
        path.fs.pipe_file(path.path, data)

    def mark_of(self, path: UPath) -> str | None:
        """Return what changes whenever the object does (its ETag), or None when there is none."""
        try:
            return str(path.fs.info(path.path)["ETag"])
        except FileNotFoundError:
            return None

    def write_bytes_if_unchanged(self, path: UPath, data: bytes, mark: str | None) -> None:
        bucket, key, _ = path.fs.split_path(path.path)
        condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
        path.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)

    def put_file(self, local: Path, path: UPath) -> None:
        """Write a file of this machine as an object; memory holds at most four pieces of 16 MiB."""
        path.fs.put_file(str(local), path.path, chunksize=PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE)

    def fetch_file(self, path: UPath, local: Path) -> None:
        """Write an object as a file of this machine, in one request: an object replaced meanwhile comes out whole."""
        path.fs.get_file(path.path, str(local), max_concurrency=1)

    def move_file(self, path: UPath, target: UPath) -> None:
        """Copy an object, which the store does itself, and remove the first one: it has no rename."""
        path.fs.cp_file(path.path, target.path)
        path.unlink()

    @contextmanager
    def local_file(self, path: UPath) -> Iterator[Path]:
        with work_folder(self._scratch, "fetched") as folder:
            self.fetch_file(path, folder / path.name)
            yield folder / path.name

    def scan_parquet(self, path: UPath) -> pl.LazyFrame:
        return pl.scan_parquet(f"s3://{path.path}", glob=False, **_polars_options(path))

    def sink_parquet(self, frame: pl.LazyFrame, path: UPath) -> None:
        with work_folder(self._scratch, "computed") as folder:
            frame.sink_parquet(folder / path.name, compression="zstd", maintain_order=True)
            self.put_file(folder / path.name, path)

    def sync(self, path: UPath) -> None:
        """Do nothing: an object that is there survives a power cut."""

    def list_files(self, folder: UPath) -> Iterator[StoredFile]:
        """Yield the objects below a prefix, at the price of one request per thousand."""
        prefix = _bucket_and_prefix(folder)[1]
        for found in _list_objects(folder):
            key = str(found["Key"])
            if not key.endswith("/"):  # an empty object with which consoles show an empty folder
                yield _stored(key.removeprefix(prefix), found["Size"], found["LastModified"], found["ETag"])

    def stored_file(self, path: UPath) -> StoredFile | None:
        try:
            found = path.fs.info(path.path)
        except FileNotFoundError:
            return None
        if found["type"] != "file":
            return None
        return _stored(path.name, found["size"], found["LastModified"], found["ETag"])

    def remove_folder(self, folder: UPath) -> None:
        keys = (str(found["Key"]) for found in _list_objects(folder))
        while some := list(islice(keys, _DELETED_AT_ONCE)):
            _delete_objects(folder, some)
        # The answer to a bulk delete does not say for sure what stayed, and somebody may have asked us to erase it.
        left = [str(found["Key"]) for found in islice(_list_objects(folder), 3)]
        if left:
            raise OSError(f"the object store still has {', '.join(left)} after deleting it; try again.")


def _stored(name: str, size: int, changed_at: datetime, etag: str) -> StoredFile:
    # Whole seconds: that is all that the answer to a question about a single object holds.
    mark = f"{size}-{etag.strip(chr(34))}-{int(changed_at.timestamp())}"
    return StoredFile(name, size, changed_at, mark)


def _list_objects(folder: UPath) -> Iterator[dict[str, Any]]:
    """Every object below `folder` as S3 describes it: `Key`, `Size`, `ETag`, `LastModified`; 1,000 in a request."""
    bucket, prefix = _bucket_and_prefix(folder)
    page: dict[str, Any] = {}
    while not page or page.get("IsTruncated"):
        more = {"ContinuationToken": page["NextContinuationToken"]} if page else {}
        page = folder.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **more)
        yield from page.get("Contents", ())


def _bucket_and_prefix(folder: UPath) -> tuple[str, str]:
    """Return where to look for what is below `folder`."""
    bucket, _, key = str(folder.path).partition("/")
    return bucket, f"{key.strip('/')}/" if key.strip("/") else ""


def _delete_objects(folder: UPath, keys: Sequence[str]) -> None:
    """Delete at most 1,000 objects of the bucket that `folder` is in; listing again shows what would not go."""
    objects = [{"Key": key} for key in keys]
    bucket = _bucket_and_prefix(folder)[0]
    folder.fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def _polars_options(path: UPath) -> dict[str, Any]:
    """Arguments for `pl.scan_parquet`, which has a client of its own: the same endpoint and the same credentials."""
    session = _botocore_session()
    options: dict[str, Any] = {
        "aws_region": session.get_config_variable("region") or "us-east-1",
        "max_retries": 2,
    }
    if endpoint := path.fs.endpoint_url:
        options |= {"aws_endpoint_url": endpoint, "aws_allow_http": "true"}
    return {"storage_options": options, "credential_provider": _credentials}


@lru_cache(maxsize=1)
def _botocore_session() -> Any:
    return botocore.session.get_session()


def _credentials() -> tuple[dict[str, str | None], int]:
    """What polars asks for, with the time when it is to ask again: a role's credentials expire."""
    found = _botocore_session().get_credentials()
    if found is None:
        raise ConfigurationError(NO_CREDENTIALS)
    frozen = found.get_frozen_credentials()
    pair: dict[str, str | None] = {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
    if frozen.token:
        pair["aws_session_token"] = frozen.token
    return pair, int(time.time()) + _CREDENTIALS_CHECKED_SECONDS
