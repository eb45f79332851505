"""What runs cost: their time, and the processor time of their processes, as usage of their tenants."""

from __future__ import annotations

import os
import resource
import socket
from datetime import datetime
from functools import cache

import psutil  # type: ignore[import-untyped]
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.plans import UsageOfRunRow
from resources.usage.adding import add_usage
from resources.usage.amounts import NO_KEY, Amounts, Counted

OPERATION = "training"


def add_cost(session: Session, tenant: TenantId, run_id: str, *, now: datetime, last: bool = False) -> None:
    """Add what the run has cost since it was noted last by this process, in the transaction that notes the run.

    The first note of a process only begins: it cannot know what was before. So a run that was killed counts what it
    has noted, and the time until somebody finds it, or tries it again, counts for nobody. With `last`, this process has
    done its part, and what it notes later adds nothing; nor does what others note who record how the run ended.
    """
    process, cpu_ms = _process(os.getpid()), _cpu_ms()
    row = session.get(UsageOfRunRow, run_id)
    ours = row is not None and row.process == process
    if row is not None and ours:
        spent = Amounts(
            training_ms=max(0, round((now - row.noted_at).total_seconds() * 1000)), cpu_ms=max(0, cpu_ms - row.cpu_ms)
        )
        add_usage(session, {Counted(tenant.value, now.date(), NO_KEY, OPERATION, "2xx"): spent})
    elif last:
        return
    if row is None:
        row = UsageOfRunRow(run_id=run_id, tenant_id=tenant.value)
        session.add(row)
    row.noted_at = max(now, row.noted_at) if ours else now
    row.process, row.cpu_ms = "" if last else process, cpu_ms


def _cpu_ms() -> int:
    """Processor time of this process, and of its children that have ended, in milliseconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(each.ru_utime + each.ru_stime for each in used) * 1000)


@cache
def _process(pid: int) -> str:
    """A name of this process that no later one has."""
    return f"{socket.gethostname()[:64]}:{pid}:{psutil.Process(pid).create_time():.2f}"
