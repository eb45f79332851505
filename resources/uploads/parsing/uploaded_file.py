"""The bytes of an upload: its format by content, gunzipped, under the size limit, refused when hopeless."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from resources.base.errors import TooLarge, UploadRefused
from resources.uploads.dialects.encoding import Readable

_SIGNATURES = (
    (b"PK\x03\x04", "a zip file or an Excel workbook; in a spreadsheet use 'Save as CSV UTF-8', or unpack it"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; use 'Save as CSV UTF-8'"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"BZh", "a bzip2 archive; compress with gzip instead"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; compress with gzip instead"),
    (b"\xfd7zXZ", "an xz archive; compress with gzip instead"),
    (b"7z\xbc\xaf", "a 7z archive; compress with gzip instead"),
)
SMALL_TEXT_BYTES = 64 * 1024
_SNIFF_BYTES = 4096
_MOST_NULS = 8
_PARQUET_MARK = b"PAR1"
_GZIP_MARK = b"\x1f\x8b"
_GZIP_NAMES = (".gz", ".gzip")
_COUNTED_AT_ONCE = 1 << 20
MAX_RATIO = 200
"""Bytes of text for each that was sent: tables of shops have 5 to 20, and gzip does not make more than a thousand."""
FREE_TEXT_BYTES = 10 * 1024 * 1024
"""So much text may a file have whatever its size."""


class Format(StrEnum):
    """File formats, each with the ending under which the original is kept."""

    CSV = ".csv"
    TSV = ".tsv"
    CSV_GZ = ".csv.gz"
    TSV_GZ = ".tsv.gz"
    PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An upload as it came: a file or bytes, with its display name, checksum, format and size in bytes."""

    content: Path | bytes
    filename: str
    sha256: str
    format: Format
    size: int

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open the bytes as they came."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


class LimitedStream:
    """Text bytes of a source, gunzipped if need be, and never more than `max_bytes`."""

    def __init__(self, raw: BinaryIO, *, file: UploadedFile, max_bytes: int) -> None:
        gunzip = file.format in (Format.CSV_GZ, Format.TSV_GZ)
        self._stream: Readable = gzip.GzipFile(fileobj=raw, mode="rb") if gunzip else raw
        self._name = file.filename
        self._left = max_bytes
        self._max = max_bytes
        self._expanded = max(FREE_TEXT_BYTES, MAX_RATIO * file.size) if gunzip else max_bytes

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes; nothing at the end.

        Raises:
            TooLarge: the text is longer than the limit, though the compressed file may be short.
            UploadRefused: the gzip data is damaged, or `compressed_too_much`: there is far more text in it than any
                table of a shop has.
        """
        try:
            data = self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UploadRefused(
                "corrupt_gzip", f"{self._name} is damaged or incomplete gzip ({error}); compress and send it again."
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._name, self._max)
        if self._max - self._left > self._expanded:
            raise UploadRefused(
                "compressed_too_much",
                f"{self._name} holds more than {MAX_RATIO} times as much text as was sent. No table is packed like "
                "that; send it uncompressed if it is right.",
            )
        return data


def format_of(content: Path | bytes, filename: str) -> Format:
    """Return the format that the first bytes and the name of an upload say.

    Raises:
        UploadRefused: they contradict each other (`not_parquet`, `corrupt_gzip`).
    """
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        return _format_of(stream.read(_SNIFF_BYTES), display_name(filename))


def is_small_text(content: Path | bytes) -> bool:
    """Whether reading an upload takes a moment whatever it holds: a few bytes of gzip or Parquet may be any work."""
    if size_of(content) > SMALL_TEXT_BYTES:
        return False
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        return not stream.read(_SNIFF_BYTES).startswith((_PARQUET_MARK, _GZIP_MARK))


def size_of(content: Path | bytes) -> int:
    """Return the bytes of an upload as it came."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def identify(content: Path | bytes, *, filename: str, max_bytes: int, sha256: str | None = None) -> UploadedFile:
    """Look at the size and the first bytes of an upload, and at all of them for a checksum that is not known yet.

    Raises:
        TooLarge: the file is over `max_bytes`.
        UploadRefused: `empty_file`, or a format that does not fit (`not_csv`, `not_parquet`, `corrupt_gzip`).
    """
    name = display_name(filename)
    size = size_of(content)
    if size > max_bytes:
        raise _too_large(name, max_bytes)
    if size == 0:
        raise UploadRefused("empty_file", f"{name} is empty; send a file with a header and at least one row.")
    stream: io.BytesIO | io.BufferedReader = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    with stream:
        start = stream.read(_SNIFF_BYTES)
        if sha256 is None:
            stream.seek(0)
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return UploadedFile(content=content, filename=name, sha256=sha256, format=_format_of(start, name), size=size)


