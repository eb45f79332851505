"""The storage of a `dagster.yaml` that an earlier version wrote; `recsaas` rewrites it when it starts.

Goes with the version after 0.1: the classes are in `recsaas_assets.instance.storage`.
"""

from __future__ import annotations

from recsaas_assets.instance.storage import OpenEventLogStorage, RunStorage, ScheduleStorage

__all__ = ["OpenEventLogStorage", "RunStorage", "ScheduleStorage"]
