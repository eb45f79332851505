"""The web app: routes, errors, documents. Its database, lake and clock are passed in, so that tests run it as it is."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from bento_service.api.accounts import login, me
from bento_service.api.admin import acting, api_keys, audit, plans, rules, training, usage, webhooks
from bento_service.api.data import data_docs, data_quality, interactions, items, mappings, uploads, users
from bento_service.api.people import accounts, invites, links, members, office, second_factor
from bento_service.api.recommending import batch, receipts, recommendation_exports, recommendations, why_not
from bento_service.api.site import docs, health, shop, widget
from bento_service.api.tenancy import exports as tenant_exports
from bento_service.api.tenancy import stopping, tenants
from bento_service.dependencies import make_services
from bento_service.http.cors import ApiCors, origins_of
from bento_service.http.errors import ErrorBody, install_error_handlers
from bento_service.http.fast_routes import fast_routes
from bento_service.http.query import QueryNames
from bento_service.middleware import Notes, RequestMiddleware, Routing
from bento_service.pages import static_files
from bento_service.pages.account import profile
from bento_service.pages.account import second_factor as second_factor_pages
from bento_service.pages.customer import shops
from bento_service.pages.entry import invites as invite_pages
from bento_service.pages.entry import links as link_pages
from bento_service.pages.entry import login as login_pages
from bento_service.pages.entry import signup, sso
from bento_service.pages.office import login as office_login
from bento_service.schemas.accounts.bodies import (
    LoginBody,
    LogoutBody,
    MePatch,
    PasswordChangeBody,
    RefreshBody,
    SignupBody,
)
from bento_service.schemas.admin.audit import ActingBody, ChainBody
from bento_service.schemas.admin.plans import OverrideBody, PlanBody, PlanChoice, PlanWish
from bento_service.schemas.admin.tenants import EraseBody, SuspendBody, TenantBody, TenantPatch
from bento_service.schemas.admin.webhooks import WebhookBody, WebhookPatch
from bento_service.schemas.api_keys import ApiKeyBody, ApiKeyPatch, RotationBody
from bento_service.schemas.decisions import BatchRequest
from bento_service.schemas.interactions import TrackRequest
from bento_service.schemas.items import ItemPatch, ItemsRequest
from bento_service.schemas.people.invites import AcceptBody, InviteBody
from bento_service.schemas.people.links import ForgotBody, ResetBody, VerifyBody
from bento_service.schemas.people.members import (
    AccountBody,
    MemberPatch,
    OfficeInviteBody,
    OfficePatch,
    OwnershipBody,
)
from bento_service.schemas.people.second_factor import BeginBody, CodeBody
from bento_service.schemas.recommendation_exports import ExportBody
from bento_service.schemas.recommendations import RecommendationRequest, SimilarRequest
from bento_service.schemas.rules import RuleBody, RulePatch
from bento_service.schemas.training import ReindexRequest, TrainRequest
from bento_service.schemas.uploads import MappingBody
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
BODIES: tuple[type[BaseModel], ...] = (
    ApiKeyPatch,
    RotationBody,
    ItemsRequest,
    ItemPatch,
    RuleBody,
    RulePatch,
    MappingBody,
    RecommendationRequest,
    BatchRequest,
    ExportBody,
    SimilarRequest,
    TrackRequest,
    TrainRequest,
    ReindexRequest,
    ApiKeyBody,
    TenantBody,
    TenantPatch,
    SuspendBody,
    EraseBody,
    SignupBody,
    LoginBody,
    RefreshBody,
    LogoutBody,
    PasswordChangeBody,
    MePatch,
    PlanBody,
    PlanChoice,
    PlanWish,
    OverrideBody,
    ForgotBody,
    ResetBody,
    VerifyBody,
    InviteBody,
    AcceptBody,
    MemberPatch,
    OwnershipBody,
    BeginBody,
    CodeBody,
    AccountBody,
    OfficeInviteBody,
    OfficePatch,
    WebhookBody,
    WebhookPatch,
    ActingBody,
    ChainBody,
)
_MODULES = (
    login,
    me,
    links,
    invites,
    members,
    second_factor,
    accounts,
    office,
    recommendations,
    batch,
    why_not,
    receipts,
    recommendation_exports,
    interactions,
    items,
    uploads,
    mappings,
    rules,
    training,
    users,
    api_keys,
    webhooks,
    tenants,
    stopping,
    tenant_exports,
    plans,
    usage,
    audit,
    acting,
    data_quality,
    health,
    docs,
    data_docs,
    widget,
    shop,
    static_files,
    login_pages,
    sso,
    signup,
    link_pages,
    invite_pages,
    profile,
    second_factor_pages,
    shops,
    office_login,
)


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
    app.state.routes = [route for module in _MODULES for route in module.router.routes]
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
    router = APIRouter(responses=_ERRORS)
    for module in _MODULES:
        router.include_router(module.router)
    return tuple(router.routes)


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
