"""The JSON of a body from its bytes: decompressed within limits, without a byte-order mark, in UTF-8."""

from __future__ import annotations

import codecs
import re
import zlib
from typing import TYPE_CHECKING

from fastapi import Request

from bento_service.http.errors import Malformed, NestedTooDeep, UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Callable

    from resources.base.errors import TooLarge

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""How zlib is told what each content encoding is."""
MAX_DEPTH = 64
"""Levels of brackets that a JSON body may have."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string of JSON, or one without an end: nothing is tried twice, so that the time grows with the length alone."""
_TOO_DEEP = b"[" * (MAX_DEPTH + 1)
_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OTHER_UNICODE = (
    ("UTF-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),  # before UTF-16, with whose mark one of them begins
    ("UTF-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)


def content_encoding(request: Request) -> str:
    """Return how the body is compressed: `gzip`, `deflate`, or an empty text where it is not.

    Raises:
        UnsupportedMediaType: it is compressed in another way, or twice.
    """
    given = request.headers.get("content-encoding", "").strip().lower()
    if given in ("", "identity"):
        return ""
    if given not in _WINDOWS:
        raise UnsupportedMediaType(
            f"The body has the Content-Encoding {given[:80]!r}; taken are gzip and deflate, and bodies that are not "
            "compressed."
        )
    return given


def decompressed(body: bytes, encoding: str, *, most: int, too_large: Callable[[], TooLarge]) -> bytes:
    """Return the body as it was before it was compressed; never more than `most` bytes are made of it.

    Raises:
        TooLarge: it would be more.
        Malformed: it is not what the encoding says, or cut off.
    """
    pieces: list[bytes] = []
    left = most
    rest = body
    try:
        while rest:
            stream = zlib.decompressobj(_WINDOWS[encoding])
            piece = stream.decompress(rest, left + 1)
            left -= len(piece)
            if left < 0:
                raise too_large()
            if not stream.eof:
                raise zlib.error("cut off")
            pieces.append(piece)
            rest = stream.unused_data  # gzip may be several streams one after the other
    except zlib.error as error:
        raise Malformed(
            f"The body is not whole {encoding}, which its Content-Encoding says it is. Compress it again, or send it "
            "as it is without that header."
        ) from error
    return b"".join(pieces)


def json_text(body: bytes) -> bytes:
    """Return the body without a byte-order mark.

    Raises:
        Malformed: it is text in another encoding than UTF-8.
    """
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    for name, marks in _OTHER_UNICODE:
        if body.startswith(marks):
            raise _not_utf8(name)
    if body[:1] == b"\0" or body[1:2] == b"\0":  # JSON begins with ASCII
        raise _not_utf8("UTF-16 or UTF-32")
    return body


def check_depth(body: bytes) -> None:
    """Refuse a body that nests more than `MAX_DEPTH` levels; most have too few brackets for that, and cost a count.

    Raises:
        NestedTooDeep: it does.
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(_ALIKE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each time the innermost level goes
        if not brackets:
            return
        if _TOO_DEEP in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    if b"[" in brackets:
        raise NestedTooDeep(f"The body nests more than {MAX_DEPTH} levels; send flatter JSON.")


def _not_utf8(name: str) -> Malformed:
    return Malformed(f"The body is text in {name}; JSON is sent in UTF-8. Encode it as UTF-8, and send it again.")
