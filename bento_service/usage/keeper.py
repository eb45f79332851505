"""What is done for usage again and again, beside the answers of a worker."""

from __future__ import annotations

from threading import Event, Thread

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bento_service.usage.billing_hook import BillingHook
from resources.base.errors import RecsaasError
from resources.base.times import Clock
from resources.billing.prices import PriceList
from resources.billing.upkeep import UsageUpkeep
from resources.control_db.engine import ControlDb
from resources.jobs.claims import claimant_name
from resources.processes.interpreter import STOP_SECONDS
from resources.storage.lake import Lake

_LOOK_SECONDS = 60.0
_log = structlog.get_logger("recsaas.usage")


class UsageKeeper:
    """Looks once a minute whether something is due that no other worker does, from a minute after the start on."""

    def __init__(
        self, db: ControlDb, lake: Lake, clock: Clock, prices: PriceList | None, hook: BillingHook | None = None
    ) -> None:
        """Start nothing yet."""
        self._stop = Event()
        tell = None if hook is None else hook.tell
        self._upkeep = UsageUpkeep(db, lake, prices, clock, holder=claimant_name(), stop=self._stop, tell=tell)
        self._thread = Thread(target=self._loop, name="recsaas-usage-keeper", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End after the tenant that is worked on."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _loop(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._upkeep.run()
            except (SQLAlchemyError, RecsaasError, OSError) as error:  # it is tried again in a minute
                _log.error("usage_upkeep_failed", kind=type(error).__name__, reason=str(error)[:300])
