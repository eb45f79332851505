"""A process that runs tenants one after the other, as `parallel_runs` tells it.

Started by `python -m recsaas_assets.instance.run_worker`.

It reads a tenant id a line and answers each with one line, the run's outcome as JSON. Loading Dagster, dbt and torch
takes longer than the run of a small shop, so that a process for each tenant would mostly load.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict

from recsaas_assets.commands.console import Installation
from recsaas_assets.instance.home import run_tenant
from resources.base.tenant import TenantId


def main(start_from: str) -> None:
    """Answer until there are no more tenants."""
    # The pinned Dagster marks partitioned checks as a preview; a person at a terminal cannot act on that.
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    site = Installation()
    for line in sys.stdin:
        outcome = run_tenant(site.settings, site.db, TenantId.parse(line.strip()), start_from=start_from)
        answers.write(json.dumps(asdict(outcome)) + "\n")
        answers.flush()
    # DuckDB's and other native modules print pages about leaked objects when the interpreter is torn down.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
