"""Bodies of the audit log, and of acting for a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bento_service.schemas.common import Answer, Body, PlainText, Text
from resources.acting.acting import MAX_REASON, MIN_REASON, ActingFor, ActingRequest
from resources.audit.reading import AuditEntry
from resources.audit.verifying import Break, Damage, Verification
from resources.base.tenant import TenantId


class AuditEntryAnswer(Answer):
    """One entry. `number` counts within the tenant's chain, `hash` covers the entry and the hash `previous`."""

    number: int
    tenant_id: str | None
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    acting_for: str | None
    reason: str | None
    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: str
    address: str | None
    request_id: str | None
    previous: str
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditEntryAnswer:
        """Show an entry."""
        shown = {name: getattr(entry, name) for name in cls.model_fields if name != "tenant_id"}
        return cls(tenant_id=entry.tenant, **shown)


class AuditPageAnswer(Answer):
    """Entries, newest first. A page may be short, even empty, while `next_cursor` leads on: a search goes in steps."""

    entries: tuple[AuditEntryAnswer, ...]
    next_cursor: str | None


class BreakAnswer(Answer):
    """The first place at which a chain is broken, with both hashes."""

    number: int
    damage: Damage
    expected: str | None
    found: str | None
    message: str

    @classmethod
    def of(cls, broken: Break) -> BreakAnswer:
        """Show a break."""
        return cls(**{name: getattr(broken, name) for name in cls.model_fields})


class VerificationAnswer(Answer):
    """What came of verifying a chain, or the next 100,000 entries of it: then go on with `after`, until it is null."""

    tenant_id: str | None
    unbroken: bool
    entries: int
    first: int
    last: int
    head: str
    heads_compared: int
    after: int | None
    broken: BreakAnswer | None

    @classmethod
    def of(cls, found: Verification, tenant: TenantId | None) -> VerificationAnswer:
        """Show what was found."""
        return cls(
            tenant_id=None if tenant is None else tenant.value,
            unbroken=found.unbroken,
            entries=found.entries,
            first=found.first,
            last=found.last,
            head=found.head,
            heads_compared=found.heads,
            after=None if found.whole else found.last,
            broken=None if found.broken is None else BreakAnswer.of(found.broken),
        )


class ChainBody(Body):
    """Which chain to verify: a tenant's, or without one that of the platform."""

    tenant_id: Text | None = None
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="Go on behind this entry, as an answer said.")


class ActingBody(Body):
    """For which tenant to act, and why."""

    tenant_id: Text
    reason: Annotated[PlainText, Field(min_length=MIN_REASON, max_length=MAX_REASON)] = Field(
        description="For the owners of the tenant, who are told."
    )
    member: Annotated[PlainText, Field(max_length=254)] | None = Field(
        default=None, description="Id or e-mail of the member whose view it is to be. Left out: an owner's."
    )
    write: bool = Field(default=False, description="Whether to change things, too; for a super admin alone.")
    ticket: Annotated[PlainText, Field(max_length=80)] | None = None

    def request(self) -> ActingRequest:
        """What was sent."""
        return ActingRequest(
            tenant=TenantId.parse(self.tenant_id),
            reason=self.reason,
            member=self.member,
            writes=self.write,
            ticket=self.ticket,
        )


class ActingAnswer(Answer):
    """The token with which to act: it is good for `expires_in` seconds, and cannot be renewed."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    acting_id: str
    tenant_id: str
    acting_for: str
    write: bool
    reason: str
    ends_at: datetime

    @classmethod
    def of(cls, acting: ActingFor, token: str, now: datetime) -> ActingAnswer:
        """Show what has begun."""
        return cls(
            access_token=token,
            expires_in=int((acting.ends_at - now).total_seconds()),
            acting_id=acting.id,
            tenant_id=acting.tenant.value,
            acting_for=acting.acting_for,
            write=acting.writes,
            reason=acting.reason,
            ends_at=acting.ends_at,
        )


class ActingEnded(Answer):
    """How many times of acting were ended: one, or none when it was over already."""

    ended: int
