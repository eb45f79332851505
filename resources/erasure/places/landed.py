"""A user in dropped files: refused ones go, because nobody reads them again; those that wait are the shop's.

Only text is looked into: a Parquet file may be one that kills its reader.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, cast

from resources.erasure.places.matching import names_user, stream_names_user, without_user
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.landing.folders import list_landing, opened_file
from resources.landing.names import NOTICE, shown
from resources.landing.refused import forget_refused, refused_content
from resources.storage.listing import list_files
from resources.uploads.contract.columns import Kind

_MOST_BYTES = 256 * 1024**2
"""Of one file; in one that is longer, or that is no text, the user may be."""
_GZIP_MARK = b"\x1f\x8b"
_NO_TEXT, _LOOKED_AT = (b"\0", b"PAR1"), 4096
_NAMED = "the file was refused, and has gone, because it names the user"
_UNREAD = "the file was refused, and has gone unread, because it may name the user"


def traces_in_refused_files(subject: Subject) -> Iterator[Trace]:
    """Look at every file that was dropped and refused."""
    folder = subject.folder
    for refused_id, names in refused_content(folder).items():
        named = {name: _names_user_in_refused(subject, refused_id, name) for name in names}
        if any(answer is not False for answer in named.values()):
            done = _NAMED if any(named.values()) else _UNREAD
            finding = UserData(place=f"landing/refused/{refused_id}", rows=0, done=done)
            yield Trace(finding, partial(forget_refused, folder, refused_id))


def waiting_mentions(subject: Subject) -> tuple[str, ...]:
    """Dropped files that name the user, or may: taken in by nobody, so they are the shop's to remove."""
    mentions = []
    for file in sorted(list_landing(subject.lake, subject.tenant.value), key=lambda file: file.name):
        if file.name.endswith(NOTICE) or file.name.split("/")[1] == Kind.ITEMS:
            continue
        try:
            with opened_file(subject.lake, file.name) as handle:
                named = _names_user(handle, file.name, subject.user_id)
        except FileNotFoundError:
            continue
        except PermissionError:
            named = None
        mentions += _mention(f"landing/{file.name}", named, subject.user_id)
    for file in sorted(list_files(subject.folder.root / "landing" / "taking"), key=lambda file: file.name):
        path = subject.folder.root / "landing" / "taking" / file.name
        with path.open("rb") as handle:
            named = _names_user(handle, file.name, subject.user_id)
        mentions += _mention(f"tenants/{subject.tenant}/landing/taking/{file.name}", named, subject.user_id)
    return tuple(mentions)


def _mention(place: str, named: bool | None, user_id: str) -> list[str]:
    if named is False:
        return []
    said = "names the user: remove it yourself" if named else "may name the user: look into it yourself"
    return [f"{without_user(shown(place), user_id)} {said}"]


def _names_user_in_refused(subject: Subject, refused_id: str, name: str) -> bool | None:
    with (subject.folder.refused / refused_id / name).open("rb") as handle:
        return _names_user(handle, name, subject.user_id)


def _names_user(handle: IO[bytes], name: str, user_id: str) -> bool | None:
    """Whether a file names the user, by its name or its text; None when that cannot be known."""
    if names_user(shown(name), user_id):
        return True
    packed = handle.read(len(_GZIP_MARK)) == _GZIP_MARK
    handle.seek(0)
    try:
        if packed:
            with gzip.open(handle) as unpacked:
                return _text_names_user(cast("IO[bytes]", unpacked), user_id)
        return _text_names_user(handle, user_id)
    except (OSError, EOFError, zlib.error):
        return None


def _text_names_user(handle: IO[bytes], user_id: str) -> bool | None:
    beginning = handle.read(_LOOKED_AT)
    if any(mark in beginning for mark in _NO_TEXT):
        return None
    handle.seek(0)
    return stream_names_user(handle, user_id, most=_MOST_BYTES)
