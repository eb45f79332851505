"""Bodies of the routes about whole tenants."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bento_service.schemas.common import Answer, Body, JsonObject, PlainText
from resources.base.errors import InvalidInput
from resources.base.tenant import TenantId
from resources.control_db.tenants import Tenant
from resources.jobs.kinds.tenant_exports import TenantExport
from resources.tenancy.certificates import ErasedPlace
from resources.tenancy.provisioning import NewTenant, TenantEdit
from resources.tenancy.summary import Count, TenantSummary

_Name = Annotated[PlainText, Field(min_length=1, max_length=200, description="The shop's name, for people.")]
_Plan = Annotated[PlainText, Field(max_length=64)]
_Currency = Annotated[PlainText, Field(max_length=3, description="Code of ISO 4217, such as EUR.")]
_Zone = Annotated[PlainText, Field(max_length=64, description="IANA name of a time zone, such as Europe/Berlin.")]
_Reason = Annotated[PlainText, Field(max_length=500, description="Shown to the shop.")]


class TenantBody(Body):
    """A tenant to make. `settings` are by dotted name."""

    slug: Annotated[PlainText, Field(min_length=1, max_length=63, description="The id, for good.")]
    name: _Name
    plan: _Plan | None = None
    currency: _Currency | None = None
    timezone: _Zone | None = None
    settings: JsonObject = Field(default_factory=dict, description='By dotted name: {"training.search": true}.')
    owner_email: Annotated[PlainText, Field(max_length=254)] | None = Field(
        default=None, description="Who is invited to own the shop."
    )

    def new(self) -> NewTenant:
        """What was sent.

        Raises:
            InvalidInput: the slug is no id of a tenant.
        """
        fields = self.model_dump(exclude={"slug"})
        return NewTenant(id=TenantId.parse(self.slug), **fields)


class TenantPatch(Body):
    """What of a tenant is to be another; what is left out stays. Null takes plan, currency or time zone away."""

    EMPTIED: ClassVar[frozenset[str]] = frozenset({"plan", "currency", "timezone"})
    name: _Name | None = None
    plan: _Plan | None = None
    currency: _Currency | None = None
    timezone: _Zone | None = None
    settings: JsonObject = Field(default_factory=dict, description="By dotted name; null goes back to the default.")

    def edit(self) -> TenantEdit:
        """What was sent.

        Raises:
            InvalidInput: nothing was.
        """
        fields: dict[str, Any] = {
            name: getattr(self, name) or None
            for name in ("plan", "currency", "timezone")
            if name in self.model_fields_set
        }
        if self.name is not None:
            fields["name"] = self.name
        if not fields and not self.settings:
            raise InvalidInput("Say what is to be changed: name, plan, currency, timezone or settings.")
        return TenantEdit(fields=fields, settings=self.settings)


class SuspendBody(Body):
    """Why a tenant is stopped."""

    reason: _Reason | None = None


class EraseBody(Body):
    """Why a tenant is erased."""

    reason: _Reason | None = None


class TenantAnswer(Answer):
    """A tenant. Until `erase_after` its erasure can be undone by resuming it; of one that was erased the id is left."""

    id: str
    name: str
    status: str
    plan: str | None
    currency: str | None
    timezone: str | None
    created_at: datetime
    created_by: str | None
    suspended_reason: str | None
    suspended_at: datetime | None
    erase_after: datetime | None
    erased_at: datetime | None

    @classmethod
    def of(cls, tenant: Tenant) -> TenantAnswer:
        """Show a tenant."""
        fields = {name: getattr(tenant, name) for name in cls.model_fields if name != "id"}
        return cls(id=tenant.id.value, **fields)


class TenantDetail(TenantAnswer):
    """A tenant with its settings."""

    settings: dict[str, Any]

    @classmethod
    def of(cls, tenant: Tenant) -> TenantDetail:
        """Show a tenant."""
        settings = tenant.settings.model_dump(mode="json")
        return cls(**TenantAnswer.of(tenant).model_dump(), settings=settings)


class TenantPage(Answer):
    """Tenants by id, without those that were erased."""

    tenants: tuple[TenantAnswer, ...]
    next_cursor: str | None = None


class CountAnswer(Answer):
    """A number of things; `capped`: as many, or more."""

    count: int
    capped: bool

    @classmethod
    def of(cls, count: Count) -> CountAnswer:
        """Show a count."""
        return cls(count=count.count, capped=count.capped)


class TenantSummaryAnswer(Answer):
    """What a tenant has; counting ends at 10,000. `bytes` are those of the files that were counted."""

    tenant: str
    uploads: CountAnswer
    rows: int
    events: CountAnswer
    answers: CountAnswer
    releases: CountAnswer
    members: CountAnswer
    api_keys: CountAnswer
    files: CountAnswer
    bytes: int
    live_release: str | None

    @classmethod
    def of(cls, tenant: str, summary: TenantSummary) -> TenantSummaryAnswer:
        """Show what a tenant has."""
        found = {name: getattr(summary, name) for name in cls.model_fields if name != "tenant"}
        shown = {name: CountAnswer.of(each) if isinstance(each, Count) else each for name, each in found.items()}
        return cls(tenant=tenant, **shown)


class TenantCertificateAnswer(Answer):
    """Certificate of an erased tenant. `sha256` is over its other fields, see docs/tenants.md."""

    erasure_id: str
    tenant: str
    requested_at: datetime
    requested_by: str
    completed_at: datetime
    places: tuple[ErasedPlace, ...]
    kept: tuple[str, ...]
    out_of_reach: tuple[str, ...]
    sha256: str


class TenantExportAnswer(Answer):
    """An archive of the whole tenant. `download_url` is null while there is no file, and again when it is gone."""

    export_id: str
    status: str
    progress: float
    requested_by: str
    created_at: datetime
    completed_at: datetime | None
    bytes: int | None
    sha256: str | None
    rows: int | None
    uploads: int | None
    releases: int | None
    error: str | None
    message: str | None
    download_url: str | None

    @classmethod
    def of(cls, export: TenantExport, base: str) -> TenantExportAnswer:
        """Show an archive whose routes begin with `base`."""
        names = set(cls.model_fields) - {"export_id", "error", "download_url"}
        fields = {name: getattr(export, name) for name in names}
        url = None if export.bytes is None else f"{base}/{export.id}/file"
        return cls(export_id=export.id, error=export.error_code, download_url=url, **fields)


class TenantExportPage(Answer):
    """Archives, newest first."""

    exports: tuple[TenantExportAnswer, ...]
    next_cursor: str | None = None


class ShopClosed(Answer):
    """A shop that its owner has closed: until `erase_after` it can be opened again."""

    id: str
    status: str
    erase_after: datetime | None

    @classmethod
    def of(cls, tenant: Tenant) -> ShopClosed:
        """Show it."""
        return cls(id=tenant.id.value, status=tenant.status, erase_after=tenant.erase_after)
