"""Recognising a user's id in tables and in text files."""

from __future__ import annotations

import gzip
import re
import sys
from contextlib import suppress
from typing import cast

import polars as pl
from upath import UPath

from resources.base.errors import UploadRefused
from resources.base.ids import spelled
from resources.storage.lake import scan_parquet
from resources.uploads.contract.columns import REJECTED_REASON, Kind
from resources.uploads.dialects.encoding import DecodedStream, Readable, find_encoding
from resources.uploads.headers.words import key_of
from resources.uploads.normalising.ids import is_id

USER = "user_id"
_USER_KEY = key_of(USER)
_BLOCK = 1 << 20
# What may stand beside a cell: separators, quotes, blanks, line ends, the mark at the start of a file.
_BESIDE = rb"[^,;|\t\"' \r\n\xbf]"
_START = 64 * 1024
_RAGGED = "fields and the header has"


def rows_of(user_id: str) -> pl.Expr:
    """Rows of a table of ours that are the user's."""
    return is_id(pl.col(USER), user_id)


def user_columns(headers: tuple[str, ...], kind: Kind) -> tuple[str, ...]:
    """The headers under which a file may have the user's id: all of them where none is `user_id`; of items none.

    Which one it was depends on the tenant's mapping at that time; a row too many that goes is better than one that
    stays.
    """
    if kind is Kind.ITEMS:
        return ()
    named = tuple(header for header in headers if key_of(header) == _USER_KEY)
    return named or tuple(header for header in headers if not header.startswith("rejected_"))


def raw_rows_of(user_id: str, headers: tuple[str, ...], kind: Kind) -> pl.Expr:
    """Rows of a table with a file's own columns, as text, that are the user's.

    In a row with too few or too many cells the id may stand under any header.
    """
    theirs = pl.any_horizontal(pl.lit(False), *(_is(pl.col(name), user_id) for name in user_columns(headers, kind)))
    if REJECTED_REASON not in headers:
        return theirs
    cells = [pl.col(name) for name in headers if not name.startswith("rejected_")]
    ragged = pl.col(REJECTED_REASON).str.contains(_RAGGED, literal=True)
    return theirs | (ragged & pl.any_horizontal(pl.lit(False), *(_is(cell, user_id) for cell in cells)))


def names_user(text: str, user_id: str) -> bool:
    """Whether the id stands in a text by itself, and not as a part of a longer one."""
    return _pattern(user_id).search(text.encode()) is not None


def without_user(text: str, user_id: str) -> str:
    """The text with the id blotted out."""
    return _pattern(user_id).sub(b"[erased]", text.encode()).decode()


def count_in_table(path: UPath, user_id: str) -> int:
    """Rows of the user in a Parquet file of ours; 0 when it has no user column."""
    table = scan_parquet([path])
    if USER not in table.collect_schema():
        return 0
    return cast("int", table.filter(rows_of(user_id)).select(pl.len()).collect().item())


def file_names_user(path: UPath, user_id: str, kind: Kind) -> bool:
    """Whether a file as the shop sent it (CSV or TSV, also gzipped, or Parquet) names the user."""
    if path.name.endswith(".parquet"):
        table = scan_parquet([path])
        found = (
            table.filter(raw_rows_of(user_id, tuple(table.collect_schema()), kind)).select(pl.len()).collect().item()
        )
        return bool(found)
    with path.open("rb") as handle:
        if path.name.endswith(".gz"):
            with gzip.open(handle) as unpacked:
                return _text_names_user(cast("Readable", unpacked), user_id)
        return _text_names_user(handle, user_id)


def _text_names_user(handle: Readable, user_id: str) -> bool:
    """Whether a text names the user, in whatever encoding; of one that cannot be read nobody knows, so it does."""
    start = handle.read(_START)
    try:
        found = find_encoding(start, asked=None, strict=False, filename="")
        return bool(stream_names_user(DecodedStream(handle, start, found, filename=""), user_id))
    except UploadRefused:
        return True


def stream_names_user(handle: Readable, user_id: str, *, most: int = sys.maxsize) -> bool | None:
    """Whether a text names the user in its first `most` bytes; None when it goes on after them."""
    # A file that begins as ASCII may go on as Windows-1252.
    pattern, overlap = _pattern(user_id), 4 * len(user_id.encode()) + 8
    kept = b""
    while block := handle.read(_BLOCK):
        window = kept + block
        # A hit that touches the end of the window may be the beginning of a longer id: the next window decides.
        if any(hit.end() < len(window) for hit in pattern.finditer(window)):
            return True
        most -= len(block)
        if most < 0:
            return None
        kept = window[-overlap:]
    return pattern.search(kept) is not None


def _pattern(user_id: str) -> re.Pattern[bytes]:
    """Any form of the id in a text, with nothing else beside it."""
    texts = {each for form in spelled(user_id) for each in (form, form.replace('"', '""'))}
    forms = {text.encode() for text in texts}
    with suppress(UnicodeEncodeError):
        forms.add(user_id.encode("cp1252"))
    wanted = b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rb"(?<!%s)(?:%s)(?!%s)" % (_BESIDE, wanted, _BESIDE))


def _is(cell: pl.Expr, user_id: str) -> pl.Expr:
    return is_id(cell, user_id)
