"""The object store below a lake at `s3://…`: one connection per process, and errors that say what to do.

`Lake.open` imports it, for such a lake alone: a lake in a folder needs neither s3fs nor its import time.
Credentials come from where all AWS tools look for them: `AWS_…` variables, profiles, the machine's role.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from upath import UPath

from resources.storage.file_store import FileStore
from resources.storage.object_errors import explained
from resources.storage.object_files import PIECE_BYTES, ObjectFiles

_CONNECT_SECONDS, _READ_SECONDS = 3, 30


class ObjectStore(S3FileSystem):  # type: ignore[misc]
    """s3fs with errors of ours; `files` is what the lake does with it.

    `scratch` is a folder of this machine for files on their way.
    """

    retries = 2  # botocore tries each of them twice; with s3fs's five a person would wait for minutes

    def __init__(self, *, scratch: str, **options: Any) -> None:
        super().__init__(**options)
        self.files: FileStore = ObjectFiles(Path(scratch))

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
        "default_block_size": PIECE_BYTES,
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
