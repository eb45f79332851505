"""The machine that a figure was measured on, and the versions of what does the work."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

_PACKAGES = ("recsaas", "numpy", "polars", "torch", "duckdb", "dbt-duckdb", "dagster", "bentoml")


def machine() -> dict[str, object]:
    """Cores and versions, for the JSON of a benchmark."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }
