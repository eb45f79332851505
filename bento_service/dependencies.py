"""What the handlers work with: made once per process, reached from any request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from bento_service.access.key_cache import KeyCache
from bento_service.access.limits import Limits
from bento_service.access.redis import SharedStore
from bento_service.events.decision_log import DecisionLog
from bento_service.events.writer import EventWriter
from bento_service.http.client_address import ClientAddress
from bento_service.http.json_body import Bodies
from bento_service.recommending.release_cache import ReleaseCache
from bento_service.recommending.settings_cache import SettingsCache
from bento_service.scheduling.threads import Threads
from bento_service.scheduling.turns import Turns
from bento_service.scheduling.upload_slots import UploadSlots
from bento_service.telemetry.metrics import Metrics
from bento_service.workers.job_worker import JobWorker
from resources.base.errors import Forbidden
from resources.base.settings import Settings
from resources.catalogue.items import ItemCatalogue
from resources.control_db.engine import ControlDb
from resources.events.log import EventLog
from resources.events.recent import LiveReads
from resources.storage.lake import Lake

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running service."""

    settings: Settings
    db: ControlDb
    lake: Lake
    clock: Clock
    events: EventLog
    event_writer: EventWriter
    keys: KeyCache
    tenant_settings: SettingsCache
    releases: ReleaseCache
    decisions: DecisionLog
    reads: LiveReads
    items: ItemCatalogue
    limits: Limits
    bodies: Bodies
    addresses: ClientAddress
    threads: Threads
    turns: Turns
    shared: SharedStore | None
    metrics: Metrics
    upload_slots: UploadSlots
    job_worker: JobWorker

    def require_writable_lake(self) -> None:
        """Refuse what changes the lake where it is only read.

        Raises:
            Forbidden: this service only answers from releases that were made elsewhere.
        """
        if self.settings.lake_read_only:
            raise Forbidden(
                "This service only answers from releases that were made elsewhere. Send files, and ask for exports and "
                "erasures, where they are made."
            )


async def services_of(request: Request) -> Services:
    """Return the services of the app that answers this request."""
    services: Services = request.app.state.services
    return services


WithServices = Annotated[Services, Depends(services_of)]
