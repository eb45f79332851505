"""The bodies that handlers read themselves, for the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel

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
from bento_service.schemas.recommendations import BundleRequest, RecommendationRequest, SimilarRequest
from bento_service.schemas.rules import RuleBody, RulePatch
from bento_service.schemas.training import ReindexRequest, TrainRequest
from bento_service.schemas.uploads import MappingBody

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
    BundleRequest,
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
