"""The archive of a whole tenant: a tar with one member for every file and for every stretch of rows, the list of all
members with their hashes last. Nothing in it opens anything: keys, passwords and sessions are left out.

    recsaas-tenant.json          what this is, and of which version
    tenant.json                  name, settings, plan, currency and time zone
    rows/<table>/<number>.jsonl  rows of the control DB, one JSON object a line
    uploads/<upload>/…           the file as it was sent, accepted and rejected rows, the report
    releases/<version>/…         and releases/current.json, which one is live
    search/…                     what the hyper-parameter search has found
    manifest.json                counts, numbers, and name, size and sha256 of every other member
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from resources.base.errors import InvalidInput
from resources.control_db.tables.base import Base
from resources.control_db.tables.catalogue import ItemChangeRow, ItemIntakeRow, RuleRow
from resources.control_db.tables.events import EventRow
from resources.control_db.tables.jobs import RunRow
from resources.control_db.tables.tenants import TenantVersionRow
from resources.control_db.tables.uploads import UploadRow

ArchiveProgress = Callable[[str, float], None]
"""Told what is being written or read, and how far that is, 0 to 1; less than 0: as far as before. It may raise, which
ends the work."""
FORMAT, FORMAT_VERSION = "recsaas-tenant", 1
HEAD, TENANT, MANIFEST = "recsaas-tenant.json", "tenant.json", "manifest.json"
TABLES: tuple[type[Base], ...] = (
    RunRow,
    RuleRow,
    UploadRow,
    ItemChangeRow,
    ItemIntakeRow,
    TenantVersionRow,
    EventRow,
)
"""The tables whose rows go along, in their order: uploads refer to runs."""
LEFT_OUT = (
    "API keys, members, invitations, sessions and webhooks: nothing in the archive opens anything. Make new ones",
    "the decision log: receipts of earlier answers stay where they were given",
    "jobs, files that wait to be checked, and dropped files that no run has taken in",
    "feature tables and the trained model: the next run makes them anew",
    "the audit log, which stays with the installation that wrote it",
)
FOLDERS = ("uploads", "releases", "search")
"""Folders of the tenant's part of the lake that go along."""
MAX_FILE_BYTES = 64 * 1024**3
MAX_ROWS_BYTES = 512 * 1024**2
MAX_JSON_BYTES = 64 * 1024**2
"""A manifest of half a million files."""
Model = TypeVar("Model", bound=BaseModel)
_ROWS = re.compile(r"rows/([a-z_]{1,60})/\d{6}\.jsonl")
_MAX_NAME, _MAX_DEPTH = 1000, 12


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveHead(_Part):
    """What an archive is. `revision` is that of the control DB it was made from."""

    format: Literal["recsaas-tenant"] = "recsaas-tenant"
    format_version: int
    tenant: str
    made_at: datetime
    code_version: str
    revision: str


class ArchivedTenant(_Part):
    """The tenant itself."""

    name: str
    settings: dict[str, JsonValue]
    plan: str | None
    currency: str | None
    timezone: str | None
    created_at: datetime


class ArchivedFile(_Part):
    """One member of the tar."""

    name: str
    bytes: int = Field(ge=0)
    sha256: str


class NumberStretch(_Part):
    """The least number of a row that counts on, and the greatest that anything in the archive names; 0 for none."""

    first: int = Field(default=0, ge=0)
    last: int = Field(default=0, ge=0)


class ArchiveManifest(_Part):
    """The last member. `rows` counts by table, `numbers` are of the tables `events` and `item_changes`."""

    format_version: int
    tenant: str
    rows: dict[str, int]
    numbers: dict[str, NumberStretch]
    uploads: int
    releases: int
    live_release: str | None
    left_out: tuple[str, ...]
    members: tuple[ArchivedFile, ...]


def check_head(data: bytes) -> ArchiveHead:
    """Read the first member.

    Raises:
        InvalidInput: this is no archive of a tenant, or one of a newer version.
    """
    head = read_part(ArchiveHead, data, HEAD)
    if head.format_version != FORMAT_VERSION:
        raise InvalidInput(
            f"The archive has format version {head.format_version}, and this recsaas reads version {FORMAT_VERSION}. "
            "Install the version that made it, or a newer one."
        )
    return head


def read_part(model: type[Model], data: bytes, name: str) -> Model:
    """Read a member that is JSON.

    Raises:
        InvalidInput: it is not what it should be.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InvalidInput(f"{name} of the archive cannot be read: {place}: {problem['msg']}.") from error


def check_name(name: str) -> int:
    """Return how many bytes a member of this name may have.

    Raises:
        InvalidInput: no member has such a name: it could lead out of the folder of its tenant.
    """
    if name in (HEAD, TENANT, MANIFEST):
        return MAX_JSON_BYTES
    rows = _ROWS.fullmatch(name)
    if rows is not None and rows[1] in {table.__tablename__ for table in TABLES}:
        return MAX_ROWS_BYTES
    parts = name.split("/")
    plain = all(part and not part.startswith(".") and not any(c in part for c in "\\\0\n") for part in parts)
    if plain and parts[0] in FOLDERS and 2 <= len(parts) <= _MAX_DEPTH and len(name) <= _MAX_NAME:
        return MAX_FILE_BYTES
    raise InvalidInput(f"The archive has a member that does not belong there: {name[:200]!r}. Nothing was imported.")


def table_of(name: str) -> type[Base] | None:
    """The table whose rows a member has; None for other members."""
    rows = _ROWS.fullmatch(name)
    return next((table for table in TABLES if rows is not None and rows[1] == table.__tablename__), None)


def rows_name(table: type[Base], number: int) -> str:
    """The name of the member with a stretch of rows."""
    return f"rows/{table.__tablename__}/{number:06}.jsonl"


def total(rows: Mapping[str, int]) -> int:
    """All rows together."""
    return sum(rows.values())
