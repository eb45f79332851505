"""The web app: routes, errors, documents. Its database, lake and clock are passed in, so that tests run it as it is."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from bento_service.api.recommending import recommendations
from bento_service.dependencies import make_services
from bento_service.http.cors import ApiCors, origins_of
from bento_service.http.errors import ErrorBody, install_error_handlers
from bento_service.http.fast_routes import fast_routes
from bento_service.http.query import QueryNames
from bento_service.middleware import Notes, RequestMiddleware, Routing
from bento_service.routes.bodies import BODIES
from bento_service.routes.operations import OPERATIONS
from bento_service.routes.page_routes import PAGES
from bento_service.telemetry.logs import RequestLog
from bento_service.telemetry.metrics import Metrics
from bento_service.workers.job_worker import RunJob
from resources.base.code_version import code_version
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The body cannot be read"},
    401: {"model": ErrorBody, "description": "No credential, or one that is not valid"},
    402: {"model": ErrorBody, "description": "The plan does not have this, or not more of it"},
    403: {"model": ErrorBody, "description": "The credential does not allow this"},
    404: {"model": ErrorBody, "description": "The tenant has no such thing"},
    408: {"model": ErrorBody, "description": "The body came too slowly"},
    409: {"model": ErrorBody, "description": "It contradicts what is stored"},
    413: {"model": ErrorBody, "description": "Too large"},
    415: {"model": ErrorBody, "description": "The content type does not fit"},
    422: {"model": ErrorBody, "description": "Well-formed, but not valid"},
    431: {"model": ErrorBody, "description": "Request line and headers are too large"},
    429: {"model": ErrorBody, "description": "Over a limit: see Retry-After"},
    503: {"model": ErrorBody, "description": "Not ready: see Retry-After"},
}


def create_app(
    settings: Settings,
    db: ControlDb,
    lake: Lake,
    clock: Clock,
    *,
    metrics: Metrics | None = None,
    run_export: RunJob | None = None,
) -> FastAPI:
    """Build the app that answers everything.

    `metrics` says how they are shared between workers, `run_export` where exports are written; without them that
    happens in this process.
    """
    services = make_services(settings, db, lake, clock, metrics or Metrics(), run_export)
    app = FastAPI(
        title="recsaas",
        version=code_version(),
        description="Recommendations for shops: events and files in, ranked items out.",
        openapi_url=None,  # FastAPI's own route writes the whole document anew for everybody who asks
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.routes = [route for router in (*OPERATIONS, *PAGES) for route in router.routes]
    app.state.query = QueryNames(app.state.routes)
    app.router.routes.extend(_routes())
    install_error_handlers(app)
    app.add_middleware(
        RequestMiddleware,
        notes=Notes(services.metrics, RequestLog(settings.log_level), services.usage.counters),
        limits=services.limits,
        turns=services.turns,
        addresses=services.addresses,
        routing=Routing(app.state.query, fast_routes(recommendations.router, recommendations.FAST)),
    )
    # Outermost, so that errors and refusals can be read as well.
    app.add_middleware(ApiCors, origins=origins_of(settings.cors_origins), bound=services.page_origins.has)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.state.openapi_json = cache(lambda: json.dumps(app.openapi(), ensure_ascii=False).encode())
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """The routes of all modules: FastAPI would make those of an included router anew for every app."""
    whole = APIRouter(responses=_ERRORS)
    for router in (*OPERATIONS, *PAGES):
        whole.include_router(router)
    return tuple(whole.routes)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the bodies that handlers read themselves; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, bodies = models_json_schema(
            [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(bodies["$defs"])
        app.openapi_schema = document
    return app.openapi_schema
