"""Receiving a file: the multipart body goes to disk as it arrives and never over the limit."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from bento_service.http.body_text import content_encoding
from bento_service.http.errors import Malformed, RequestTimeout, UnsupportedMediaType, invalid_fields
from bento_service.http.json_body import media_type
from resources.base.errors import FieldProblem, TooLarge

FIELD = "file"
MAPPING_FIELD = "mapping"
"""May come with the file: how this one is to be read, as JSON."""
_MOST_OF_MAPPING = 48 * 1024
_MOST_OF_NAME = 255
MAX_PARTS = 20
_MOST_HEADERS, _MOST_OF_HEADERS = 8, 8 * 1024  # of a part
_OVERHEAD = 64 * 1024  # part headers, boundaries and the other fields of the form
_BUFFER = 1024 * 1024
_STALE_SECONDS = 24 * 3600
LEAST_RATE = 1024
"""Bytes a second that a file has to arrive at on average, or its client could hold it open for ever byte by byte."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file on disk, the name that the client gave it, its bytes and their checksum.

    `mapping` is the text of the form's field of that name, None without one.
    """

    path: Path
    filename: str
    size: int
    sha256: str
    mapping: str | None = None


@asynccontextmanager
async def received_file(request: Request, *, folder: Path, max_bytes: int, pause: float) -> AsyncIterator[ReceivedFile]:
    """Write the form's `file` into `folder`, and remove it at the end.

    Raises:
        UnsupportedMediaType: the body is not a multipart form.
        TooLarge: the file is over `max_bytes`; the rest of it is not read.
        RequestTimeout: nothing arrived for `pause` seconds, or all in all less than `LEAST_RATE` bytes a second.
        InvalidInput: the form has no file in the field `file`, or more than one, or a `mapping` that is too long.
        Malformed: the form is cut off, or not a form.
    """
    boundary = _boundary(request)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes + _OVERHEAD:
        raise _too_large(max_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb", buffering=_BUFFER) as target:
            form = _Form(target, boundary, max_bytes)
            await _feed(request, form, max_bytes, pause)
        yield ReceivedFile(path, form.filename(), form.size, form.sha256, form.mapping())
    finally:
        path.unlink(missing_ok=True)


def remove_stale_files(folder: Path) -> None:
    """Remove what a process that was killed left in `folder`: files older than a day."""
    oldest = time.time() - _STALE_SECONDS
    for path in folder.glob("upload-*"):
        with suppress(FileNotFoundError):  # another worker has just finished with it
            if path.stat().st_mtime < oldest:
                path.unlink()


class _Form:
    """Callbacks of the multipart parser; only the fields `file` and `mapping` are kept."""

    def __init__(self, target: BinaryIO, boundary: bytes, max_bytes: int) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._names: list[str] = []
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._in_file = self._in_mapping = False
        self._parts = self._headers = self._of_headers = 0
        self._mapping: bytearray | None = None
        self._hash = hashlib.sha256()
        self.size = 0
        self.complete = False
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_data,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_end": self._ends,
            },
        )

    def filename(self) -> str:
        """Return the client's name of the file.

        Raises:
            Malformed, InvalidInput: as in `received_file`.
        """
        if not self.complete:
            raise Malformed("The form is cut off; send it again.")
        if not self._names:
            raise invalid_fields([FieldProblem(FIELD, "is missing; send the file in a form field of this name")])
        return self._names[0].replace("\0", "")[-_MOST_OF_NAME:]  # its end says what it is

    def mapping(self) -> str | None:
        """Return the text of the field `mapping`; None without one, or without text in it."""
        text = "" if self._mapping is None else self._mapping.decode("utf-8", errors="replace").strip()
        return text or None

    @property
    def sha256(self) -> str:
        """Checksum of the file, in hex."""
        return self._hash.hexdigest()

    def _part_begins(self) -> None:
        self._header = self._value = self._disposition = b""
        self._in_file = self._in_mapping = False
        self._headers = self._of_headers = 0
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Malformed(f"The form has more than {MAX_PARTS} parts; send the file, and what belongs to it.")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._of_headers += size
        if self._headers >= _MOST_HEADERS or self._of_headers > _MOST_OF_HEADERS:
            raise Malformed(
                f"A part of the form may have {_MOST_HEADERS} headers, of {_MOST_OF_HEADERS:,} bytes together."
            )

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""
        self._headers += 1

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") == FIELD.encode() and b"filename" in options:
            if self._names:
                raise invalid_fields([FieldProblem(FIELD, "is there twice")])
            self._in_file = True
            self._names.append(options[b"filename"].decode("utf-8", errors="replace"))
        elif options.get(b"name") == MAPPING_FIELD.encode():
            self._in_mapping, self._mapping = True, bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_mapping and self._mapping is not None:
            self._mapping += data[start:end]
            if len(self._mapping) > _MOST_OF_MAPPING:
                raise invalid_fields([FieldProblem(MAPPING_FIELD, f"is longer than {_MOST_OF_MAPPING:,} bytes")])
        if not self._in_file:
            return
        self.size += end - start
        if self.size > self._max_bytes:
            raise _too_large(self._max_bytes)
        piece = memoryview(data)[start:end]
        self._hash.update(piece)
        self._target.write(piece)

    def _ends(self) -> None:
        self.complete = True


async def _feed(request: Request, form: _Form, max_bytes: int, pause: float) -> None:
    """Hand the body to the parser in pieces of about 1 MB, each in a worker thread because it writes to disk."""
    size = 0
    pending: list[bytes] = []
    held = 0
    try:
        async for chunk in _chunks(request, pause):
            size += len(chunk)
            if size > max_bytes + _OVERHEAD:
                raise _too_large(max_bytes)
            pending.append(chunk)
            held += len(chunk)
            if held >= _BUFFER:
                await to_thread.run_sync(form.parser.write, b"".join(pending))
                pending, held = [], 0
                if size - form.size > _OVERHEAD:
                    raise TooLarge(
                        f"The form holds more than {_OVERHEAD:,} bytes beside its file; send the file alone."
                    )
        await to_thread.run_sync(form.parser.write, b"".join(pending))
        form.parser.finalize()
    except MultipartParseError as error:
        raise Malformed("The body is not a well-formed multipart form; send it again.") from error
    except ClientDisconnect as error:
        raise Malformed("The connection was closed before the form was complete.") from error


async def _chunks(request: Request, pause: float) -> AsyncIterator[bytes]:
    """Give the pieces of the body; a client that stops sending must not hold a file and a connection for ever."""
    stream = request.stream()
    time = asyncio.get_running_loop().time
    began = time()
    size = 0
    while True:
        now = time()
        try:
            async with asyncio.timeout_at(min(now + pause, began + pause + size / LEAST_RATE)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeout(
                f"Nothing of the file arrived for {pause:g} seconds, or less than {LEAST_RATE:,} bytes a second; send "
                "it again."
            ) from error
        size += len(chunk)
        yield chunk


def _boundary(request: Request) -> bytes:
    if content_encoding(request):
        raise UnsupportedMediaType(
            "A form with a file is not taken compressed as a whole. Compress the file in it instead: send shop.csv.gz."
        )
    if media_type(request) != "multipart/form-data":
        given = media_type(request)[:80] or "a body without a content type"
        raise UnsupportedMediaType(
            f"The route takes a multipart form with a file in the field '{FIELD}', not {given}. "
            f"For example: curl -F {FIELD}=@items.csv"
        )
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise Malformed("The Content-Type of the form has no usable boundary; let your HTTP client set the header.")
    return boundary


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The file holds more than {max_bytes:,} bytes; split it into smaller files.")
