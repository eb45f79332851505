"""Features as of a time, for a model that is evaluated on what came after it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from upath import UPath

from recsaas_assets.features.dbt_runner import DbtResult, PointInTime, run_dbt
from resources.base.errors import InvalidInput
from resources.storage.lake import TenantLake, local_path

# `data_quality` judges uploads, not users or items: it has no "as of".
_SELECTION = ("+user_features", "+item_features", "+popular_items", "+interaction_weights", "+int_sessions")


def features_as_of(
    tenant_lake: TenantLake, as_of: datetime, out: Path, *, target_dir: Path, memory_bytes: int
) -> DbtResult:
    """Build the tenant's staging, intermediate and feature models from interactions before `as_of`, into `out`.

    No later interaction and no deletion of one has any influence: the files are the same, byte for byte, whatever
    happened since. The catalogue and the users' attributes are today's, because shops seldom send their history.

    Raises:
        InvalidInput: `as_of` has no offset, or `out` is the folder of the tenant's own models.
        FeatureBuildFailed: a raw file is missing, or dbt or one of its nodes failed.
    """
    if as_of.tzinfo is None:
        raise InvalidInput(f"{as_of.isoformat()} has no offset; write the time as {as_of.isoformat()}Z for UTC.")
    published = local_path(tenant_lake.dbt)
    if published is not None and out.absolute() == published.absolute():
        raise InvalidInput(f"{out} holds the tenant's current features; name another folder.")
    return run_dbt(
        ["build", "--exclude-resource-type", "unit_test", "--select", *_SELECTION],
        tenant_lake=tenant_lake,
        target_dir=target_dir,
        memory_bytes=memory_bytes,
        point_in_time=PointInTime(as_of, UPath(out)),
    )
