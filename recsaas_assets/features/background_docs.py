"""The documentation of the models, written beside a running platform when the models have changed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from recsaas_assets.features.dbt_manifest import docs_are_current
from resources.base.settings import Settings
from resources.processes.supervisor import end_process, python, start_process

_WRITE = "from recsaas_assets.cli import main; main()"


@contextmanager
def docs_in_background(settings: Settings) -> Iterator[None]:
    """Write the page that the service shows, in a process of its own; it is stopped when the block ends.

    A failure is in `logs/data-docs.log` and nowhere else: the platform works without the page.
    """
    if docs_are_current(settings.data_docs):
        yield
        return
    log = settings.home / "logs" / "data-docs.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {"RECSAAS_HOME": str(settings.home), "PYTHONWARNINGS": "ignore"}
    with open(log, "wb") as output:
        process = start_process(python("-c", _WRITE, "docs"), environment, out=output, errors=subprocess.STDOUT)
    try:
        yield
    finally:
        end_process(process, seconds=0)
