"""The object store below a lake at `s3://…`: one connection per process, and errors that say what to do.

It is imported for such a lake alone: a lake in a folder needs neither s3fs nor its import time.
Credentials come from where all AWS tools look for them: `AWS_…` variables, profiles, the machine's role.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import botocore.session
import fsspec
from aiohttp import ClientError as TransferError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as BotoConnectionError
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from upath import UPath

from resources.base.errors import ConfigurationError, Conflict, LakeUnavailable

_CONNECT_SECONDS, _READ_SECONDS = 3, 30
_PAGE = 1000
_PIECE_BYTES, _PIECES_AT_ONCE = 16 * 1024**2, 4
_CREDENTIALS_CHECKED_SECONDS = 300
_NOT_OUR_FAULT = frozenset({"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "500", "502", "503"})
_REFUSED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403"}
)
_CONDITION_FAILED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})


class ObjectStore(S3FileSystem):  # type: ignore[misc]
    """s3fs with errors of ours. `scratch` is a folder of this machine for files on their way."""

    retries = 2  # botocore tries each of them twice; with s3fs's five a person would wait for minutes

    def __init__(self, *, scratch: str, **options: Any) -> None:
        super().__init__(**options)
        self.scratch = Path(scratch)

    async def _call_s3(self, method: str, *more: Any, **arguments: Any) -> Any:
        with explained():
            return await super()._call_s3(method, *more, **arguments)

    call_s3 = sync_wrapper(_call_s3)  # s3fs's own would call its own `_call_s3`

    # These read the body after the call, so the connection can break when the call has long succeeded.
    async def _cat_file(self, path: str, *more: Any, **options: Any) -> Any:
        with explained():
            return await super()._cat_file(path, *more, **options)

    async def _get_file(self, source: str, target: str, *more: Any, **options: Any) -> Any:
        with explained():
            return await super()._get_file(source, target, *more, **options)


def open_root(url: str, *, endpoint: str, scratch: Path) -> UPath:
    """Return the lake's root. Connects to nothing: the first read or write does."""
    fsspec.register_implementation("s3", ObjectStore, clobber=True)
    options: dict[str, Any] = {
        "scratch": str(scratch),
        "use_listings_cache": False,  # another process writes too, and a cached listing hides what it wrote
        "default_block_size": _PIECE_BYTES,
        "config_kwargs": {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "retries": {"mode": "standard", "max_attempts": 2},
        },
    }
    if endpoint:
        options["endpoint_url"] = endpoint
        # A bucket as part of the host name needs a DNS entry per bucket, which only AWS has for sure.
        options["config_kwargs"]["s3"] = {"addressing_style": "path"}
    root: UPath = UPath(url, **options)
    return root


def put_bytes(path: UPath, data: bytes) -> None:
    """Write an object."""
    path.fs.pipe_file(path.path, data)


def mark_of(path: UPath) -> str | None:
    """Return what changes whenever the object does (its ETag), or None when there is none."""
    try:
        return str(path.fs.info(path.path)["ETag"])
    except FileNotFoundError:
        return None


def put_bytes_if_unchanged(path: UPath, data: bytes, mark: str | None) -> None:
    """Write an object if it still is the one that `mark_of` saw.

    Raises:
        Conflict: it is not, and nothing was written.
    """
    bucket, key, _ = path.fs.split_path(path.path)
    condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
    path.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition)


def upload(local: Path, path: UPath) -> None:
    """Write a file of this machine as an object; memory holds at most four pieces of 16 MiB."""
    path.fs.put_file(str(local), path.path, chunksize=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE)


def download(path: UPath, local: Path) -> None:
    """Write an object as a file of this machine, in one request: an object replaced meanwhile comes out whole."""
    path.fs.get_file(path.path, str(local), max_concurrency=1)


def list_objects(folder: UPath) -> Iterator[dict[str, Any]]:
    """Every object below `folder` as S3 describes it: `Key`, `Size`, `ETag`, `LastModified`; 1,000 in a request."""
    bucket, prefix = bucket_and_prefix(folder)
    page: dict[str, Any] = {}
    while not page or page.get("IsTruncated"):
        more = {"ContinuationToken": page["NextContinuationToken"]} if page else {}
        page = folder.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE, **more)
        yield from page.get("Contents", ())


def bucket_and_prefix(folder: UPath) -> tuple[str, str]:
    """Return where to look for what is below `folder`."""
    bucket, _, key = str(folder.path).partition("/")
    return bucket, f"{key.strip('/')}/" if key.strip("/") else ""


def delete_objects(folder: UPath, keys: Sequence[str]) -> None:
    """Delete at most 1,000 objects of the bucket that `folder` is in; listing again shows what would not go."""
    objects = [{"Key": key} for key in keys]
    folder.fs.call_s3("delete_objects", Bucket=bucket_and_prefix(folder)[0], Delete={"Objects": objects, "Quiet": True})


def polars_options(path: UPath) -> dict[str, Any]:
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
        raise ConfigurationError(_NO_CREDENTIALS)
    frozen = found.get_frozen_credentials()
    pair: dict[str, str | None] = {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
    if frozen.token:
        pair["aws_session_token"] = frozen.token
    return pair, int(time.time()) + _CREDENTIALS_CHECKED_SECONDS


_NO_CREDENTIALS = (
    "No credentials for the object store of RECSAAS_LAKE were found. Set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the S3 client raises into errors of ours; a missing object stays `FileNotFoundError`.

    Raises:
        LakeUnavailable: the store does not answer, or says that it is busy.
        ConfigurationError: the bucket, the endpoint or the credentials are wrong.
        Conflict: the condition of a conditional write did not hold.
    """
    try:
        yield
    except (BotoCoreError, ClientError, TransferError, OSError) as error:
        ours = _explain(error)
        if ours is None:
            raise
        raise ours from error


def _explain(error: Exception) -> Exception | None:
    """Return the error to raise instead, or None for one that says enough by itself."""
    answer = error if isinstance(error, ClientError) else error.__cause__
    said = answer.response.get("Error", {}) if isinstance(answer, ClientError) else {}
    code = str(said.get("Code", ""))
    if code == "NoSuchBucket":
        return ConfigurationError("The bucket of RECSAAS_LAKE does not exist. Create it, or name another one.")
    if code in _CONDITION_FAILED:
        return Conflict("Somebody else has written this meanwhile. Look at what is there now, then try again.")
    if isinstance(error, PermissionError) or code in _REFUSED:
        return ConfigurationError(
            f"The object store of RECSAAS_LAKE refuses the credentials ({code or error}). Check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and that they may list, read, write and delete in the bucket."
        )
    cut_off = (BotoConnectionError, HTTPClientError, TransferError, TimeoutError, ConnectionError)
    if isinstance(error, cut_off) or code in _NOT_OUR_FAULT:
        return LakeUnavailable(
            f"The object store of the lake does not answer ({code or type(error).__name__}). Check that it runs and "
            "that RECSAAS_S3_ENDPOINT is its address, then try again."
        )
    if isinstance(error, NoCredentialsError):
        return ConfigurationError(_NO_CREDENTIALS)
    if isinstance(error, BotoCoreError):
        return ConfigurationError(f"The object store of RECSAAS_LAKE cannot be used: {error} See docs/settings.md.")
    return None
