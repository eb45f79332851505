"""A tenant's mappings: shown, set, cleared and proposed, by API and command alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from resources.access.actor import SYSTEM, Actor
from resources.base.errors import UploadRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import change_settings, get_tenant
from resources.processes.forked import ChildDied
from resources.tenants.settings import FileMapping, TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.headers.mapping import GivenMapping, checked_mapping
from resources.uploads.headers.proposal import propose
from resources.uploads.parsing.reader import read_head
from resources.uploads.parsing.uploaded_file import identify, is_small_text, size_of
from resources.uploads.store_in_child import child_limits, children


class ProposedMapping(BaseModel):
    """A proposal of how a file would be read: `mapping` may be set, or sent with the file, as it stands.

    `reasons` says of each header why; `missing` are required columns for which nothing was found; `preset` is the known
    export that the file is; `columns_ignored` are kept and not used.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    mapping: GivenMapping
    reasons: dict[str, str]
    missing: tuple[str, ...]
    preset: str | None
    columns_ignored: tuple[str, ...]


def show_mapping(db: ControlDb, tenant: TenantId, kind: Kind) -> GivenMapping:
    """Return how the tenant's files of a kind are read.

    Raises:
        TenantNotFound: no tenant has this id.
    """
    return _shown(get_tenant(db, tenant).settings, kind)


def set_mapping(
    db: ControlDb, tenant: TenantId, kind: Kind, mapping: GivenMapping, *, now: datetime, by: Actor = SYSTEM
) -> GivenMapping:
    """Replace how the tenant's files of a kind are read; files that come later are read so.

    The names of types, where they are given, are those of events too.

    Raises:
        TenantNotFound: no tenant has this id.
        InvalidInput: the mapping leads nowhere; nothing is changed.
    """
    checked = checked_mapping(kind, mapping)
    changes: dict[str, Any] = {f"uploads.mappings.{kind}": checked.of_file.model_dump(mode="json")}
    if checked.interaction_types is not None:
        changes["interaction_types"] = checked.interaction_types
    return _shown(change_settings(db, tenant, changes, now=now, by=by).settings, kind)


def clear_mapping(db: ControlDb, tenant: TenantId, kind: Kind, *, now: datetime, by: Actor = SYSTEM) -> GivenMapping:
    """Forget how the tenant's files of a kind are read; names of types stay.

    Raises:
        TenantNotFound: no tenant has this id.
    """
    changed = change_settings(db, tenant, {f"uploads.mappings.{kind}": None}, now=now, by=by)
    return _shown(changed.settings, kind)


def propose_mapping(kind: Kind, content: Path, filename: str, policy: UploadPolicy) -> ProposedMapping:
    """Propose how a file, or its first lines, would be read. Nothing is stored.

    Raises:
        UploadRefused: the file cannot be read at all.
        TooLarge: it is over the policy's `max_bytes`.
    """
    if is_small_text(content):
        return _proposed(kind, content, filename, policy)
    request = {
        "kind": kind.value,
        "file": str(content),
        "filename": filename,
        "settings": policy.settings.model_dump(mode="json"),
        "max_bytes": policy.max_bytes,
    }
    try:
        answer = children().run(__name__, request, limits=child_limits(policy.limits, size_of(content)))
    except ChildDied as death:
        raise UploadRefused("too_expensive", f"{filename} takes too much to read; send its first lines.") from death
    if "refused" in answer:
        raise UploadRefused(*answer["refused"])
    return ProposedMapping.model_validate(answer["proposal"])


def main(request: dict[str, Any], _tell: Callable[[Any], None]) -> dict[str, Any]:
    """The work of the child that reads a file which is not small."""
    policy = UploadPolicy(TenantSettings.model_validate(request["settings"]), request["max_bytes"])
    try:
        found = _proposed(Kind(request["kind"]), Path(request["file"]), request["filename"], policy)
    except UploadRefused as refusal:
        return {"refused": [refusal.reason, refusal.message]}
    except pl.exceptions.PanicException:
        return {"refused": ["not_parquet", f"{request['filename']} is not a readable file; export it again."]}
    return {"proposal": found.model_dump(mode="json")}


def _proposed(kind: Kind, content: Path, filename: str, policy: UploadPolicy) -> ProposedMapping:
    file = identify(content, filename=filename, max_bytes=policy.max_bytes)
    uploads = policy.settings.uploads
    headers, sample = read_head(file, kind, settings=uploads, max_bytes=policy.max_bytes, limits=policy.limits)
    found = propose(kind, headers, sample, uploads)
    return ProposedMapping(
        kind=kind,
        mapping=GivenMapping(**found.mapping.model_dump()),
        reasons=dict(found.reasons),
        missing=found.missing,
        preset=found.preset,
        columns_ignored=found.ignored,
    )


def _shown(settings: TenantSettings, kind: Kind) -> GivenMapping:
    mapping = settings.uploads.mappings.get(kind.value, FileMapping())
    types = dict(settings.interaction_types) if kind is Kind.INTERACTIONS else None
    return GivenMapping(**mapping.model_dump(), interaction_types=types)
