"""The version of recsaas that this process runs: in manifests of releases, rows of runs, and the API's document."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def code_version() -> str:
    """Return the version of the installed distribution; `unknown` in a Bento, which holds the sources alone."""
    try:
        return version("recsaas")
    except PackageNotFoundError:
        return "unknown"
