"""The encoding of a text file, and its bytes as UTF-8.

UTF-8 and UTF-16 can be told by what is in a file. Any bytes may be Windows-1252, so text is read so only when it is
not UTF-8, and the report says so. Other encodings of one byte a letter cannot be told apart from it.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from resources.base.errors import UploadRefused
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding

_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_LETTERS = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"  # letters of UTF-8 beyond ASCII
)
_ASCII = bytes(range(0x80))
_UNASSIGNED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_WORD = re.compile(r"[^\W\d_]*[^\x00-\x7f][^\W\d_]*")
_UTF_16_SAMPLE = 4096
_ZEROS_OF_WIDE_TEXT, _MUCH_MORE = 8, 16
"""At least an eighth of UTF-16 is zeros, as separators, digits and line ends have them; some other letters do too."""


class Encoding(StrEnum):
    """Encodings of text that are read."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    WINDOWS_1252 = "windows-1252"


class ReadAgain(Exception):
    """A file that began as UTF-8 is none further down: it is to be read from its start in `encoding`."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__(f"the file is to be read as {encoding}")
        self.encoding = encoding


class Readable(Protocol):
    """A stream of bytes, as far as the readers need one."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class FoundEncoding:
    """An encoding, the name Python has for it, and the bytes of the mark at the start of the file.

    `certain` is false when another encoding was read, should the text below not be what its start is.
    """

    encoding: Encoding
    codec: str
    mark: int = 0
    certain: bool = True


def find_encoding(
    start: bytes, *, asked: Encoding | None, again: Encoding | None = None, strict: bool, filename: str
) -> FoundEncoding:
    """Return the encoding of a text whose first bytes are `start`: what a mark says, else what is asked for.

    Args:
        again: what `ReadAgain` said.
        strict: take nothing but UTF-8 when nothing is asked for.

    Raises:
        UploadRefused: `not_utf8`: the encoding is not one that is read, or not one alone.
    """
    codec, length = next(((name, len(mark)) for mark, name in _MARKS if start.startswith(mark)), (None, 0))
    if codec is None and (asked is Encoding.UTF_16 or b"\0" in start[:_UTF_16_SAMPLE]):
        codec = _without_mark(start[:_UTF_16_SAMPLE])
    if codec == "UTF-32" or (codec not in (None, "utf-8") and strict and asked is not Encoding.UTF_16):
        raise not_utf8(filename, f"it is {(codec or '')[:6].upper()}")
    if codec is not None:
        return FoundEncoding(Encoding.UTF_8 if codec == "utf-8" else Encoding.UTF_16, codec, length)
    if Encoding.WINDOWS_1252 in (asked, again):
        return FoundEncoding(Encoding.WINDOWS_1252, "cp1252", certain=asked is not None)
    utf_8 = FoundEncoding(Encoding.UTF_8, "utf-8", certain=strict or asked is not None)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        other = other_encoding(start, error, utf_8, filename=filename, line=1)
        return FoundEncoding(other.encoding, "cp1252", certain=False)
    return utf_8


def other_encoding(
    text: bytes, error: UnicodeDecodeError, found: FoundEncoding, *, filename: str, line: int
) -> ReadAgain:
    """Return how text, which begins on `line` and is not UTF-8, may be read all the same.

    Raises:
        UploadRefused: `not_utf8`: it may not be read in another encoding, or holds letters of two.
    """
    line += text[: error.start].count(b"\n")
    where = f"line {line} holds the byte 0x{text[error.start : error.start + 1].hex()}"
    if found.certain:
        raise not_utf8(filename, f"{where}, as Windows-1252 or Latin-1 files do")
    if _UNASSIGNED.search(text):
        raise not_utf8(filename, f"{where}, and it is not Windows-1252 either")
    utf_8, single = _letters(text)
    if utf_8 >= single:
        raise not_utf8(filename, f"{where}, and other letters of it are UTF-8")
    return ReadAgain(Encoding.WINDOWS_1252)


class DecodedStream:
    """A text stream as UTF-8 without a mark, with line ends that are line feeds where it only has carriage returns."""

    def __init__(self, stream: Readable, start: bytes, found: FoundEncoding, *, filename: str) -> None:
        self._stream = stream
        self._filename = filename
        self._decoder = None if found.encoding is Encoding.UTF_8 else codecs.getincrementaldecoder(found.codec)()
        self._one_byte = found.encoding is Encoding.WINDOWS_1252
        self._encoding = found.encoding
        self._certain = found.certain
        self._returns = False
        self._held = b""
        self._lines = 1
        self._utf_8, self._single = 0, 0
        self._words = Finding("read_as_windows_1252", None, 0)
        self._first = self._decoded(start[found.mark :], final=False)
        if b"\r" in self._first and b"\n" not in self._first:
            self._returns = True
            self._first = self._line_feeds(self._first)

    @property
    def start(self) -> bytes:
        """What is read first, as long as nothing was."""
        return self._first

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What somebody should know of the letters that were read so far."""
        return (self._words,) if self._words.count else ()

    def read(self, size: int, /) -> bytes:
        """Read some bytes, about `size`; nothing at the end.

        Raises:
            UploadRefused: `not_utf8`: bytes that the encoding does not have.
        """
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._decoder is None and not self._returns:
            return self._stream.read(size)
        while data := self._stream.read(size):
            if text := self._line_feeds(self._decoded(data, final=False)):
                return text
        last = self._line_feeds(self._decoded(b"", final=True)) + self._held
        self._held = b""
        if not self._certain and self._utf_8 >= max(1, self._single):
            raise not_utf8(self._filename, "most letters of it are UTF-8, and some are none")
        return last

    def _decoded(self, data: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            return data
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            line = self._lines + data[: error.start].count(b"\n")
            raise not_utf8(
                self._filename, f"about line {line} it has bytes that are not {self._encoding} either"
            ) from error
        if self._one_byte and not data.isascii():
            utf_8, single = _letters(data)
            self._utf_8, self._single = self._utf_8 + utf_8, self._single + single
            words = _WORD.findall(text)
            examples = dict.fromkeys((*self._words.examples, *words))
            count = self._words.count + len(words)
            self._words = replace(self._words, count=count, examples=tuple(examples)[:MAX_EXAMPLES])
        self._lines += text.count("\n")
        return text.encode()

    def _line_feeds(self, text: bytes) -> bytes:
        if not self._returns:
            return text
        text = self._held + text
        self._held = b"\r" if text.endswith(b"\r") else b""  # a line feed may follow
        return text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def not_utf8(name: str, why: str) -> UploadRefused:
    """Return the refusal of a file in another encoding."""
    return UploadRefused("not_utf8", f"{name} is not UTF-8: {why}. Save it as CSV in UTF-8 and send it again.")


def _without_mark(head: bytes) -> str | None:
    """Return what UTF-16 a text without a mark is in: plain letters have their zeros all on one side."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd < len(head) // _ZEROS_OF_WIDE_TEXT:
        return None
    if odd > _MUCH_MORE * even:
        return "utf-16-le"
    return "utf-16-be" if even > _MUCH_MORE * odd else None


def _letters(text: bytes) -> tuple[int, int]:
    """Count letters of UTF-8 beyond ASCII, and other bytes beyond ASCII."""
    found = _LETTERS.findall(text)
    return len(found), len(text.translate(None, _ASCII)) - sum(map(len, found))
