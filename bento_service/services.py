"""What the handlers work with: made once per process, reached from any request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from bento_service.auth import KeyCache
from bento_service.metrics import Metrics
from bento_service.release_cache import ReleaseCache
from bento_service.upload_worker import UploadWorker
from resources.control_db.engine import ControlDb
from resources.event_log import EventLog
from resources.lake import Lake
from resources.settings import Settings

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running service. `upload_slots` bounds the uploads that are checked before their answers."""

    settings: Settings
    db: ControlDb
    lake: Lake
    clock: Clock
    events: EventLog
    keys: KeyCache
    releases: ReleaseCache
    metrics: Metrics
    upload_slots: CapacityLimiter
    upload_worker: UploadWorker


async def services_of(request: Request) -> Services:
    """Return the services of the app that answers this request."""
    services: Services = request.app.state.services
    return services


WithServices = Annotated[Services, Depends(services_of)]