def text_exceeds(file: UploadedFile, limit: int) -> bool:
    """Say whether a file holds more than `limit` bytes of text; gzip is unpacked that far, a damaged one is short."""
    if file.size > limit or file.format not in (Format.CSV_GZ, Format.TSV_GZ):
        return file.size > limit
    left = limit
    with file.open() as raw, gzip.GzipFile(fileobj=raw, mode="rb") as text:
        try:
            while left >= 0 and (data := text.read(_COUNTED_AT_ONCE)):
                left -= len(data)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            return False  # whoever reads it says what is wrong
    return left < 0


def display_name(filename: str) -> str:
    """Return the last part of a client's file name without control characters, at most 255 characters."""
    last = re.split(r"[/\\]", filename.strip())[-1]
    cleaned = "".join(c for c in last if c.isprintable())
    return cleaned[:255] if cleaned.strip(". ") else "upload"


def refuse_what_is_not_text(start: bytes, name: str) -> None:
    """Refuse a file whose first bytes show that it is no text in any encoding.

    Raises:
        UploadRefused: `not_csv`.
    """
    for mark, what in _SIGNATURES:
        if start.startswith(mark):
            raise UploadRefused("not_csv", f"{name} is {what}; send CSV, TSV, CSV.gz or Parquet.")


def refuse_other_text(start: bytes, name: str) -> None:
    """Refuse text in UTF-8 that is no table, by its first bytes.

    Raises:
        UploadRefused: `not_csv`.
    """
    if start[:_SNIFF_BYTES].count(0) > _MOST_NULS:
        refuse_nul(start, name)
    text = start[:_SNIFF_BYTES].lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<body", b"<head")):
        raise UploadRefused("not_csv", f"{name} is a web page or XML, not CSV; check that the export was downloaded.")
    if text.startswith((b"{", b"[")):
        raise UploadRefused("not_csv", f"{name} is JSON; send CSV, or post it to the JSON route.")


def refuse_misnamed(file: UploadedFile) -> None:
    """Refuse text whose name says that it is compressed, as browsers leave it that unpack what they load.

    Raises:
        UploadRefused: `corrupt_gzip`.
    """
    if file.filename.lower().endswith(_GZIP_NAMES) and file.format not in (Format.CSV_GZ, Format.TSV_GZ):
        raise _not_gzip(file.filename)


def refuse_nul(block: bytes, name: str) -> None:
    """Refuse a block of text with a NUL byte in it."""
    if b"\0" in block:
        raise UploadRefused(
            "not_csv", f"{name} contains NUL bytes, so it is not text; export it again as CSV in UTF-8."
        )


def _format_of(start: bytes, name: str) -> Format:
    ending = name.lower()
    if start.startswith(_PARQUET_MARK):
        return Format.PARQUET
    if ending.endswith((".parquet", ".pq")):
        raise UploadRefused("not_parquet", f"{name} is not a Parquet file; export it again, or send CSV.")
    gzipped = start.startswith(_GZIP_MARK)
    if ending.endswith(_GZIP_NAMES) and not gzipped and not _is_printable(start):
        raise _not_gzip(name)
    tabbed = re.search(r"\.(tsv|tab)(\.|$)", ending) is not None
    if gzipped:
        return Format.TSV_GZ if tabbed else Format.CSV_GZ
    return Format.TSV if tabbed else Format.CSV


def _not_gzip(name: str) -> UploadRefused:
    return UploadRefused("corrupt_gzip", f"{name} is not gzip data; compress it again, or send it uncompressed.")


def _is_printable(start: bytes) -> bool:
    """Whether bytes are those of a text: no signs that control a device, but for tabs, ends of lines and zeros."""
    return not start.translate(None, bytes(range(0x20, 0x100)) + b"\t\r\n\0")


def _too_large(name: str, max_bytes: int) -> TooLarge:
    return TooLarge(f"{name} holds more than {max_bytes:,} bytes, compressed or not; split it into smaller files.")
