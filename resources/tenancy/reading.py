"""Reading an archive that anybody may have made: member by member, as a stream, with a limit to everything."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from resources.base.errors import InvalidInput, TooLarge
from resources.control_db.tables.base import Base
from resources.tenancy.archive import (
    HEAD,
    MANIFEST,
    TENANT,
    ArchivedFile,
    ArchivedTenant,
    ArchiveHead,
    ArchiveManifest,
    check_head,
    check_name,
    read_part,
    table_of,
)

_BLOCK = 1 << 20
_MAX_LINE = 8 * 1024**2
_MAX_MEMBERS = 2_000_000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class VerifiedArchive:
    """An archive every byte of which is as its manifest says. `sha256` is that of the manifest, and so of all."""

    file: Path
    head: ArchiveHead
    tenant: ArchivedTenant
    manifest: ArchiveManifest
    sha256: str


def verify_archive(file: Path) -> VerifiedArchive:
    """Read the whole archive, and compare it with its manifest; nothing is written anywhere.

    Raises:
        InvalidInput: it is no archive of a tenant, not whole, changed, of another version, or has a member that does
            not belong there: a link, a name that leads elsewhere, a row that does not fit.
        TooLarge: a member is larger than any may be.
    """
    head: ArchiveHead | None = None
    tenant: ArchivedTenant | None = None
    manifest: ArchiveManifest | None = None
    found: dict[str, ArchivedFile] = {}
    manifest_hash = ""
    with opened_archive(file) as tar:
        for info, stream in members_of(tar):
            if manifest is not None or (head is None and info.name != HEAD):
                raise InvalidInput(f"The archive does not begin with {HEAD} and end with {MANIFEST}.")
            hashed = _HashedStream(stream)
            if info.name in (HEAD, TENANT, MANIFEST):
                data = hashed.read()
                if info.name == HEAD:
                    head = check_head(data)
                elif info.name == TENANT:
                    tenant = read_part(ArchivedTenant, data, TENANT)
                else:
                    manifest, manifest_hash = read_part(ArchiveManifest, data, MANIFEST), hashed.sha256
                    continue
            elif (table := table_of(info.name)) is not None:
                for _ in rows_in(hashed, table, info.name):
                    pass
            hashed.drain()
            if info.name in found or len(found) > _MAX_MEMBERS:
                raise InvalidInput(f"The archive has {info.name[:200]!r} twice. Nothing was imported.")
            found[info.name] = ArchivedFile(name=info.name, bytes=hashed.size, sha256=hashed.sha256)
    if head is None or tenant is None or manifest is None:
        raise InvalidInput("The archive is not whole: it has no manifest. Export the tenant again.")
    _compare(found, manifest, head)
    return VerifiedArchive(file, head, tenant, manifest, manifest_hash)


@contextmanager
def opened_archive(file: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive for reading from its beginning to its end.

    Raises:
        InvalidInput: it is not a tar, or breaks off.
    """
    with open(file, "rb") as start:
        packed = start.read(2) == _GZIP
    try:
        with tarfile.open(file, "r|gz" if packed else "r|") as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{file.name} is no archive, or not whole: {error}. Nothing was imported.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise InvalidInput(f"{file.name} is not whole: {error}. Nothing was imported.") from error


def members_of(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Each member with its contents, which have to be read before the next one.

    Raises:
        InvalidInput: a member is a link or no file, or has a name that no member has.
        TooLarge: it is larger than it may be.
    """
    while (info := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # it would keep every one of them
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse():
            raise InvalidInput(
                f"{info.name[:200]!r} in the archive is a link, a folder or no file. Nothing was imported."
            )
        most = check_name(info.name)
        if info.size > most:
            raise TooLarge(f"{info.name[:200]!r} in the archive has {info.size:,} bytes; {most:,} are allowed.")
        stream = tar.extractfile(info)
        assert stream is not None
        yield info, stream


def rows_in(stream: Any, table: type[Base], name: str) -> Iterator[dict[str, Any]]:
    """The rows of a member, each with columns that the table has.

    Raises:
        InvalidInput: a line is no row of this table.
    """
    columns = {column.name for column in table.__table__.columns} - {"tenant_id"}
    needed = {column.name for column in table.__table__.columns if not column.nullable and column.name != "tenant_id"}
    number = 0
    while line := stream.readline(_MAX_LINE):
        number += 1
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"Line {number} of {name} in the archive is no JSON.") from error
        if not isinstance(row, dict) or not needed <= set(row) <= columns:
            raise InvalidInput(
                f"Line {number} of {name} in the archive is no row of {table.__tablename__} as this recsaas knows it."
            )
        yield row


class _HashedStream:
    """A member that is hashed and counted while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self) -> bytes:
        return self._seen(self._stream.read())

    def readline(self, most: int) -> bytes:
        return self._seen(self._stream.readline(most))

    def drain(self) -> None:
        while self._seen(self._stream.read(_BLOCK)):
            pass

    def _seen(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.size += len(data)
        return data


def _compare(found: dict[str, ArchivedFile], manifest: ArchiveManifest, head: ArchiveHead) -> None:
    listed = {member.name: member for member in manifest.members}
    if head.tenant != manifest.tenant:
        raise InvalidInput("The archive was put together from those of two tenants. Nothing was imported.")
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            what = "is missing" if name not in found else "is not listed" if name not in listed else "was changed"
            raise InvalidInput(f"{name[:200]!r} in the archive {what}. Nothing was imported; export the tenant again.")
