"""Bodies of the routes about API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from bento_service.schemas.common import Answer, Body, Text
from resources.access.key_kinds import MAX_BINDINGS, MAX_NAME, KeyKind, KeyTerms
from resources.access.scopes import Scope
from resources.base.times import in_utc
from resources.control_db.api_keys import ApiKey, KeyStatus
from resources.keys.changes import KeyChanges

_Time = Annotated[datetime, AfterValidator(in_utc)]
_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="What the key is for.")]
_Scopes = Annotated[tuple[Scope, ...], Field(min_length=1, max_length=20, description="All that it may do.")]
_End = Annotated[_Time | None, Field(description="From when on it opens nothing; never when left out.")]
_Addresses = Annotated[
    tuple[Text, ...],
    Field(max_length=MAX_BINDINGS, description="Addresses or networks (CIDR) that it may be used from; [] is any."),
]
_Origins = Annotated[
    tuple[Text, ...],
    Field(max_length=MAX_BINDINGS, description="Of a browser key: the web origins of the pages that it stands in."),
]


class ApiKeyBody(Body):
    """A key to make."""

    name: _Name
    scopes: _Scopes
    kind: KeyKind = Field(
        default="secret",
        description="`secret` for servers, `browser` for pages, `sandbox` changes nothing.",
    )
    expires_at: _End = None
    addresses: _Addresses = ()
    origins: _Origins = ()
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def terms(self) -> KeyTerms:
        """What the key is to be."""
        return KeyTerms(
            name=self.name,
            scopes=self.scopes,
            kind=self.kind,
            expires_at=self.expires_at,
            addresses=self.addresses,
            origins=self.origins,
        )


class ApiKeyPatch(Body):
    """What is to change of a key; what is left out stays, and null takes its end away."""

    EMPTIED: ClassVar[frozenset[str]] = frozenset({"expires_at"})
    name: _Name | None = None
    scopes: _Scopes | None = None
    expires_at: _End = None
    addresses: _Addresses | None = None
    origins: _Origins | None = None
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def changes(self) -> KeyChanges:
        """What was sent."""
        found = KeyChanges()
        if self.name is not None:
            found["name"] = self.name
        if self.scopes is not None:
            found["scopes"] = self.scopes
        if "expires_at" in self.model_fields_set:
            found["expires_at"] = self.expires_at
        if self.addresses is not None:
            found["addresses"] = self.addresses
        if self.origins is not None:
            found["origins"] = self.origins
        return found


class RotationBody(Body):
    """How a key gives way to the next one."""

    overlap_seconds: Literal[0, 3600, 86_400, 604_800] = Field(
        description="How long the old secret goes on: not at all, an hour, a day or a week."
    )


class ApiKeyAnswer(Answer):
    """A key without its secret; `key_prefix` is how the secret begins."""

    id: str
    name: str
    kind: KeyKind
    key_prefix: str
    scopes: tuple[str, ...]
    addresses: tuple[str, ...]
    origins: tuple[str, ...]
    made_by: str | None
    created_at: datetime
    expires_at: datetime | None
    rotated_to: str | None
    last_used_at: datetime | None
    last_route: str | None
    status: KeyStatus
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> ApiKeyAnswer:
        """Show a key as it is at that time."""
        return cls(
            id=key.id,
            name=key.name,
            kind=key.kind,
            key_prefix=key.prefix,
            scopes=tuple(sorted(key.scopes)),
            addresses=key.addresses,
            origins=key.origins,
            made_by=key.made_by,
            created_at=key.created_at,
            expires_at=key.expires_at,
            rotated_to=key.rotated_to,
            last_used_at=key.last_used_at,
            last_route=key.last_route,
            status=key.status_at(now),
            revoked_at=key.revoked_at,
        )


class MadeApiKey(ApiKeyAnswer):
    """A new key; `api_key` is its secret, which is shown only now: null when the request that made it comes again."""

    api_key: str | None


class ApiKeyPage(Answer):
    """Keys of the tenant, oldest first."""

    api_keys: tuple[ApiKeyAnswer, ...]
    next_cursor: str | None = None
