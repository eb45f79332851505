"""Health for people and probes, and the metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from bento_service.api.auth import authenticated, bearer
from bento_service.dependencies import Services, WithServices
from bento_service.http.query import known_query
from bento_service.schemas.common import Answer
from resources.base.errors import CorruptRelease, LakeUnavailable, NoRelease
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb

router = APIRouter(tags=["health"], dependencies=[Depends(known_query)])


class ReleaseHealth(Answer):
    """One tenant's release: `live`, `last_good` when the promoted one cannot be read, `missing` or `broken`."""

    state: Literal["live", "last_good", "missing", "broken"]
    version: str | None = None
    problem: str | None = None


class Health(Answer):
    """`unavailable` comes with status 503: the service cannot tell who is asking."""

    status: Literal["ok", "degraded", "unavailable"]
    control_db: Literal["ok", "unavailable"]
    releases_loaded: int
    releases_broken: int
    release: ReleaseHealth | None = None


@router.get("/health", response_model=Health, summary="Tell how the service is")
async def health(request: Request, services: WithServices, _declared: object = Depends(bearer)) -> Response:
    """Tell how the service is; with an API key of any scope, also how that tenant's release is."""
    reachable = await services.threads.keys.run("", control_db_answers, services.db)
    release = None
    if reachable and "authorization" in request.headers:
        principal = await authenticated(request, services)
        release = await _release(services, principal.tenant)
    degraded = services.releases.broken > 0 or (release is not None and release.state != "live")
    answer = Health(
        status="unavailable" if not reachable else "degraded" if degraded else "ok",
        control_db="ok" if reachable else "unavailable",
        releases_loaded=services.releases.loaded,
        releases_broken=services.releases.broken,
        release=release,
    )
    return Response(answer.model_dump_json(), status_code=200 if reachable else 503, media_type="application/json")


@router.get("/metrics", response_class=Response, summary="Metrics in Prometheus's format")
def metrics(services: WithServices) -> Response:
    """Show the metrics of all workers."""
    return Response(services.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def control_db_answers(db: ControlDb) -> bool:
    """Tell whether the control DB can be read."""
    try:
        with db.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


async def _release(services: Services, tenant: TenantId) -> ReleaseHealth:
    try:
        live = await services.releases.get(tenant)
    except NoRelease as error:
        return ReleaseHealth(state="missing", problem=error.message)
    except (CorruptRelease, LakeUnavailable) as error:
        return ReleaseHealth(state="broken", problem=error.message)
    state: Literal["live", "last_good"] = "live" if live.problem is None else "last_good"
    return ReleaseHealth(state=state, version=live.ranker.release.version, problem=live.problem)
