"""A file as the shop sent it: still a stranger's, whatever was stored of it, so Parquet is read in a child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
from upath import UPath

from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.erasure.places.matching import file_names_user
from resources.erasure.places.trace import Subject
from resources.processes.forked import ChildDied
from resources.storage.lake import Lake
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import UploadLimits
from resources.uploads.store_in_child import child_limits, children


def original_names_user(subject: Subject, original: UPath, kind: Kind) -> bool:
    """Whether the original of an upload names the user; of one that its reader fails at nobody knows, so it does.

    Raises:
        ChildBroke: the child was ended by somebody's hand, or by an error of ours.
    """
    if not original.name.endswith(".parquet"):
        return file_names_user(original, subject.user_id, kind)
    request = {
        "lake": subject.lake.address,
        "tenant": subject.tenant.value,
        "upload_id": original.parent.name,
        "file": original.name,
        "user_id": subject.user_id,
        "kind": kind.value,
    }
    limits = child_limits(UploadLimits.of(load_settings()), original.stat().st_size)
    try:
        return bool(children().run(__name__, request, limits=limits)["named"])
    except ChildDied:
        return True


def main(request: dict[str, Any], _tell: Callable[[Any], None]) -> dict[str, bool]:
    """The work of the child."""
    folder = Lake.at(request["lake"]).tenant(TenantId(request["tenant"])).upload(request["upload_id"])
    try:
        return {"named": file_names_user(folder / request["file"], request["user_id"], Kind(request["kind"]))}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, MemoryError):
        return {"named": True}
